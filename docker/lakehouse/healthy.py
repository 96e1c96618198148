"""Health checks that mean health: each starts a small Python and asks what its service asks.

healthy.py page URL            the address answers with 200
healthy.py dagster URL         the same, and Dagster's database and object store take its secrets
healthy.py daemon              every required daemon had a heartbeat within the last two minutes; the same
healthy.py platform HOST:PORT  the code location says SERVING (grpc.health.v1), and the platform's
                               database and object store take its secrets
healthy.py superset URL        Superset answers, and so do its database and the marts

It only asks: a command whose secret changed is started again by the entry point. What is wrong goes to
Docker, and to the file that HEALTH_REPORT names, where the hub reads it: which part, and why.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

#: HealthCheckRequest{service: "DagsterApi"} and HealthCheckResponse{status: SERVING}, as protobuf.
CHECK_DAGSTER_API = b"\n\x0aDagsterApi"
SERVING = b"\x08\x01"
DAEMONS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "MONITORING", "ASSET")
#: All of a check's questions fit into the time that Docker gives it.
TIMEOUT_SECONDS = 2


class Ill(Exception):
    """What does not work, in words for an operator and without a value."""


Question = Callable[[], None]


def page(url: str) -> Iterator[Question]:
    yield lambda: _answers(url)


def dagster(url: str) -> Iterator[Question]:
    yield lambda: _answers(url)
    yield lambda: _connects(_dagster_url(), "DAGSTER_DB_PASSWORD", "dagster")
    yield lambda: _opens("COMPUTE_LOG_BUCKET", "COMPUTE_LOG", "DAGSTER_STORE")


def daemon() -> Iterator[Question]:
    yield _beats
    yield lambda: _opens("COMPUTE_LOG_BUCKET", "COMPUTE_LOG", "DAGSTER_STORE")


def platform(address: str) -> Iterator[Question]:
    yield lambda: _serves(address)
    yield lambda: _connects(os.environ["POSTGRES_URL"], "POSTGRES_PASSWORD", "lakehouse")
    yield lambda: _opens("RAW_BUCKET", "OBJECT_STORE", "OBJECT_STORE")


def superset(url: str) -> Iterator[Question]:
    database, marts = os.environ["SUPERSET_DATABASE_URL"], os.environ["BI_READER_URL"]
    yield lambda: _answers(url)
    yield lambda: _connects(database, "SUPERSET_DATABASE_PASSWORD", "superset")
    yield lambda: _connects(marts, "BI_READER_PASSWORD", "marts")


def _answers(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS).close()  # noqa: S310 (an address of our own)
    except urllib.error.HTTPError as error:
        raise Ill(f"its page answers with status {error.code}") from error
    except OSError as error:
        raise Ill("its page does not answer") from error


def _serves(address: str) -> None:
    import grpc as library

    with library.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = check(CHECK_DAGSTER_API, timeout=TIMEOUT_SECONDS)
        except library.RpcError as error:
            raise Ill("its code is not served") from error
    if answer != SERVING:
        raise Ill("its code is not ready to be served")


def _dagster_url() -> str:
    return f"postgresql://dagster@{os.environ.get('DAGSTER_DB_ADDRESS', 'postgres:5432')}"


def _connects(url: str, password: str, database: str) -> None:
    _connection(url, password, database).close()


def _connection(url: str, password: str, database: str):  # type: ignore[no-untyped-def] # of either driver
    """A connection with the password there is now."""
    try:
        import psycopg as driver
    except ImportError:  # Superset's image
        import psycopg2 as driver
    parts = urlsplit(url)
    try:
        return driver.connect(
            host=parts.hostname,
            port=parts.port or 5432,
            user=parts.username,
            password=_secret(password),
            dbname=database,
            connect_timeout=TIMEOUT_SECONDS,
        )
    except driver.OperationalError as error:
        raise Ill(_why_not(str(error), str(parts.username), database)) from error


def _why_not(said: str, role: str, database: str) -> str:
    """What Postgres means; a connection that was never made has no SQLSTATE, only a text."""
    if "password authentication failed" in said:
        return f"Postgres refuses the password of the role {role}"
    if "does not exist" in said or "permission denied" in said:
        return f"Postgres lets the role {role} not into the database {database}"
    return f"Postgres cannot be reached as {role}"


def _beats() -> None:
    with _connection(_dagster_url(), "DAGSTER_DB_PASSWORD", "dagster") as connection:
        rows = connection.execute(
            "select daemon_type from daemon_heartbeats"
            " where timestamp > (now() at time zone 'utc') - interval '2 minutes'"
        ).fetchall()
    if silent := set(DAEMONS) - {name for (name,) in rows}:
        raise Ill(f"no heartbeat of {', '.join(sorted(name.lower() for name in silent))}")


def _opens(bucket: str, address: str, key: str) -> None:
    """The object store takes the key there is now for the bucket that it is for."""
    import urllib3
    from minio import Minio
    from minio.error import MinioException

    endpoint = urlsplit(os.environ[f"{address}_ENDPOINT"])
    user = _secret(f"{key}_ACCESS_KEY")
    client = Minio(
        endpoint.netloc,
        access_key=user,
        secret_key=_secret(f"{key}_SECRET_KEY"),
        secure=endpoint.scheme == "https",
        region=os.environ[f"{address}_REGION"],
        http_client=urllib3.PoolManager(timeout=TIMEOUT_SECONDS, retries=False),
    )
    try:
        is_there = client.bucket_exists(os.environ[bucket])
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        if getattr(error, "code", "") in ("AccessDenied", "InvalidAccessKeyId"):
            raise Ill(f"the object store refuses the key of {user}") from error
        raise Ill(f"the object store cannot be reached as {user}") from error
    if not is_there:
        raise Ill(f"the object store has no bucket {os.environ[bucket]}")


def _secret(name: str) -> str:
    return Path(os.environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip()


def problems(questions: Iterator[Question]) -> list[str]:
    """What is wrong, question by question."""
    found = []
    for ask in questions:
        try:
            ask()
        except Ill as ill:
            found.append(str(ill))
        except Exception as error:  # noqa: BLE001 (whatever it is, the answer is "not healthy")
            found.append(f"its health check fails with {type(error).__name__}")
    return list(dict.fromkeys(found))


def report(path: Path, found: list[str]) -> None:
    """Leave word for the hub, in one step."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps({"at": time.time(), "problems": found}), encoding="utf-8")
    new.replace(path)


CHECKS: dict[str, Callable[..., Iterator[Question]]] = {
    "page": page,
    "dagster": dagster,
    "daemon": daemon,
    "platform": platform,
    "superset": superset,
}


def main(arguments: list[str]) -> int:
    found = problems(CHECKS[arguments[0]](*arguments[1:]))
    if path := os.environ.get("HEALTH_REPORT"):
        report(Path(path), found)
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
