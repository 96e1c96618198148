"""Health checks that mean health, and are cheap: each starts a small Python and asks one question.

healthy.py http URL      the address answers with 200
healthy.py grpc PORT     the code location says SERVING (grpc.health.v1)
healthy.py daemon        every required daemon had a heartbeat within the last two minutes
"""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

#: HealthCheckRequest{service: "DagsterApi"} and HealthCheckResponse{status: SERVING}, as protobuf.
CHECK_DAGSTER_API = b"\n\x0aDagsterApi"
SERVING = b"\x08\x01"
DAEMONS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "MONITORING", "ASSET")


def http(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=4) as answer:  # noqa: S310 (an address of our own)
        return bool(answer.status == 200)


def grpc(port: str) -> bool:
    import grpc as library

    with library.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        return bool(check(CHECK_DAGSTER_API, timeout=4) == SERVING)


def daemon() -> bool:
    import psycopg

    password = Path(os.environ["DAGSTER_DB_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
    host, _, port = os.environ.get("DAGSTER_DB_ADDRESS", "postgres:5432").partition(":")
    with psycopg.connect(
        host=host, port=port, dbname="dagster", user="dagster", password=password, connect_timeout=4
    ) as connection:
        beating = connection.execute(
            "select count(*) from daemon_heartbeats where daemon_type = any(%s)"
            " and timestamp > (now() at time zone 'utc') - interval '2 minutes'",
            [list(DAEMONS)],
        ).fetchone()
    return beating is not None and beating[0] >= len(DAEMONS)


def main(arguments: list[str]) -> int:
    checks = {"http": http, "grpc": grpc, "daemon": daemon}
    try:
        return 0 if checks[arguments[0]](*arguments[1:]) else 1
    except Exception as error:  # noqa: BLE001 (whatever it is, the answer is "not healthy")
        sys.stderr.write(f"{type(error).__name__}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
