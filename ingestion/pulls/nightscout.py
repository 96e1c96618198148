"""Pulling a Nightscout site: API v3 and v1 reconciled, what changed since the last pull as one drop.

v3's history has changes and deletions, but only of what was written through v3; v1 has what other programs wrote, and
what v3 deleted (cgm-remote-monitor #8244). Both are read and told apart by identifier: a deletion of v3 wins. v1 is
read again for the last ``lag`` days each time: what changed there is found by comparing, what is gone was deleted.

The state of a site moves on only when its drop is complete; a pull that dies is done again under the same name.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from ingestion.intake.discover import INBOX, MARKER
from ingestion.pulls.nightscout_api import Document, Site, key_of
from lakehouse.errors import ConfigurationError
from lakehouse.metadata import audit, models
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore

log = logging.getLogger(__name__)

COLLECTIONS: Final = ("entries", "treatments")
#: v3's history is read again from so long before the newest change: servers of one site may write late.
_OVERLAP_MS: Final = 60_000


@dataclass(frozen=True)
class SiteSettings:
    """One site of the file that NIGHTSCOUT_SITES names. ``subject`` is whose site it is."""

    name: str
    url: str
    subject: str
    submitter: str = "nightscout"
    since: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    lag: timedelta = timedelta(days=3)
    timeout_s: float = 30
    token_file: Path | None = None


@dataclass
class State:
    """Where the pulls of a site are.

    ``cursors`` are v3's server times by collection, ``until`` how far v1 was read, ``recent`` the documents of the lag
    window as they were, ``deleted`` those of it that v3 deleted, ``number`` that of the last drop.
    """

    number: int = 0
    until: datetime | None = None
    cursors: dict[str, int] = field(default_factory=dict)
    recent: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    deleted: dict[str, list[str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "until": self.until.isoformat() if self.until else None,
            "cursors": self.cursors,
            "recent": self.recent,
            "deleted": self.deleted,
        }

    @classmethod
    def of(cls, content: dict[str, Any] | None) -> State:
        if not content:
            return cls()
        until = content["until"]
        return cls(
            number=content["number"],
            until=datetime.fromisoformat(until) if until else None,
            cursors=content["cursors"],
            recent=content["recent"],
            deleted=content["deleted"],
        )


@dataclass(frozen=True)
class PullReport:
    """What a pull gave: the drop that it became (None where nothing was new), documents and deletions in it."""

    site: str
    drop: str | None
    documents: int
    deletions: int


def sites(settings: Settings) -> list[SiteSettings]:
    """The sites that NIGHTSCOUT_SITES lists. Raises :class:`ConfigurationError` with the place at fault."""
    path = settings.nightscout_sites
    if path is None:
        return []
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))["sites"]
        return [_site(one) for one in listed]
    except OSError as error:
        message = f"NIGHTSCOUT_SITES names a file that cannot be read ({error.strerror})."
        raise ConfigurationError(message, hint="Check the path.") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The file of NIGHTSCOUT_SITES is wrong ({type(error).__name__}: {error}).",
            hint="docs/glucose.md shows one: each site has name, url and subject.",
        ) from None


def _site(one: dict[str, Any]) -> SiteSettings:
    known = {
        "name",
        "url",
        "subject",
        "submitter",
        "since",
        "lag_days",
        "timeout_seconds",
        "token_file",
    }
    if unknown := sorted(set(one) - known):
        raise ValueError(f"unknown {', '.join(unknown)}")
    more: dict[str, Any] = {}
    if "since" in one:
        more["since"] = datetime.fromisoformat(str(one["since"])).replace(tzinfo=UTC)
    if "lag_days" in one:
        more["lag"] = timedelta(days=float(one["lag_days"]))
    if "timeout_seconds" in one:
        more["timeout_s"] = float(one["timeout_seconds"])
    if "token_file" in one:
        more["token_file"] = Path(one["token_file"])
    if "submitter" in one:
        more["submitter"] = str(one["submitter"])
    return SiteSettings(str(one["name"]), str(one["url"]), str(one["subject"]), **more)


def pull(
    site: SiteSettings,
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    *,
    now: datetime,
    actor: str,
    open_site: Callable[[SiteSettings, str | None], Site] | None = None,
) -> PullReport:
    """Put what is new at a site into the inbox as one complete drop, then note that it is there.

    One process pulls a site at a time. Raises :class:`lakehouse.errors.PullError` where the site does not answer:
    then nothing is put and the next pull asks for the same.
    """
    source = f"nightscout/{site.name}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("select pg_advisory_lock(hashtextextended(:key, 0))"), {"key": source}
        )
        try:
            before = _state_of(engine, source)
            opened = (open_site or _open)(site, _secret(site, settings))
            try:
                changes, after = _changes(opened, site, before, now)
            finally:
                opened.close()
            count = sum(len(found) for found in changes.values())
            deletions = sum(
                one.get("isValid") is False for found in changes.values() for one in found
            )
            drop = _put(store, site, after.number, changes) if count else None
            if drop is None:
                after.number = before.number
            _note(engine, source, before, after, drop, count, actor=actor)
        finally:
            connection.execute(
                text("select pg_advisory_unlock(hashtextextended(:key, 0))"), {"key": source}
            )
    log.info("Pulled %s: %d documents, %d of them deletions.", source, count, deletions)
    return PullReport(site.name, drop, count, deletions)


def _open(site: SiteSettings, secret: str | None) -> Site:
    return Site(site.name, site.url, secret, timeout_s=site.timeout_s)


def _secret(site: SiteSettings, settings: Settings) -> str | None:
    if site.token_file is not None:
        try:
            return site.token_file.read_text(encoding="utf-8").strip() or None
        except OSError as error:
            message = f"The token_file of site {site.name} cannot be read ({error.strerror})."
            raise ConfigurationError(message, hint="Check the path and its rights.") from None
    return settings.nightscout_token.get_secret_value() if settings.nightscout_token else None


# What changed ---------------------------------------------------------------------------------


def _changes(
    opened: Site, site: SiteSettings, before: State, now: datetime
) -> tuple[dict[str, list[Document]], State]:
    """New and changed documents and deletions by collection, and the state after them."""
    since = max(site.since, before.until - site.lag) if before.until else site.since
    after = State(number=before.number + 1, until=now)
    changes: dict[str, list[Document]] = {}
    for collection in COLLECTIONS:
        was = before.recent.get(collection, {})
        gone_before = set(before.deleted.get(collection, []))
        cursor = before.cursors.get(collection, _ms(site.since))
        found = _history(opened, collection, cursor - _OVERLAP_MS)
        newest = max([cursor, *(int(one.get("srvModified") or 0) for one in found.values())])
        asked = opened.entries if collection == "entries" else opened.treatments
        merged, there = _reconciled(found, asked(since, now + timedelta(days=1)), gone_before, now)
        gone = {
            key: _tombstone(key, collection, date, now)
            for key, (_, date) in was.items()
            if date >= _ms(since)
            and key not in there
            and key not in merged
            and key not in gone_before
        }
        new = {key: one for key, one in merged.items() if was.get(key, [None])[0] != _digest(one)}
        changes[collection] = [document for _, document in sorted((new | gone).items())]
        kept = {key: entry for key, entry in was.items() if key in there or key in merged}
        kept |= {key: [_digest(document), _date_ms(document)] for key, document in merged.items()}
        window = _ms(now - site.lag - timedelta(days=1))
        after.recent[collection] = {
            key: entry for key, entry in kept.items() if entry[1] >= window or key in found
        }
        after.deleted[collection] = sorted(
            {key for key, document in found.items() if document.get("isValid") is False}
            | {key for key in gone_before if key in there and key not in found}
        )
        after.cursors[collection] = newest
    return changes, after


def _history(opened: Site, collection: str, after_ms: int) -> dict[str, Document]:
    """v3's latest version of each document that changed."""
    if not opened.has_v3:
        return {}
    changed = opened.history(collection, after_ms)
    return {key: document for document in changed if (key := key_of(document)) is not None}


