"""What readers see, compared with what they should see."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from lakehouse.errors import PublishError
from lakehouse.lake import catalog
from lakehouse.metadata import models, publishes
from lakehouse.settings import Settings
from publishing.opening import lake_counts, opened_lake, opened_target
from publishing.reports import TableCount, VerifyReport
from publishing.target import Target


def verify(
    settings: Settings,
    engine: Engine,
    *,
    con: duckdb.DuckDBPyConnection | None = None,
    target: Target | None = None,
) -> VerifyReport:
    """Compare what readers see with what they should see.

    Their rows with the lake's at the published snapshot (where that has expired, with the counts
    recorded when it was published), and the submissions in them with those that belong there.
    """
    with opened_target(settings, target) as place:
        current = place.current()
        if current is None:
            raise PublishError("Nothing has been published yet.", hint="Run `lakehouse publish`.")
        published = place.count(current.n)
    with opened_lake(settings, con) as lake:
        kept = catalog.snapshot_is_kept(lake, current.snapshot_id)
        expected: Mapping[str, int] = lake_counts(lake, current.snapshot_id) if kept else {}
    source = f"lake snapshot {current.snapshot_id}"
    if not kept:
        source = "the counts recorded at publishing, as the snapshot has expired"
        with Session(engine) as session:
            row = session.get(models.Publish, current.n)
        expected = row.row_counts if row is not None else {}
    names = sorted({*published, *expected})
    return VerifyReport(
        n=current.n,
        build_id=current.build_id,
        snapshot_id=current.snapshot_id,
        source=source,
        tables=[TableCount(name, expected.get(name), published.get(name)) for name in names],
        submissions=publishes.compare(engine, current.build_id),
        rolled_back=publishes.rolled_back(engine),
    )
