"""What every command of the command line offers."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app
from cli.pipeline import _next_steps
from lakehouse.settings import Settings

#: Write documents, archives or services, or show one story: nothing for a machine to read.
WITHOUT_JSON = {
    "demo",
    "up",
    "down",
    "init",
    "docs",
    "backup",
    "backup-key",
    "restore",
    "generate",
    "walkthrough",
    "review",
}


def test_each_command_that_says_something_says_it_to_machines_too() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    without = {
        name
        for name, command in commands.items()
        if not hasattr(command, "commands")
        and not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == WITHOUT_JSON


def test_the_shell_can_complete_commands() -> None:
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output


def test_the_demo_ends_with_what_can_be_done_where_it_ran(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(LAKEHOUSE_HOME=tmp_path)
    monkeypatch.delenv("LAKEHOUSE_LOGINS", raising=False)
    assert "make up" in _next_steps(settings)
    monkeypatch.setenv("LAKEHOUSE_LOGINS", "/run/logins")
    in_the_stack = _next_steps(settings)
    assert "make " not in in_the_stack
    assert "docker compose run --rm lakehouse walkthrough" in in_the_stack
    assert f":{settings.hub_port}" in in_the_stack
