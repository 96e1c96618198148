"""Entry point of the ``lakehouse`` command: composes the groups and turns errors into exit codes.

Exit codes: 0 done · 1 failed · 2 wrong usage, or a question that nobody answered · 3 a quality check
blocked publishing · 4 done, but something is in quarantine or needs review · 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from cli import admin, drops, entry, pipeline, query, service, stack, submitters, views
from cli.console import console, errors_console
from lakehouse.errors import LakehouseError, QualityError

EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="lakehouse",
    help="A lakehouse for health and life-science data: raw drops in, trusted tables out.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for group in (pipeline, drops, query, service, admin, stack):
    group.add_to(app)
app.add_typer(submitters.app, name="submitter", rich_help_panel="Administration")
app.add_typer(views.app, name="views", rich_help_panel="SQL on FHIR")


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"lakehouse {metadata.version('health-lakehouse')}", markup=False)
        raise typer.Exit


@app.callback()
def _before_each_command(
    version: Annotated[  # noqa: ARG001 - answered by its callback
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
    no_worker: Annotated[  # noqa: ARG001 - read where the command begins (cli.entry)
        bool,
        typer.Option(
            entry.WITHOUT_WORKER,
            help="Do the work in this process, and leave no worker in the background.",
        ),
    ] = False,
) -> None:
    """A lakehouse for health and life-science data: raw drops in, trusted tables out."""
    from lakehouse.privacy import log_at
    from lakehouse.settings import read_settings

    settings = read_settings()
    # Progress is told in lines of its own: a terminal hears more only where somebody asks for it.
    log_at(settings.log_level if "log_level" in settings.model_fields_set else "WARNING")


def main() -> NoReturn:
    """Run the command in this process and exit with its code; leaves a worker for the next ones."""
    # Imports make hundreds of thousands of objects that stay; looking through them again and again
    # costs a fifth of the time they take.
    gc.set_threshold(100_000, 20, 20)
    environment = dict(os.environ)
    code = run()
    if entry.is_handed_over(sys.argv[1:]):
        _leave_a_worker(environment)
    finish()
    os._exit(code)


def run() -> int:
    """The exit code of the command that was typed."""
    try:
        app(prog_name="lakehouse")
    except LakehouseError as error:
        word = "Blocked" if isinstance(error, QualityError) else "Error"
        errors_console.print(f"[bold red]{word}:[/] {escape(str(error))}", highlight=False)
        return error.exit_code
    except KeyboardInterrupt:
        errors_console.print("Interrupted. What was done is kept; run the command again to go on.")
        return EXIT_INTERRUPTED
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


def _leave_a_worker(environment: Mapping[str, str]) -> None:
    """Where there is a lakehouse, have the next command done at once."""
    from cli import worker
    from installation.platform import existing_settings

    with suppress(LakehouseError):
        worker.start_in_background(existing_settings(), environment)


def finish() -> None:
    """What Python does when it ends, but for taking a loaded interpreter apart: that lasts up to two
    seconds, and nobody needs it."""
    atexit._run_exitfuncs()
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    main()
