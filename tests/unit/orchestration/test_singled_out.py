"""Finding those of many submissions that make a build fail, in few trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestration.defs.transformation.singled_out import those_that_fail

_MANY = [f"s{number:02}" for number in range(32)]


def recorded(
    fails: Callable[[Sequence[str]], bool],
) -> tuple[Callable[[Sequence[str]], bool], list[int]]:
    sizes: list[int] = []

    def trial(kept: Sequence[str]) -> bool:
        sizes.append(len(kept))
        return fails(kept)

    return trial, sizes


def test_each_that_fails_alone_is_found_in_few_trials() -> None:
    trial, sizes = recorded(lambda kept: "s07" in kept)
    assert those_that_fail(_MANY, trial) == ["s07"]
    assert len(sizes) <= 11, "twice the halvings of 32, and one without any"

    assert those_that_fail(_MANY, lambda kept: bool({"s07", "s21"} & set(kept))) == ["s07", "s21"]


def test_one_submission_alone_is_told_by_building_without_it() -> None:
    trial, sizes = recorded(bool)
    assert those_that_fail(["s01"], trial) == ["s01"]
    assert sizes == [0]


def test_nobody_is_told_where_it_fails_without_any_or_only_with_several() -> None:
    assert those_that_fail(_MANY, lambda kept: True) == []
    assert those_that_fail([], lambda kept: True) == []
    assert those_that_fail(_MANY, lambda kept: {"s07", "s21"} <= set(kept)) == []
