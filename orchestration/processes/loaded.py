"""Everything that a run uses, imported: what :mod:`orchestration.processes.code_server` forks its runs from.

Only modules and definitions: a thread, a connection or an open database would be shared by the forks.
"""

import gc
import importlib

from lakehouse.settings import load_settings
from orchestration.definitions import defs
from transformation import dbt_runner

#: Imported by the code that uses them only when it does, so that commands start quickly.
WHEN_NEEDED = (
    "dagster._core.execution.plan.active",
    "dbt.adapters.duckdb",
    "dbt.cli.main",
    "dbt.task.build",
    "dbt_common.clients.agate_helper",
    "dlt.destinations",
    "transformation.dbt_plugin",
    "orchestration.processes.storage",
    "pandas",
    "psycopg2.extras",
    "quality.expectations",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "upath",
)

for name in WHEN_NEEDED:
    importlib.import_module(name)
defs.get_repository_def()
dbt_runner.warm_up(load_settings().home)
gc.freeze()  # what is here stays: the collector of a fork need not look at it, nor copy its pages
