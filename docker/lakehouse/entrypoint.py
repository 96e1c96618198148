"""Starts the container's command with the variables that other people's software reads.

The platform reads secrets from files itself. Dagster and boto3 read theirs only from the
environment, so they are put there for this one process: never in the image or the compose file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import quote

#: variable → variable that names its file
FROM_FILES = {
    "AWS_ACCESS_KEY_ID": "DAGSTER_STORE_ACCESS_KEY_FILE",
    "AWS_SECRET_ACCESS_KEY": "DAGSTER_STORE_SECRET_KEY_FILE",
}


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments:
        sys.exit("No command was given.")
    for name, file_name in FROM_FILES.items():
        if path := os.environ.get(file_name):
            os.environ[name] = Path(path).read_text(encoding="utf-8").strip()
    if path := os.environ.get("DAGSTER_DB_PASSWORD_FILE"):
        password = quote(Path(path).read_text(encoding="utf-8").strip(), safe="")
        address = os.environ.get("DAGSTER_DB_ADDRESS", "postgres:5432")
        os.environ["DAGSTER_POSTGRES_URL"] = f"postgresql://dagster:{password}@{address}/dagster"
    os.execvp(arguments[0], arguments)  # noqa: S606 (the container's own command)


if __name__ == "__main__":
    main()
