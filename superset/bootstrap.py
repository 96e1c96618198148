"""Everything Superset needs before its web server starts, in one process and safe to repeat.

Migrates Superset's database, creates permissions, expands ``dashboards/`` and imports it in one transaction,
removes managed assets that left it, and brings users, roles and the row-level security rules to what
``access.yaml`` says. One process because each ``superset`` command costs seconds of imports. Exit code 1 on
any invalid asset, with the messages.

    python bootstrap.py [folder that holds dashboards/, datasets.yaml and access.yaml]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import yaml

import encryption
from access import ensure_user, secret, sync_access
from boards.catalog import CatalogError, Places, read_catalog
from boards.expand import Bundle, as_texts, bundle
from boards.starts import first_years

HERE = Path(__file__).resolve().parent


@contextmanager
def step(name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"superset bootstrap: {name} {time.monotonic() - start:.1f} s", flush=True)


def read_bundle(folder: Path) -> Bundle:
    places = Places(datasets=folder / "datasets.yaml", dashboards=folder / "dashboards")
    try:
        return bundle(places, _starts(places))
    except CatalogError as error:
        print("superset bootstrap: invalid assets:", error, file=sys.stderr)
        raise SystemExit(1) from None


def _starts(places: Places) -> dict[str, str]:
    """Where the data of each mart starts; nothing where the marts cannot be reached or read yet."""
    from superset_config import bi_address

    try:
        return first_years(bi_address("marts"), read_catalog(places))
    except psycopg2.Error as error:
        print(f"superset bootstrap: where the data starts is not known: {error}", file=sys.stderr)
        return {}


def import_assets(assets: Bundle) -> None:
    from superset.commands.exceptions import CommandInvalidError
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    try:
        ImportAssetsCommand(as_texts(assets)).run()
    except CommandInvalidError as error:
        print("superset bootstrap: invalid assets:", error.normalized_messages(), file=sys.stderr)
        raise SystemExit(1) from None


def adopt_assets(db: Any, assets: Bundle) -> None:
    """Give managed assets of the same name the bundle's identifiers, so that they are updated in place.

    Connections, datasets and addresses of dashboards are unique by name in Superset: what an earlier
    version brought under another identifier would be in the way of the import.
    """
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard

    for path, asset in assets.items():
        model, named = {
            "databases": (Database, ("database_name",)),
            "datasets": (SqlaTable, ("schema", "table_name")),
            "dashboards": (Dashboard, ("slug",)),
        }.get(path.partition("/")[0], (None, ()))
        if model is None:
            continue
        names = {name: asset[name] for name in named}
        for stored in db.session.query(model).filter_by(is_managed_externally=True, **names):
            stored.uuid = asset["uuid"]
    db.session.commit()


def prune_assets(db: Any, assets: Bundle) -> list[str]:
    """Delete managed assets that are no longer in the bundle; what people made stays."""
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    kept = {asset["uuid"] for asset in assets.values()}
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


def main(folder: Path) -> None:
    assets = read_bundle(folder)
    access = yaml.safe_load((folder / "access.yaml").read_text("utf-8"))
    with step("application"):
        from superset.app import create_app

        app = create_app()
    with app.app_context():
        from flask_migrate import upgrade
        from superset.extensions import appbuilder, db, security_manager
        from superset.utils.core import override_user

        with step("migrations"):
            upgrade()
        with step("encryption"):
            if encryption.renew(db):
                print("superset bootstrap: stored passwords are under the new key", flush=True)
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
            adopt_assets(db, assets)
            import_assets(assets)
        with step("pruning"):
            for name in prune_assets(db, assets):
                print(f"superset bootstrap: removed {name}", flush=True)
        with step("access"):
            restricted = {name for name, dataset in read_catalog().items() if dataset.restricted}
            for name in sync_access(db, security_manager, access, restricted):
                print(f"superset bootstrap: removed {name}", flush=True)


if __name__ == "__main__":
    with step("all"):
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
