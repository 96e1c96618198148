"""Whose rows make a dbt node of Silver fail: found by building without some of the new submissions.

A model that ends in an error names no submission, so it is tried: it has to succeed without all of
them, and to fail with one alone. Half of them are left out at a time, so that one of many is found
in few builds, of the failing nodes and what they read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from installation.platform import Platform
from lakehouse.metadata import builds
from lakehouse.metadata.submissions import Breach
from transformation import dbt_runner

Node = TypeVar("Node")

#: What is skipped waits for another node: that one fails, and is tried by itself.
_FAILED = ("error", "fail")


def breaches_of(
    failing: Sequence[dbt_runner.DbtNode],
    tables: dict[str, str],
    build: builds.Build,
    *,
    platform: Platform,
) -> dict[str, list[Breach]]:
    """For each new submission whose rows alone make these nodes fail, what failed.

    ``tables`` names the table of each dbt test by its unique id. Empty where the nodes fail without
    any new submission, or only with several together: then nobody can be told from the others.
    """
    candidates = builds.to_judge(platform.engine, build.build_id)
    names = [node.name for node in failing]

    def failing_with(kept: Sequence[str]) -> list[dbt_runner.DbtNode]:
        builds.try_with(platform.engine, build.build_id, candidates, kept)
        done = dbt_runner.build(
            platform.settings,
            select=" ".join(
                f"tag:{tag},+{name}" for name in names for tag in ("staging", "silver")
            ),
            full_refresh=build.full_refresh,
        )
        return [node for node in done.nodes if node.name in names and node.status in _FAILED]

    try:
        found = those_that_fail(candidates, failing, failing_with)
    finally:
        builds.try_with(platform.engine, build.build_id, candidates, candidates)
    return {name: [_breach(node, tables) for node in nodes] for name, nodes in found.items()}


def those_that_fail(
    candidates: Sequence[str],
    failing: Sequence[Node],
    failing_with: Callable[[Sequence[str]], Sequence[Node]],
) -> dict[str, Sequence[Node]]:
    """The candidates that fail alone, each with what fails then; none where it fails without any.

    ``failing`` is what fails with all of them.
    """
    if not candidates or failing_with([]):
        return {}
    return dict(_alone(candidates, failing, failing_with))


def _alone(
    candidates: Sequence[str],
    failing: Sequence[Node],
    failing_with: Callable[[Sequence[str]], Sequence[Node]],
) -> Iterable[tuple[str, Sequence[Node]]]:
    if len(candidates) == 1:
        yield candidates[0], failing
        return
    half = len(candidates) // 2
    for part in (candidates[:half], candidates[half:]):
        if failing_of_part := failing_with(part):
            yield from _alone(part, failing_of_part, failing_with)


def _breach(node: dbt_runner.DbtNode, tables: dict[str, str]) -> Breach:
    failures = node.failures or 0
    is_model = node.resource_type == "model"
    what = node.message or f"{failures:,} failing rows."
    return Breach(
        layer="silver",
        table=node.name if is_model else tables.get(node.unique_id, node.name),
        rule=f"dbt_{node.resource_type}_{node.name}",
        column=None,
        observed={} if is_model else {"unexpected": failures},
        expected=f"The dbt {node.resource_type} {node.name} succeeds.",
        message=(
            f"The dbt {node.resource_type} {node.name} fails with its rows, and not without them: "
            f"{what} A release does not help before the {node.resource_type} can take these rows."
        ),
    )
