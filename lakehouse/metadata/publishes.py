"""Publishes as the metadata database knows them: which one readers see, and whether it lags."""

from __future__ import annotations

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from lakehouse.metadata.models import Build, Publish


def current(engine: Engine) -> Publish | None:
    """The publish that the views read now."""
    with Session(engine, expire_on_commit=False) as session:
        return session.scalars(
            select(Publish).where(Publish.state == "current").order_by(Publish.n.desc()).limit(1)
        ).one_or_none()


def behind(engine: Engine) -> bool:
    """Whether the last successful build is not what was published last.

    A rollback makes the views read an older publish on purpose: that is not lagging, so the newest
    publish counts, whatever the views read.
    """
    with Session(engine) as session:
        built = session.scalar(select(func.max(Build.build_id)).where(Build.status == "succeeded"))
        published = session.scalar(
            select(Publish.build_id)
            .where(Publish.state != "failed")
            .order_by(Publish.n.desc())
            .limit(1)
        )
    return built is not None and (published is None or published < built)
