"""Says what is broken between dashboards and marts; exit code 1 where something is.

python superset/validate.py [manifest.json]     without a manifest dbt's YAML stands for its models
"""

from __future__ import annotations

import sys
from pathlib import Path

from boards.catalog import CatalogError
from boards.validate import validate

if __name__ == "__main__":
    try:
        found = validate(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    except CatalogError as error:
        found = [str(error)]
    for problem in found:
        print(problem)
    print(f"superset dashboards: {len(found)} problems")
    sys.exit(1 if found else 0)
