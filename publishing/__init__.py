"""Publishing: the lake's marts, copied to where dashboards read them.

:func:`publish` builds the next publication beside the current one and re-points readers in one
transaction; :func:`rollback` points them back; :func:`verify` compares what readers see with what
they should see; :func:`reconcile` corrects the record after a publisher that died;
:func:`forget_earlier` drops what is kept for rollback. What goes into the marts is dbt's business,
not this package's.
"""

from __future__ import annotations

from publishing.earlier import forget_earlier, rollback
from publishing.postgres import PostgresTarget
from publishing.publisher import publish, reconcile
from publishing.reports import PublishReport, TableCount, VerifyReport
from publishing.target import Publication, Target
from publishing.verifying import verify

__all__ = [
    "PostgresTarget",
    "Publication",
    "PublishReport",
    "TableCount",
    "Target",
    "VerifyReport",
    "forget_earlier",
    "publish",
    "reconcile",
    "rollback",
    "verify",
]
