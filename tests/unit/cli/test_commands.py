"""What every command of the command line offers."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from lakehouse.cli.main import app

#: Write documents, archives or services, or show one story: nothing for a machine to read.
WITHOUT_JSON = {"demo", "up", "down", "init", "docs", "backup", "restore", "walkthrough", "review"}


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
