"""Great Expectations: suites compiled, validated and shown. Called through :mod:`quality.worker` only.

Two ways to validate. For the lake and the metadata database, DuckDB or Postgres counted already
(:mod:`quality.measure`) and the expectations bound those counts, one column per rule in a frame of
one row. Published marts are validated natively, by Great Expectations' own SQL.
"""

from __future__ import annotations

import fcntl
import logging
import multiprocessing.util
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from sqlalchemy import event
from sqlalchemy.pool import Pool

from lakehouse.errors import QualityError
from quality import data_docs
from quality.suites import VALIDATIONS_KEPT, Rule, Suite

T = TypeVar("T")

_LOG = logging.getLogger("quality")
#: A check of a published mart that takes longer is stuck.
_STATEMENT_SECONDS = 600
_COUNTS = "counts"
_CONNECTION_VARIABLE = "LAKEHOUSE_MARTS_CONNECTION"
_ERROR, _WARNING = "critical", "warning"  # how Great Expectations calls our severities

#: Counts only: no value of a row reaches the stored results or the site.
_RESULT_FORMAT = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": 0,
    "exclude_unexpected_values": True,
}


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Keep other processes out of this home's Great Expectations files meanwhile."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "gx.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def validate(
    home: Path,
    suites: Sequence[tuple[Suite, Mapping[str, float]]],
    run_name: str,
) -> dict[str, dict[str, bool]]:
    """Of each table, the verdict per rule on what was counted for it."""
    return _with_own_files(
        home,
        lambda: {
            suite.table: validate_facts(home, suite, values, run_name) for suite, values in suites
        },
    )


def validate_marts(
    home: Path, suites: Sequence[Suite], url: str, schema: str, run_name: str
) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each published mart, verdict and counts per rule."""
    return _with_own_files(
        home,
        lambda: {
            suite.table: validate_published(home, suite, url, schema, run_name) for suite in suites
        },
    )


def _with_own_files(home: Path, work: Callable[[], T]) -> T:
    """Do it alone in this home; where Great Expectations stumbles over its own files, with new ones.

    When this process ends, the Data Docs site is brought up to date.
    """
    with alone(home):
        try:
            done = work()
        except QualityError:
            raise
        except Exception:  # noqa: BLE001  (what a half-written file raises depends on the file)
            start_anew(home)
            done = work()
    _complete_at_the_end(home)
    return done


@cache
def _complete_at_the_end(home: Path) -> None:
    """Of multiprocessing: Python's own list of such things is not looked at when a fork ends."""
    multiprocessing.util.Finalize(None, _complete, [home], exitpriority=1)


def _complete(home: Path) -> None:
    """Nobody waits for this, so a failure is only logged; the next build finds what is missing."""
    if not home.exists():
        return
    try:
        build_site(home)
    except Exception as error:  # noqa: BLE001
        _LOG.warning("Data Docs could not be completed (%s).", type(error).__name__)


def validate_facts(
    home: Path, suite: Suite, values: Mapping[str, float], run_name: str
) -> dict[str, bool]:
    """Verdict per rule on the counted ``values``; a rule without one fails."""
    context = _context(home)
    definition = _definition(context, suite, _frames(context))
    frame = pd.DataFrame({name: [value] for name, value in values.items()})
    result = definition.run(
        batch_parameters={"dataframe": frame},
        result_format=_RESULT_FORMAT,
        run_id=gx.RunIdentifier(run_name=run_name),
    )
    return {
        outcome.expectation_config.meta["rule"]: bool(outcome.success) for outcome in result.results
    }


