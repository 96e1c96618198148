"""Users, roles and row-level security as ``access.yaml`` says, and nothing that it said before.

What was brought into Superset from the file is remembered in Superset's own database, so that what leaves
the file leaves Superset, while users, roles and rules that people make there stay.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

#: Where the names that came from the file are remembered (Superset's table key_value).
_REMEMBERED = uuid.UUID("2f7e4d0c-6f0b-5d5e-8c7e-0f3f0a7d9b11")
#: Superset's own; they are never removed, whatever the file says.
_BUILT_IN = frozenset({"Admin", "Alpha", "Gamma", "Public", "sql_lab"})
_MANAGED = "(managed)"

Names = dict[str, list[str]]


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
            _MANAGED,
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
    user.active = True
    return user


def sync_access(
    db: Any, manager: Any, access: dict[str, Any], restricted: Collection[str]
) -> list[str]:
    """Brings Superset to ``access``; returns what was removed. Raises SystemExit for what cannot be.

    ``restricted`` names the datasets that the grant ``datasets`` does not hold.
    """
    before = _remembered(db)
    roles = _sync_roles(db, manager, access, restricted)
    _sync_rules(db, manager, access)
    for username, user in access["users"].items():
        ensure_user(manager, username, secret(user["password"]), [roles[r] for r in user["roles"]])
    db.session.commit()
    now = named(access)
    removed = list(_remove(db, manager, before, now))
    _remember(db, now)
    db.session.commit()
    return removed


def named(access: dict[str, Any]) -> Names:
    """The names of users, roles and rules that the file holds."""
    rules = access.get("row_level_security", [])
    return {
        "users": sorted(access["users"]),
        "roles": sorted({*access["roles"], *(role for rule in rules for role in rule["roles"])}),
        "rules": sorted(rule["name"] for rule in rules),
    }


def _sync_roles(
    db: Any, manager: Any, access: dict[str, Any], restricted: Collection[str]
) -> dict[str, Any]:
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database

    datasets = db.session.query(SqlaTable).filter_by(is_managed_externally=True).all()
    databases = db.session.query(Database).filter_by(is_managed_externally=True).all()
    grants = {
        "datasets": [
            manager.find_permission_view_menu("datasource_access", d.perm)
            for d in datasets
            if d.table_name not in restricted
        ],
        "restricted datasets": [
            manager.find_permission_view_menu("datasource_access", d.perm)
            for d in datasets
            if d.table_name in restricted
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

        role = _sync_role(manager, name, wanted, [manager.find_role(r) for r in rule["like"]])
        for grant in rule.get("grant", []):
            if not all(grants[grant]):
                raise SystemExit(f"superset bootstrap: some {grant} have no permission entry.")
            role.permissions.extend(grants[grant])
        roles[name] = role
    return roles


def _sync_role(
    manager: Any, name: str, wanted: Callable[[Any], bool], source_roles: list[Any]
) -> Any:
    """Role ``name`` holding those permissions of ``source_roles`` for which ``wanted`` is true."""
    role = manager.find_role(name) or manager.add_role(name)
    permissions = {p.id: p for source in source_roles for p in source.permissions if wanted(p)}
    role.permissions = list(permissions.values())
    return role


def _sync_rules(db: Any, manager: Any, access: dict[str, Any]) -> None:
    from superset.connectors.sqla.models import RowLevelSecurityFilter, SqlaTable

    datasets = db.session.query(SqlaTable).filter_by(is_managed_externally=True).all()
    for rule in access.get("row_level_security", []):
        entry = db.session.query(RowLevelSecurityFilter).filter_by(
            name=rule["name"]
        ).one_or_none() or RowLevelSecurityFilter(name=rule["name"])
        entry.description = rule["description"]
        entry.filter_type, entry.clause = rule.get("type", "Regular"), rule["clause"]
        entry.group_key = rule.get("group_key")
        entry.roles = [manager.find_role(r) or manager.add_role(r) for r in rule["roles"]]
        entry.tables = [d for d in datasets if d.table_name in rule["datasets"]]
        if len(entry.tables) != len(rule["datasets"]):
            raise SystemExit(f"superset bootstrap: rule {rule['name']} names an unknown dataset.")
        db.session.add(entry)


def _remove(db: Any, manager: Any, before: Names, now: Names) -> Iterator[str]:
    from superset.connectors.sqla.models import RowLevelSecurityFilter

    def left(kind: str) -> list[str]:
        return sorted(set(before[kind]) - set(now[kind]))

    for name in left("rules"):
        for rule in db.session.query(RowLevelSecurityFilter).filter_by(name=name):
            db.session.delete(rule)
            yield f"row rule {name}"
    for name in left("users"):
        user = manager.find_user(username=name)
        if user is not None:
            yield _remove_user(db, user)
    for name in left("roles"):
        role = None if name in _BUILT_IN else manager.find_role(name)
        if role is not None:
            db.session.delete(role)
            yield f"role {name}"
    db.session.flush()


def _remove_user(db: Any, user: Any) -> str:
    """Delete; who made something or is in Superset's log stays as a name that cannot log in."""
    from sqlalchemy.exc import IntegrityError

    username = user.username
    try:
        with db.session.begin_nested():
            db.session.delete(user)
    except IntegrityError:
        user.active, user.roles = False, []
        return f"user {username} (kept as the author of what there is; cannot log in, has no role)"
    return f"user {username}"


def _remembered(db: Any) -> Names:
    """What came from the file last time; users of a Superset from before it was remembered by mark."""
    from flask_appbuilder.security.sqla.models import User
    from superset.daos.key_value import KeyValueDAO
    from superset.key_value.types import JsonKeyValueCodec, KeyValueResource

    kept: Names | None = KeyValueDAO.get_value(
        KeyValueResource.APP, _REMEMBERED, JsonKeyValueCodec()
    )
    if kept is not None:
        return kept
    marked = db.session.query(User).filter_by(last_name=_MANAGED).all()
    return {
        "users": [u.username for u in marked if u.username != "admin"],
        "roles": [],
        "rules": [],
    }


def _remember(db: Any, names: Names) -> None:
    from superset.daos.key_value import KeyValueDAO
    from superset.key_value.types import JsonKeyValueCodec, KeyValueResource

    KeyValueDAO.delete_entry(KeyValueResource.APP, _REMEMBERED)
    db.session.flush()
    KeyValueDAO.create_entry(KeyValueResource.APP, names, JsonKeyValueCodec(), key=_REMEMBERED)
