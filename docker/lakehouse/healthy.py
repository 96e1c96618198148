"""Health checks that mean health, and are cheap: each starts a small Python and asks what its service asks.

healthy.py http URL            the address answers with 200
healthy.py platform HOST:PORT  the code location says SERVING (grpc.health.v1), and the platform's
                               database and object store take the secrets there are now
healthy.py superset URL        Superset answers, and so do its database and the marts
healthy.py daemon              every required daemon had a heartbeat within the last two minutes

It only asks. A command whose secret changed is started again by the entry point.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

#: HealthCheckRequest{service: "DagsterApi"} and HealthCheckResponse{status: SERVING}, as protobuf.
CHECK_DAGSTER_API = b"\n\x0aDagsterApi"
SERVING = b"\x08\x01"
DAEMONS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "MONITORING", "ASSET")


def http(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=4) as answer:  # noqa: S310 (an address of our own)
        return bool(answer.status == 200)


def platform(address: str) -> bool:
    import grpc as library

    with library.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        serving = bool(check(CHECK_DAGSTER_API, timeout=4) == SERVING)
    return serving and _connects("POSTGRES_URL", "POSTGRES_PASSWORD", "lakehouse") and _store()


def superset(url: str) -> bool:
    return (
        http(url)
        and _connects("SUPERSET_DATABASE_URL", "SUPERSET_DATABASE_PASSWORD", "superset")
        and _connects("BI_READER_URL", "BI_READER_PASSWORD", "marts")
    )


def daemon() -> bool:
    import psycopg

    host, _, port = os.environ.get("DAGSTER_DB_ADDRESS", "postgres:5432").partition(":")
    with psycopg.connect(
        host=host,
        port=port,
        dbname="dagster",
        user="dagster",
        password=_secret("DAGSTER_DB_PASSWORD"),
        connect_timeout=4,
    ) as connection:
        beating = connection.execute(
            "select count(*) from daemon_heartbeats where daemon_type = any(%s)"
            " and timestamp > (now() at time zone 'utc') - interval '2 minutes'",
            [list(DAEMONS)],
        ).fetchone()
    return beating is not None and beating[0] >= len(DAEMONS)


def _connects(url: str, password: str, database: str) -> bool:
    """Whether the database takes this role with the password there is now."""
    try:
        from psycopg import connect
    except ImportError:  # Superset's image
        from psycopg2 import connect
    parts = urlsplit(os.environ[url])
    connect(
        host=parts.hostname,
        port=parts.port or 5432,
        user=parts.username,
        password=_secret(password),
        dbname=database,
        connect_timeout=4,
    ).close()
    return True


def _store() -> bool:
    """Whether the object store takes the platform's key."""
    from minio import Minio

    endpoint = urlsplit(os.environ["OBJECT_STORE_ENDPOINT"])
    client = Minio(
        endpoint.netloc,
        access_key=_secret("OBJECT_STORE_ACCESS_KEY"),
        secret_key=_secret("OBJECT_STORE_SECRET_KEY"),
        secure=endpoint.scheme == "https",
        region=os.environ.get("OBJECT_STORE_REGION", "us-east-1"),
    )
    return bool(client.bucket_exists(os.environ.get("RAW_BUCKET", "health-raw")))


def _secret(name: str) -> str:
    return Path(os.environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip()


def main(arguments: list[str]) -> int:
    checks = {"http": http, "platform": platform, "superset": superset, "daemon": daemon}
    try:
        return 0 if checks[arguments[0]](*arguments[1:]) else 1
    except Exception as error:  # noqa: BLE001 (whatever it is, the answer is "not healthy")
        sys.stderr.write(f"{type(error).__name__}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