def _reconciled(
    v3: dict[str, Document], v1: Iterable[Document], gone_before: set[str], now: datetime
) -> tuple[dict[str, Document], set[str]]:
    """Documents by identifier, and the keys that v1 still has.

    v3's version counts where both have one, and a deletion of v3 is not undone by what v1 still shows. What v1 alone
    has is stamped with the time of the pull, as it says nothing of its changes.
    """
    merged = dict(v3)
    there: set[str] = set()
    for document in v1:
        key = key_of(document)
        if key is None:
            continue
        there.add(key)
        if key in v3 or key in gone_before:
            continue
        merged[key] = (
            document if document.get("srvModified") else {**document, "pulledAt": _ms(now)}
        )
    return merged, there


def _tombstone(key: str, collection: str, date: int, now: datetime) -> Document:
    """A document that was read before and is not there any more: API v1 deletes without a trace."""
    named = {"type": "sgv"} if collection == "entries" else {}
    return {"identifier": key, "date": date, "isValid": False, "srvModified": _ms(now), **named}


def _digest(document: Document) -> str:
    content = {name: value for name, value in document.items() if name != "pulledAt"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _date_ms(document: Document) -> int:
    date = document.get("date")
    if isinstance(date, int | float):
        return int(date)
    try:
        return _ms(datetime.fromisoformat(str(document.get("created_at"))))
    except ValueError:
        return 0


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


# The drop and the state -----------------------------------------------------------------------


def _put(
    store: ObjectStore, site: SiteSettings, number: int, changes: dict[str, list[Document]]
) -> str:
    """Write the drop, its marker last; what a pull that died left of it is taken away first."""
    drop = f"{site.submitter}/cgm_export/nightscout-{site.name}-{number:06d}"
    prefix = f"{INBOX}{drop}/"
    store.delete_prefix(prefix)
    for collection, documents in changes.items():
        if documents:
            content = json.dumps(documents, ensure_ascii=False, separators=(",", ":")).encode()
            store.put(f"{prefix}subject={site.subject}/{collection}.json", content)
    store.put(prefix + MARKER, b"")
    return drop


def _state_of(engine: Engine, source: str) -> State:
    with Session(engine) as session:
        found = session.get(models.PullState, source)
        return State.of(found.state if found else None)


def _note(
    engine: Engine,
    source: str,
    before: State,
    after: State,
    drop: str | None,
    count: int,
    *,
    actor: str,
) -> None:
    with Session(engine) as session, session.begin():
        audit.lock(session)
        session.merge(
            models.PullState(source=source, state=after.to_json(), pulled_at=datetime.now(UTC))
        )
        if drop is not None:
            audit.append(
                session,
                audit.Event(
                    actor=actor,
                    action="pull.done",
                    subject=f"pull:{source}",
                    before={"number": before.number},
                    after={"number": after.number, "drop": drop, "documents": count},
                ),
            )
