"""Finding those of many submissions that make a build fail, in few trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestration.defs.transformation.singled_out import those_that_fail

_MANY = [f"s{number:02}" for number in range(32)]


_ALL = ["a test"]


def recorded(
    failing: Callable[[Sequence[str]], Sequence[str]],
) -> tuple[Callable[[Sequence[str]], Sequence[str]], list[int]]:
    sizes: list[int] = []

    def trial(kept: Sequence[str]) -> Sequence[str]:
        sizes.append(len(kept))
        return failing(kept)

    return trial, sizes


def test_each_that_fails_alone_is_found_in_few_trials() -> None:
    trial, sizes = recorded(lambda kept: _ALL if "s07" in kept else [])
    assert those_that_fail(_MANY, _ALL, trial) == {"s07": _ALL}
    assert len(sizes) <= 11, "twice the halvings of 32, and one without any"


def test_each_is_told_with_what_fails_by_it_and_not_by_others() -> None:
    fails_by = {"s07": "test of a", "s21": "test of b"}
    trial = lambda kept: [test for name, test in fails_by.items() if name in kept]  # noqa: E731
    found = those_that_fail(_MANY, ["test of a", "test of b"], trial)
    assert found == {"s07": ["test of a"], "s21": ["test of b"]}


def test_one_submission_alone_is_told_by_building_without_it() -> None:
    trial, sizes = recorded(lambda kept: _ALL if kept else [])
    assert those_that_fail(["s01"], _ALL, trial) == {"s01": _ALL}
    assert sizes == [0]


def test_nobody_is_told_where_it_fails_without_any_or_only_with_several() -> None:
    assert those_that_fail(_MANY, _ALL, lambda kept: _ALL) == {}
    assert those_that_fail([], _ALL, lambda kept: _ALL) == {}
    together = lambda kept: _ALL if {"s07", "s21"} <= set(kept) else []  # noqa: E731
    assert those_that_fail(_MANY, _ALL, together) == {}
