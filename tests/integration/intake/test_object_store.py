"""Intake on a real S3 server does what it does on a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from lakehouse.errors import AccessDenied
from lakehouse.settings import Settings
from lakehouse.store import open_store
from tests.integration.conftest import S3Endpoint
from tests.integration.intake.conftest import GROUP, Inbox, patient


@pytest.fixture
def on_s3(
    s3_endpoint: S3Endpoint, settings: Settings, engine: Engine, tmp_path: Path
) -> Iterator[Inbox]:
    there = s3_endpoint.settings(
        tmp_path / "s3",
        postgres_url=settings.postgres_url,
        database_prefix=settings.database_prefix,
        quiescence_minutes=0,
        raw_retention_days=1,
    )
    store = open_store(there)
    store.prepare()
    yield Inbox(store, engine, there)
    s3_endpoint.remove_buckets(there)


def test_a_drop_is_staged_changed_and_repeated(on_s3: Inbox) -> None:
    on_s3.drop({"a.json": patient(1), "deep/é b.json": patient(2)})
    first = on_s3.take_one()
    on_s3.remove("a.json")
    on_s3.drop({"c.json": patient(3)})
    second = on_s3.take_one()
    on_s3.drop(
        {"a.json": patient(1), "deep/é b.json": patient(2), "c.json": patient(3)},
        group="north/fhir/again",
    )

    report = on_s3.take()

    assert [one.submission_id for one in report.duplicates] == [second.submission_id]
    assert second.supersedes == first.submission_id
    assert on_s3.raw(second.submission_id) == {
        "a.json": patient(1),
        "deep/é b.json": patient(2),
        "c.json": patient(3),
    }
    assert on_s3.take().registered == []


def test_raw_is_held_by_object_lock(on_s3: Inbox) -> None:
    on_s3.drop({"a.json": patient(1)})
    new = on_s3.take_one()
    key = f"raw/north/fhir/{new.submission_id}/a.json"

    if not on_s3.store.make_immutable(key):
        pytest.skip("this server has no object lock")
    with pytest.raises(AccessDenied):
        on_s3.store.delete(key)


def test_a_large_object_and_many_small_ones(on_s3: Inbox) -> None:
    line = patient(1) + b"\n"
    on_s3.drop({"big.ndjson": line * (20_000_000 // len(line))})
    on_s3.drop({f"{n}.json": patient(n) for n in range(150)}, group="north/fhir/many")

    report = on_s3.take()

    assert {new.group_key: new.state for new in report.registered} == {
        GROUP: "STAGED",
        "north/fhir/many": "STAGED",
    }
