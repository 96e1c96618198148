"""Publishing: the lake's marts, copied to where dashboards read them.

:func:`publish` builds the next publication beside the current one and re-points readers in one
transaction; :func:`rollback` points them back; :func:`verify` compares counts with the lake;
:func:`forget_earlier` drops what is kept for rollback. What goes into the marts is dbt's business,
not this package's.
"""

from __future__ import annotations

from publishing.postgres import PostgresTarget
from publishing.publisher import (
    PublishReport,
    TableCount,
    VerifyReport,
    forget_earlier,
    publish,
    rollback,
    verify,
)
from publishing.target import Publication, Target

__all__ = [
    "PostgresTarget",
    "Publication",
    "PublishReport",
    "TableCount",
    "Target",
    "VerifyReport",
    "forget_earlier",
    "publish",
    "rollback",
    "verify",
]
