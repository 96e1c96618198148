"""Landing on a real S3 server: the same functions, the same rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from ingestion.intake import intake
from ingestion.landing import land
from installation import databases
from lakehouse import lake, metadata
from lakehouse.settings import DATABASES, Settings
from lakehouse.store import open_store


@pytest.fixture
def platform(postgres_url: str, s3_settings: Settings) -> Iterator[Settings]:
    """Databases of this test's own beside buckets of its own."""
    prefix = f"t{uuid.uuid4().hex[:10]}_"
    changes = {"postgres_url": postgres_url, "database_prefix": prefix, "quiescence_minutes": 0.0}
    settings = s3_settings.model_copy(update=changes).with_home()
    databases.ensure(settings)
    open_store(settings).prepare()
    lake.initialise(settings)
    metadata.migrate(settings)
    yield settings
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        for name in DATABASES:
            database = sql.Identifier(prefix + name)
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(database))


def test_a_submission_lands_twice_with_the_same_rows(platform: Settings) -> None:
    store, engine = open_store(platform), metadata.engine(platform)
    lines = "\n".join(json.dumps({"resourceType": "Patient", "id": f"p{n}"}) for n in range(1000))
    store.put("inbox/clinic/fhir/d1/patients.ndjson", lines.encode())
    store.put("inbox/clinic/fhir/d1/_SUCCESS", b"")
    [registered] = intake(store, engine, platform, now=datetime.now(UTC), actor="test").registered
    for earlier in (0, 1000):
        report = land(
            registered.submission_id,
            store=store,
            engine=engine,
            settings=platform,
            run_id="run",
            actor="test",
        )
        assert (report.state, report.replaced_rows) == ("LANDED", earlier)
    engine.dispose()
    connection = lake.connect(platform)
    found = connection.execute(
        "select count(*), count(distinct resource_id) from bronze.fhir_resource"
    ).fetchone()
    connection.close()
    assert found == (1000, 1000)
    keys = [info.key for info in store.list(f"lake/bronze/{registered.submission_id}/")]
    assert sum(key.endswith(".parquet") for key in keys) == 2