def validate_published(
    home: Path, suite: Suite, url: str, schema: str, run_name: str
) -> dict[str, dict[str, Any]]:
    """Verdict and counts per rule, by Great Expectations' SQL on table ``schema.table``."""
    context = _context(home)
    compile_suite(suite)  # before connecting: a wrong rule is told by its name
    with _connections_closed(), _connection_known(url):
        source = context.data_sources.add_or_update_postgres(
            name="marts", connection_string="${" + _CONNECTION_VARIABLE + "}"
        )
        asset = source.add_table_asset(suite.table, table_name=suite.table, schema_name=schema)
        batches = asset.add_batch_definition_whole_table("published")
        definition = _definition(context, suite, batches)
        result = definition.run(
            result_format=_RESULT_FORMAT, run_id=gx.RunIdentifier(run_name=run_name)
        )
        source.get_engine().dispose()
    return {
        outcome.expectation_config.meta["rule"]: {
            "passed": bool(outcome.success),
            "raised": bool((outcome.exception_info or {}).get("raised_exception")),
            **{
                name: outcome.result[name]
                for name in ("observed_value", "element_count", "missing_count", "unexpected_count")
                if isinstance(outcome.result.get(name), int | float)
            },
        }
        for outcome in result.results
    }


def start_anew(home: Path) -> None:
    """Forget the stored context: all of it is made again from the suites, and results are kept in
    the metadata database. For when a file in it was left half-written."""
    _context.cache_clear()
    shutil.rmtree(home / "gx", ignore_errors=True)


def build_site(home: Path) -> int:
    """Bring the Data Docs site up to date and prune old validations; returns pages made.

    Pages are found missing by looking, so a site that was interrupted is completed.
    """
    with alone(home):
        context = _context(home)
        _prune(context, home)
        missing = [
            key
            for key in context.validation_results_store.list_keys()
            if not data_docs.page_of(home, key.to_tuple()).exists()
        ]
        if missing:
            suites = {key.expectation_suite_identifier for key in missing}
            context.build_data_docs(resource_identifiers=[*missing, *suites], build_index=False)
        data_docs.finish(home)
    return len(missing)


@contextmanager
def _connections_closed() -> Iterator[None]:
    """Close every connection that is opened meanwhile.

    Great Expectations makes engines that nothing disposes; one left in a transaction would keep an
    old publish from being dropped.
    """
    opened: list[Any] = []
    here = threading.get_ident()

    def remember(connection: Any, _record: Any) -> None:
        if threading.get_ident() == here:  # other engines of this process are not ours
            opened.append(connection)

    event.listen(Pool, "connect", remember)
    try:
        yield
    finally:
        event.remove(Pool, "connect", remember)
        for connection in opened:
            connection.close()


@contextmanager
def _connection_known(url: str) -> Iterator[None]:
    """Great Expectations stores its configuration in a file: the variable keeps the password out."""
    limit = f"options=-c%20statement_timeout%3D{_STATEMENT_SECONDS}s"
    os.environ[_CONNECTION_VARIABLE] = f"{url}{'&' if '?' in url else '?'}{limit}"
    try:
        yield
    finally:
        del os.environ[_CONNECTION_VARIABLE]


@cache
def _context(home: Path) -> Any:
    """The context in ``home``/gx with its site in ``home``/site; one per process and home."""
    context = gx.get_context(mode="file", project_root_dir=str(home))
    if context.variables.config_variables_file_path is not None:
        # Nothing of ours is in that file, and it would be parsed again for every expectation.
        context.variables.config_variables_file_path = None  # type: ignore[assignment]
        context.variables.save()
        context = gx.get_context(mode="file", project_root_dir=str(home))
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.variables.data_docs_sites = {
        "data_docs": {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                # Relative to the context, so that the home folder can be moved.
                "base_directory": f"../{data_docs.SITE}/",
            },
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        }
    }
    context.variables.save()
    return context


def _frames(context: Any) -> Any:
    """The batch definition of frames of counts; one for all suites, as each is a file's rewrite."""
    source = context.data_sources.all().get(_COUNTS) or context.data_sources.add_pandas(_COUNTS)
    names = {asset.name for asset in source.assets}
    asset = source.get_asset(_COUNTS) if _COUNTS in names else source.add_dataframe_asset(_COUNTS)
    if asset.batch_definitions:
        return asset.get_batch_definition(_COUNTS)
    return asset.add_batch_definition_whole_dataframe(_COUNTS)


