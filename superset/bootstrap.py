"""Everything Superset needs before its web server starts, in one process and safe to repeat.

Migrates Superset's database, creates permissions, imports the asset bundle in one transaction,
removes managed assets that left the bundle, and brings users, roles and the row-level security
rules to what ``access.yaml`` says. One process because each ``superset`` command costs seconds of
imports. Exit code 1 on any invalid asset, with the messages.

    python bootstrap.py [assets folder]
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import yaml

HERE = Path(__file__).resolve().parent


@contextmanager
def step(name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"superset bootstrap: {name} {time.monotonic() - start:.1f} s", flush=True)


def read_bundle(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.yaml"))
    }


def secret(name: str) -> str:
    value = os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE", "")
    if not value and path:
        value = Path(path).read_text("utf-8").strip()
    if not value:
        raise SystemExit(f"superset bootstrap: {name} is missing. Set {name} or {name}_FILE.")
    return value


def ensure_user(manager: Any, username: str, password: str, roles: list[Any]) -> Any:
    """The user ``username`` with exactly this password and these roles."""
    from werkzeug.security import check_password_hash

    user = manager.find_user(username=username)
    if user is None:
        user = manager.add_user(
            username,
            username.capitalize(),
            "(managed)",
            f"{username}@localhost.localdomain",
            roles,
            password,
        )
        if not user:
            raise SystemExit(f"superset bootstrap: the user {username} could not be made.")
        return user
    if not check_password_hash(user.password, password):
        manager.reset_password(user.id, password)
    if set(user.roles) != set(roles):
        user.roles = roles
    return user


def import_assets(folder: Path) -> None:
    from superset.commands.exceptions import CommandInvalidError
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    try:
        ImportAssetsCommand(read_bundle(folder)).run()
    except CommandInvalidError as error:
        print("superset bootstrap: invalid assets:", error.normalized_messages(), file=sys.stderr)
        raise SystemExit(1) from None


def prune_assets(db: Any, folder: Path) -> list[str]:
    """Delete managed assets that are no longer in the bundle; what people made stays."""
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    kept = {str(yaml.safe_load(text).get("uuid")) for text in read_bundle(folder).values()}
    removed = []
    # dashboards before charts before datasets before databases: what refers goes first
    for model in (Dashboard, Slice, SqlaTable, Database):
        for asset in db.session.query(model).filter_by(is_managed_externally=True):
            if str(asset.uuid) not in kept:
                removed.append(f"{model.__name__} {asset}")
                db.session.delete(asset)
        db.session.flush()
    db.session.commit()
    return removed


def sync_role(
    manager: Any, name: str, wanted: Callable[[Any], bool], source_roles: list[Any]
) -> Any:
    """Role ``name`` holding those permissions of ``source_roles`` for which ``wanted`` is true."""
    role = manager.find_role(name) or manager.add_role(name)
    permissions = {p.id: p for source in source_roles for p in source.permissions if wanted(p)}
    role.permissions = list(permissions.values())
    return role


def sync_access(db: Any, manager: Any, access: dict[str, Any]) -> dict[str, Any]:
    """Roles and row-level security of ``access.yaml``; returns the roles by name."""
    from superset.connectors.sqla.models import RowLevelSecurityFilter, SqlaTable
    from superset.models.core import Database

    datasets = db.session.query(SqlaTable).filter_by(is_managed_externally=True).all()
    databases = db.session.query(Database).filter_by(is_managed_externally=True).all()
    grants = {
        "datasets": [
            manager.find_permission_view_menu("datasource_access", d.perm) for d in datasets
        ],
        "databases": [
            manager.find_permission_view_menu("database_access", d.perm) for d in databases
        ],
    }
    roles = {}
    for name, rule in access["roles"].items():
        refused, kept = set(rule.get("without", [])), set(rule.get("but", []))

        def wanted(permission: Any, refused: set[str] = refused, kept: set[str] = kept) -> bool:
            verb, view = permission.permission.name, permission.view_menu.name
            return verb not in refused or f"{verb} on {view}" in kept

        role = sync_role(manager, name, wanted, [manager.find_role(r) for r in rule["like"]])
        for grant in rule.get("grant", []):
            if not all(grants[grant]):
                raise SystemExit(f"superset bootstrap: some {grant} have no permission entry.")
            role.permissions.extend(grants[grant])
        roles[name] = role

    rules = access.get("row_level_security", [])
    for rule in rules:
        entry = db.session.query(RowLevelSecurityFilter).filter_by(
            name=rule["name"]
        ).one_or_none() or RowLevelSecurityFilter(name=rule["name"])
        entry.description = rule["description"]
        entry.filter_type, entry.clause = "Regular", rule["clause"]
        entry.group_key = rule.get("group_key")
        entry.roles = [manager.find_role(r) or manager.add_role(r) for r in rule["roles"]]
        entry.tables = [d for d in datasets if d.table_name in rule["datasets"]]
        if len(entry.tables) != len(rule["datasets"]):
            raise SystemExit(f"superset bootstrap: rule {rule['name']} names an unknown dataset.")
        db.session.add(entry)
    db.session.commit()
    return roles


def main(folder: Path) -> None:
    with step("application"):
        from superset.app import create_app

        app = create_app()
    with app.app_context():
        from flask_migrate import upgrade
        from superset import appbuilder, db, security_manager
        from superset.utils.core import override_user

        with step("migrations"):
            upgrade()
        with step("permissions"):
            appbuilder.add_permissions(update_perms=True)
            security_manager.sync_role_definitions()
            db.session.commit()
        admin = ensure_user(
            security_manager,
            "admin",
            secret("SUPERSET_ADMIN_PASSWORD"),
            [security_manager.find_role("Admin")],
        )
        with step("assets"), override_user(admin):
            import_assets(folder)
        with step("pruning"):
            for name in prune_assets(db, folder):
                print(f"superset bootstrap: removed {name}", flush=True)
        with step("access"):
            access = yaml.safe_load((HERE / "access.yaml").read_text("utf-8"))
            roles = sync_access(db, security_manager, access)
            for username, user in access["users"].items():
                ensure_user(
                    security_manager,
                    username,
                    secret(user["password"]),
                    [roles[r] for r in user["roles"]],
                )
            db.session.commit()


if __name__ == "__main__":
    with step("all"):
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "assets")
