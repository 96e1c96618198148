"""Everything that a run uses, imported: what :mod:`orchestration.code_server` forks its runs from.

Only modules and definitions: a thread, a connection or an open database would be shared by the forks.
"""

import importlib

from orchestration.definitions import defs

#: Imported by the code that uses them only when it does, so that commands start quickly.
WHEN_NEEDED = ("dbt.cli.main", "dbt.adapters.duckdb", "dlt.destinations")

for name in WHEN_NEEDED:
    importlib.import_module(name)
defs.get_repository_def()