def _definition(context: Any, suite: Suite, batches: Any) -> Any:
    """The stored validation definition with its stored suite, brought up to date."""
    return context.validation_definitions.add_or_update(
        gx.ValidationDefinition(name=suite.name, data=batches, suite=compile_suite(suite))
    )


def compile_suite(suite: Suite) -> gx.ExpectationSuite:
    """The suite as Great Expectations has it. Raises :class:`QualityError` naming the rule."""
    compile_rule = _native if suite.database == "marts" else _on_counts
    return gx.ExpectationSuite(
        name=suite.name,
        notes=suite.description or None,
        expectations=[compile_rule(rule) for rule in suite.rules],
    )


def _expectation(rule: Rule, kind: str, **arguments: Any) -> dict[str, Any]:
    """The expectation with what Data Docs say about the rule."""
    reasons = [rule.why, f"Source: {rule.source}" if rule.source else None]
    return {
        "type": kind,
        "kwargs": arguments,
        "description": f"{rule.name}: {rule.requirement}",
        "notes": "\n\n".join(reason for reason in reasons if reason),
        "severity": _ERROR if rule.severity == "error" else _WARNING,
        "meta": {"rule": rule.name},
    }


def _on_counts(rule: Rule) -> dict[str, Any]:
    lowest, highest = (
        (rule.minimum, rule.maximum) if rule.kind == "row_count" else (0, rule.allowed_share)
    )
    return _expectation(
        rule,
        "expect_column_max_to_be_between",
        column=rule.name,
        min_value=lowest,
        max_value=highest,
    )


def _native(rule: Rule) -> dict[str, Any]:
    if rule.where or rule.when or rule.list:
        raise QualityError(
            f"Rule published.{rule.table} {rule.name}: rules here have no condition."
        )
    if rule.kind == "row_count":
        return _expectation(
            rule,
            "expect_table_row_count_to_be_between",
            min_value=_whole(rule.minimum),
            max_value=_whole(rule.maximum),
        )
    kind, arguments = _native_column_rule(rule)
    return _expectation(rule, kind, mostly=1 - rule.tolerance, **arguments)


def _native_column_rule(rule: Rule) -> tuple[str, dict[str, Any]]:
    if rule.kind == "not_null":
        return "expect_column_values_to_not_be_null", {"column": rule.column}
    if rule.kind == "unique" and len(rule.columns) == 1:
        return "expect_column_values_to_be_unique", {"column": rule.columns[0]}
    if rule.kind == "unique":
        return "expect_compound_columns_to_be_unique", {"column_list": list(rule.columns)}
    if rule.kind == "between":
        bounds = {"min_value": rule.minimum, "max_value": rule.maximum}
        return "expect_column_values_to_be_between", {"column": rule.column, **bounds}
    if rule.kind == "accepted":
        return (
            "expect_column_values_to_be_in_set",
            {"column": rule.column, "value_set": list(rule.values)},
        )
    raise QualityError(
        f"Rule published.{rule.table} {rule.name}: {rule.kind} is not available here."
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _prune(context: Any, home: Path) -> None:
    """Drop all but the newest validations of each suite, with their pages."""
    by_suite: dict[str, list[Any]] = {}
    for key in context.validation_results_store.list_keys():
        by_suite.setdefault(key.expectation_suite_identifier.name, []).append(key)
    for keys in by_suite.values():
        keys.sort(key=lambda key: key.run_id.run_time)
        for key in keys[:-VALIDATIONS_KEPT]:
            context.validation_results_store.remove_key(key)
            page = data_docs.page_of(home, key.to_tuple())
            page.unlink(missing_ok=True)
            for folder in (page.parent, page.parent.parent):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()


__all__ = [
    "alone",
    "build_site",
    "compile_suite",
    "validate",
    "validate_marts",
]
