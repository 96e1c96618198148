"""Whose rows make a dbt node of Silver fail: found by building without some of the new submissions.

A model that ends in an error names no submission, so it is tried: it has to succeed without all of
them, and to fail with one alone. Half of them are left out at a time, so that one of many is found
in few builds, of the failing nodes and what they read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lakehouse import dbt_runner
from lakehouse.metadata import builds
from lakehouse.metadata.submissions import Breach
from lakehouse.platform import Platform

_ENDED_WELL = ("success", "pass", "warn")


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

    def fails(kept: Sequence[str]) -> bool:
        builds.try_with(platform.engine, build.build_id, candidates, kept)
        done = dbt_runner.build(
            platform.settings,
            select=" ".join(
                f"tag:{tag},+{name}" for name in names for tag in ("staging", "silver")
            ),
            full_refresh=build.full_refresh,
        )
        return any(node.name in names and node.status not in _ENDED_WELL for node in done.nodes)

    try:
        found = those_that_fail(candidates, fails)
    finally:
        builds.try_with(platform.engine, build.build_id, candidates, candidates)
    return {name: [_breach(node, tables) for node in failing] for name in found}


def those_that_fail(candidates: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> list[str]:
    """Which of the candidates, known to fail together, fail alone; none where it fails without any."""
    if not candidates or fails([]):
        return []
    return list(_alone(candidates, fails))


def _alone(candidates: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> Iterable[str]:
    if len(candidates) == 1:
        yield candidates[0]
        return
    half = len(candidates) // 2
    for part in (candidates[:half], candidates[half:]):
        if fails(part):
            yield from _alone(part, fails)


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
