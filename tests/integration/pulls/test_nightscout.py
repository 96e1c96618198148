"""A Nightscout site is pulled into drops: both versions of its API, deletions, failures in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from ingestion.intake import intake
from ingestion.pulls import nightscout
from ingestion.pulls.nightscout import PullReport, SiteSettings
from ingestion.pulls.nightscout_api import Site
from lakehouse.errors import ConfigurationError, PullError
from lakehouse.settings import Settings
from lakehouse.store import LocalStore
from tests.integration.metadata_database import engine, metadata_template, settings
from tests.nightscout_server import (
    ACCESS_TOKEN,
    NightscoutServer,
    milliseconds,
    nightscout_server,
)

__all__ = ["engine", "metadata_template", "settings"]

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


class Killed(Exception):
    """The process ends here."""


@dataclass
class Puller:
    """A site, and pulls of it: what each of them dropped."""

    server: NightscoutServer
    store: LocalStore
    engine: Engine
    settings: Settings
    waits: list[float] = field(default_factory=list)
    now: datetime = NOW

    def pull(self, store: Any = None) -> PullReport:
        site = SiteSettings(
            "p017",
            self.server.url,
            "P-017",
            since=datetime(2026, 3, 1, tzinfo=UTC),
            lag=timedelta(days=2),
            timeout_s=5,
        )
        return nightscout.pull(
            site,
            store or self.store,
            self.engine,
            self.settings,
            now=self.now,
            actor="test",
            open_site=lambda site, secret: Site(
                site.name, site.url, secret, timeout_s=site.timeout_s, sleep=self.waits.append
            ),
        )

    def dropped(self, report: PullReport) -> dict[str, tuple[Any, Any]]:
        """Value and validity of each document in the drop of a pull, by its key."""
        assert report.drop is not None
        found: dict[str, tuple[Any, Any]] = {}
        for info in self.store.list(f"inbox/{report.drop}/"):
            if info.key.endswith(".json"):
                assert "/subject=P-017/" in info.key
                for one in json.loads(self.store.read(info.key)):
                    key = one.get("identifier") or one["_id"]
                    found[key] = (one.get("sgv", one.get("insulin")), one.get("isValid", True))
        return found


@pytest.fixture
def puller(engine: Engine, settings: Settings, tmp_path: Path) -> Iterator[Puller]:
    with_token = settings.model_copy(update={"nightscout_token": SecretStr(ACCESS_TOKEN)})
    with nightscout_server() as server:
        yield Puller(server, LocalStore(tmp_path / "store", settings), engine, with_token)


def entry(minutes_ago: int, sgv: int) -> dict[str, Any]:
    return {"type": "sgv", "sgv": sgv, "date": milliseconds(NOW - timedelta(minutes=minutes_ago))}


def bolus(minutes_ago: int, insulin: float) -> dict[str, Any]:
    moment = (NOW - timedelta(minutes=minutes_ago)).isoformat().replace("+00:00", "Z")
    return {"eventType": "Bolus", "insulin": insulin, "created_at": moment}


def test_what_either_version_of_the_api_has_is_dropped_once(puller: Puller) -> None:
    for number in range(8):  # more than a page
        puller.server.write_v3("entries", f"v3-{number}", **entry(10 * number, 100 + number))
    puller.server.write_v1("entries", "v1-0", **entry(5, 90))
    puller.server.write_v3("treatments", "t-0", **bolus(30, 2.5))
    puller.server.write_v1("treatments", "t-1", **bolus(40, 3))

    found = puller.dropped(puller.pull())

    assert found == {f"v3-{n}": (100 + n, True) for n in range(8)} | {
        "v1-0": (90, True),
        "t-0": (2.5, True),
        "t-1": (3, True),
    }
    assert puller.pull().drop is None


def test_edits_and_deletions_of_both_versions_come_with_the_next_pull(puller: Puller) -> None:
    for name in ("edited", "deleted", "kept"):
        puller.server.write_v3("entries", f"v3-{name}", **entry(10, 100))
        puller.server.write_v1("entries", f"v1-{name}", **entry(20, 100))
    puller.pull()

    puller.server.write_v3("entries", "v3-edited", **entry(10, 111))
    puller.server.delete_v3("entries", "v3-deleted")
    puller.server.write_v1("entries", "v1-edited", **entry(20, 122))
    puller.server.delete_v1("entries", "v1-deleted")
    puller.now += timedelta(minutes=15)

    assert puller.dropped(puller.pull()) == {
        "v3-edited": (111, True),
        "v3-deleted": (100, False),
        "v1-edited": (122, True),
        "v1-deleted": (None, False),
    }
    # v1 still shows what v3 deleted: that brings nothing back.
    puller.now += timedelta(hours=1)
    assert puller.pull().drop is None


def test_what_a_phone_uploads_late_is_found_within_the_lag(puller: Puller) -> None:
    puller.server.write_v1("entries", "first", **entry(10, 100))
    puller.pull()
    puller.server.write_v1("entries", "late", **entry(60 * 24, 101))
    puller.server.write_v1("entries", "too-late", **entry(60 * 24 * 5, 102))
    puller.now += timedelta(minutes=15)

    assert set(puller.dropped(puller.pull())) == {"late"}


def test_a_site_without_v3_is_read_by_v1_alone(puller: Puller) -> None:
    puller.server.has_v3 = False
    puller.server.write_v1("entries", "v1-0", **entry(5, 90))

    assert puller.dropped(puller.pull()) == {"v1-0": (90, True)}


def test_a_pull_that_fails_in_the_middle_drops_nothing_and_is_done_again(puller: Puller) -> None:
    for number in range(8):
        puller.server.write_v3("entries", f"v3-{number}", **entry(10 * number, 100))
    puller.server.fails_from = 4

    with pytest.raises(PullError, match="HTTP 500"):
        puller.pull()
    assert list(puller.store.list("inbox/")) == []

    puller.server.fails_from = None
    assert len(puller.dropped(puller.pull())) == 8


def test_a_process_that_dies_before_it_notes_its_drop_makes_the_same_drop_again(
    puller: Puller,
) -> None:
    puller.server.write_v1("entries", "v1-0", **entry(5, 90))

    class DiesAfterTheMarker:
        def __getattr__(self, name: str) -> Any:
            return getattr(puller.store, name)

        def put(self, key: str, data: bytes) -> None:
            puller.store.put(key, data)
            if key.endswith("_SUCCESS"):
                raise Killed

    with pytest.raises(Killed):
        puller.pull(DiesAfterTheMarker())
    puller.server.write_v1("entries", "v1-1", **entry(4, 91))

    report = puller.pull()

    assert report.drop == "nightscout/cgm_export/nightscout-p017-000001"
    assert set(puller.dropped(report)) == {"v1-0", "v1-1"}
    assert len({info.key.split("/")[3] for info in puller.store.list("inbox/")}) == 1


def test_a_pull_waits_as_long_as_the_site_says(puller: Puller) -> None:
    puller.server.write_v1("entries", "v1-0", **entry(5, 90))
    puller.server.failures = [(429, {"Retry-After": "7"}), (503, {})]

    puller.pull()

    assert puller.waits == [7.0, 14.0]


def test_each_pull_is_registered_as_a_drop_of_its_own(puller: Puller) -> None:
    puller.server.write_v1("entries", "v1-0", **entry(5, 90))
    puller.pull()
    puller.server.write_v1("entries", "v1-1", **entry(4, 91))
    puller.pull()

    report = intake(
        puller.store, puller.engine, puller.settings, now=datetime.now(UTC), actor="test"
    )

    assert [(one.group_key, one.state, one.file_types) for one in report.registered] == [
        (f"nightscout/cgm_export/nightscout-p017-{n:06d}", "STAGED", {"cgm_export": 1})
        for n in (1, 2)
    ]


def test_a_wrong_secret_is_said_without_it(puller: Puller) -> None:
    wrong = puller.settings.model_copy(
        update={"nightscout_token": SecretStr("reader-ffffffffffffffff")}
    )
    puller.settings = wrong

    with pytest.raises(PullError, match="refused the secret") as raised:
        puller.pull()
    assert "ffff" not in str(raised.value)


def test_sites_are_listed_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sites.yml"
    path.write_text(
        "sites:\n  - {name: p017, url: 'https://p017.example', subject: P-017, lag_days: 2, since: 2026-03-01}\n"
    )
    (site,) = nightscout.sites(Settings(nightscout_sites=path))
    assert (site.subject, site.lag, site.since) == (
        "P-017",
        timedelta(days=2),
        datetime(2026, 3, 1, tzinfo=UTC),
    )

    path.write_text("sites:\n  - {name: p017, url: 'https://p017.example', patient: P-017}\n")
    with pytest.raises(ConfigurationError, match="patient"):
        nightscout.sites(Settings(nightscout_sites=path))
