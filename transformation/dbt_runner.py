"""Running dbt in this process: the one place that knows dbt's command line.

dbt's own start is seconds, so its parsed project is kept: one file per state of the project's
files, under ``<home>/dbt``. Nothing is written into the project, nothing is sent anywhere, and dbt
logs nothing: its messages may quote values, so what leaves this module is redacted.
"""

from __future__ import annotations

import argparse
import contextvars
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import whole_file
from lakehouse.errors import BuildError
from lakehouse.settings import Settings, load_settings
from transformation import fingerprints

if TYPE_CHECKING:
    from dbt.artifacts.resources.v1.components import InjectedCTE
    from dbt.contracts.graph.manifest import Manifest

PROJECT = Path(__file__).resolve().parents[1] / "dbt"

_PROJECT_SOURCES = (
    "macros/**/*.sql",
    "models/**/*",
    "tests/**/*.sql",
    "*.yml",
    # what the staging models are made from, and by
    "views/*.json",
    "../transformation/views.py",
    "../sql_on_fhir/**/*.py",
    "../sql_on_fhir/definitions/r4.json",
)

#: dbt keeps one adapter, one connection pool and one set of flags per process.
_ONE_AT_A_TIME = threading.Lock()

#: Quoted text, also where the message was cut off inside it.
_STRING = re.compile(r"""'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)""")
_RESOURCE = re.compile(r"\b([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}\b")


@dataclass(frozen=True)
class DbtNode:
    """What one model or test did. ``status`` is success, error, skipped, pass, warn or fail."""

    unique_id: str
    name: str
    resource_type: str
    status: str
    seconds: float
    rows: int | None = None
    failures: int | None = None
    message: str | None = None


@dataclass(frozen=True)
class DbtReport:
    """One run of dbt: its nodes in the order in which they ended, and wall seconds in all."""

    nodes: tuple[DbtNode, ...]
    seconds: float
    startup_seconds: float

    @property
    def failed(self) -> tuple[DbtNode, ...]:
        return tuple(node for node in self.nodes if node.status in ("error", "fail", "skipped"))


def build(
    settings: Settings,
    *,
    select: str | None = None,
    full_refresh: bool = False,
    with_tests: bool = True,
    on_event: Callable[[DbtNode], None] | None = None,
) -> DbtReport:
    """Build the selected models, each with its tests, into the lake of ``settings``.

    ``select`` is dbt's selection syntax. Which submissions are added and removed dbt reads from
    the running build (``lakehouse.metadata.builds``); the caller holds the layers' writer lock. A
    failed model or test is told in the report; :class:`BuildError` where dbt could not run at all.
    """
    # Tests over several models run with the last of them.
    arguments = ["build", "--indirect-selection", "buildable"] if with_tests else ["run"]
    if select:
        arguments += ["--select", *select.split()]
    if full_refresh:
        arguments.append("--full-refresh")
    with _ONE_AT_A_TIME, _prepared(settings) as environment:
        return _invoke(settings, arguments, environment, on_event)


def generate_docs(settings: Settings, folder: Path) -> Path:
    """Write dbt's documentation site, one file that needs no server: ``folder/index.html``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        _ONE_AT_A_TIME,
        _prepared(settings) as environment,
        tempfile.TemporaryDirectory(dir=_cache(settings.home)) as work,
    ):
        environment["DBT_TARGET_PATH"] = work
        _invoke(settings, ["docs", "generate", "--static"], environment, None, write=True)
        index = folder / "index.html"
        whole_file.write(index, (Path(work) / "static_index.html").read_bytes())
    return index


@functools.lru_cache(maxsize=1)
def manifest() -> dict[str, Any]:
    """dbt's manifest of the project as it is now, as dbt writes it to ``manifest.json``."""
    settings = load_settings()
    path = _cache(settings.home) / f"manifest-{project_fingerprint()}.json"
    if not path.exists():
        from dbt.flags import set_from_args

        with _ONE_AT_A_TIME:
            parsed = _parsed(settings.home)
            # A project that was parsed by another process comes without dbt's flags, which it writes.
            set_from_args(argparse.Namespace(send_anonymous_usage_stats=False), None)
            document = parsed.writable_manifest().to_dict(omit_none=False)
            whole_file.write(path, json.dumps(document, default=str).encode())
    loaded: dict[str, Any] = json.loads(path.read_bytes())
    return loaded


