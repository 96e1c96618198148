"""Which stack is tested, how long things took, and what a failure needs to be understood."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.compose_stack import ComposeStack
from tests.e2e.native_stack import NativeStack
from tests.e2e.stack import Stack, StackError, Superset

#: Values of LAKEHOUSE_E2E.
STACKS = {"compose": ComposeStack, "native": NativeStack}
_RUNNING = pytest.StashKey[Stack]()
_MEASURED = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MEASURED] = {}


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> dict[str, str]:
    """Figures for the end of the report, by what they say."""
    return request.config.stash[_MEASURED]


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack that LAKEHOUSE_E2E names: nothing is there yet, and nothing is left afterwards."""
    name = os.environ.get("LAKEHOUSE_E2E", "")
    if name not in STACKS:
        pytest.fail(f"LAKEHOUSE_E2E is {name!r}, and not one of: {', '.join(STACKS)}")
    stack: Stack = STACKS[name]()
    stack.remove()
    request.config.stash[_RUNNING] = stack
    yield stack
    stack.remove()


@pytest.fixture(scope="session")
def superset(stack: Stack) -> Superset:
    """Superset's API, with the viewer's login. The stack has to be up."""
    return Superset(stack.addresses.superset, stack.viewer())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    outcome = yield
    report = outcome.get_result()
    if not report.failed or _RUNNING not in item.config.stash:
        return
    try:
        words = item.config.stash[_RUNNING].last_words()
    except (StackError, OSError) as error:
        words = f"not to be had: {error}"
    report.sections.append(("The services' last words", words))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    figures = config.stash[_MEASURED]
    if figures:
        terminalreporter.section("measured, end to end")
        for what, figure in figures.items():
            terminalreporter.write_line(f"{what:<55} {figure}")