def prepare(settings: Settings) -> float:
    """Parse the project where that was not done for its present state; returns the seconds."""
    started = time.monotonic()
    with _ONE_AT_A_TIME:
        _parsed(settings.home)
    return time.monotonic() - started


def warm_up(home: Path) -> None:
    """What dbt makes once per process, before anybody waits for it: its contracts' schemas, decoders.

    Opens no connection, so a process may be forked afterwards.
    """
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.contracts.project import ProfileConfig, Project, ProjectFlags

    for contract in (Project, ProjectFlags, ProfileConfig, DuckDBCredentials):
        contract.json_schema()
    _parsed(home)


def project_fingerprint() -> str:
    """A hash of everything that dbt parses, and of dbt itself."""
    digest = hashlib.sha256()
    for package in ("dbt-core", "dbt-duckdb"):
        digest.update(importlib.metadata.version(package).encode())
    for path in sorted({path for pattern in _PROJECT_SOURCES for path in PROJECT.glob(pattern)}):
        if path.is_file():
            digest.update(os.path.relpath(path, PROJECT).encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _invoke(
    settings: Settings,
    arguments: list[str],
    environment: Mapping[str, str],
    on_event: Callable[[DbtNode], None] | None,
    *,
    write: bool = False,
) -> DbtReport:
    started = time.monotonic()
    parsed = _parsed(settings.home)
    models = json.dumps(fingerprints.of_tables(parsed))
    from dbt.adapters.duckdb import environments
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    from dbt import compilation
    from transformation.dbt_plugin import LakeEnvironment

    environments.create = LakeEnvironment  # type: ignore[assignment]
    compilation.inject_ctes_into_sql = with_ephemeral_models
    first_node: list[float] = []
    # dbt tells what it does from its own thread: whoever listens is found in the caller's context.
    context = contextvars.copy_context()

    def watch(event: Any) -> None:
        if event.info.name == "NodeStart" and not first_node:
            first_node.append(time.monotonic())
        if event.info.name == "NodeFinished" and on_event is not None:
            context.run(on_event, _node_of_event(event))

    runner = dbtRunner(manifest=parsed, callbacks=[watch])
    try:
        with _environment({**environment, "LAKEHOUSE_MODELS": models}):
            outcome = runner.invoke(
                [
                    *("--quiet", "--log-level", "none", "--log-level-file", "none"),
                    *(() if write else ("--no-write-json",)),
                    *arguments,
                    *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
                ]
            )
    finally:
        # The connection pool belongs to these settings; the next call may have others.
        pool = DuckDBConnectionManager._ENV
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        if pool is not None:
            pool.close()  # type: ignore[unreachable]
    if outcome.exception is not None:
        raise BuildError(
            f"dbt could not run: {redacted(str(outcome.exception))}",
            hint="`lakehouse status` shows whether Postgres and the object store are up.",
        ) from None
    results = getattr(outcome.result, "results", None) or []
    ended = time.monotonic()
    return DbtReport(
        nodes=tuple(_node(result) for result in results if hasattr(result, "node")),
        seconds=ended - started,
        startup_seconds=(first_node[0] if first_node else ended) - started,
    )


#: The start of a statement: what stands before its first word, and whether that is WITH.
_START = re.compile(
    r"(?P<before>(?:\s|--[^\n]*|/\*.*?\*/)*)(?P<with>with(?:\s+recursive)?\b)?",
    re.IGNORECASE | re.DOTALL,
)


def with_ephemeral_models(sql: str, ctes: Sequence[InjectedCTE]) -> str:
    """A model's statement with the ephemeral models that it reads, as dbt puts them in.

    dbt finds the place with sqlparse, which looks at every word of a compiled view: a quarter of the
    processor time of a small build.
    """
    if not ctes:
        return sql
    added = ", ".join(cte.sql for cte in ctes)
    start = _START.match(sql)
    assert start is not None  # noqa: S101 - it matches nothing at least
    if start["with"]:
        return f"{start['before']}{start['with']} {added}, {sql[start.end() :]}"
    return f"with {added}\n{sql}"


def _node(result: Any) -> DbtNode:
    status = str(getattr(result.status, "value", result.status))
    rows = (result.adapter_response or {}).get("rows_affected")
    return DbtNode(
        unique_id=result.node.unique_id,
        name=result.node.name,
        resource_type=str(getattr(result.node.resource_type, "value", result.node.resource_type)),
        status=status,
        seconds=float(result.execution_time or 0.0),
        rows=int(rows) if rows is not None else None,
        failures=result.failures,
        message=redacted(result.message) if result.message and status == "error" else None,
    )


def _node_of_event(event: Any) -> DbtNode:
    info = event.data.node_info
    return DbtNode(
        unique_id=info.unique_id,
        name=info.node_name,
        resource_type=info.resource_type,
        status=info.node_status,
        seconds=float(getattr(event.data.run_result, "execution_time", 0.0)),
    )


def redacted(message: str) -> str:
    """A message of dbt or DuckDB without the values that it quotes: it may come from a record."""
    text = _RESOURCE.sub(r"\1/…", _STRING.sub("'…'", message.strip().split("\n\n")[0]))
    return text[:600]


@contextmanager
def _prepared(settings: Settings) -> Iterator[dict[str, str]]:
    """dbt's environment while it runs with ``settings``."""
    from transformation import dbt_plugin

    target = _cache(settings.home) / "target"
    target.mkdir(parents=True, exist_ok=True)
    dbt_plugin.current_settings = settings
    try:
        yield {
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
        }
    finally:
        dbt_plugin.current_settings = None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _parsed(home: Path) -> Manifest:
    """The parsed project: from the file of its present state, or parsed now."""
    from dbt.contracts.graph.manifest import Manifest

    path = _cache(home) / f"parsed-{project_fingerprint()}.msgpack"
    if not path.exists():
        whole_file.write(path, _parse(home))
        for stale in path.parent.glob("parsed-*.msgpack"):
            if stale != path:
                stale.unlink(missing_ok=True)
    # A run writes compiled code into the manifest it is given, so each gets one of its own.
    loaded: Manifest = Manifest.from_msgpack(path.read_bytes())
    loaded.build_flat_graph()  # type: ignore[no-untyped-call]
    return loaded


def _parse(home: Path) -> bytes:
    from dbt.cli.main import dbtRunner

    with (
        tempfile.TemporaryDirectory(dir=_cache(home)) as folder,
        _environment({"DBT_TARGET_PATH": folder, "DBT_LOG_PATH": folder, "DO_NOT_TRACK": "1"}),
    ):
        project = _with_staging_models(Path(folder) / "project")
        outcome = dbtRunner().invoke(
            [
                *(
                    "--quiet",
                    "--log-level",
                    "none",
                    "--log-level-file",
                    "none",
                    "--no-partial-parse",
                ),
                "parse",
                *("--project-dir", str(project), "--profiles-dir", str(PROJECT)),
            ]
        )
        if outcome.exception is not None or not outcome.success:
            raise BuildError(
                f"dbt cannot read the project: {redacted(str(outcome.exception))}",
                hint="Mend the model or YAML file that it names.",
            )
        return (Path(folder) / "partial_parse.msgpack").read_bytes()


def _with_staging_models(copy: Path) -> Path:
    """A copy of the project with the staging models: what dbt parses, and nobody else reads."""
    from transformation import views

    texts = {path: path.read_bytes() for path in PROJECT.rglob("*") if path.is_file()}
    files = {copy / path.relative_to(PROJECT): text for path, text in texts.items()}
    for name, text in views.staging_models(PROJECT).items():
        files[copy / "models" / "staging" / name] = text.encode()
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return copy


def _cache(home: Path) -> Path:
    folder = home.resolve() / "dbt"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
