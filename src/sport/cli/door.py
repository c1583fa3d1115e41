"""The door: parses, builds, calls. What a command does is done by ``sport.loop`` and ``sport.wire``.

Results go to standard output, progress and messages to standard error. Exit codes: 0 done; 1 ``doctor`` found
something needed missing, or a crash (with its traceback); 2 something the user can mend, one message and no traceback;
130 stopped by Ctrl-C or SIGTERM. Heavy imports happen inside commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sport.cli import ask, bench, runs, sandbox, t3, tools, tune
from sport.cli.console import PLAIN, WRAP, stderr, stdout
from sport.cli.driving import Folder
from sport.errors import FatalModelError, InputError, RunError, SportError, TuningError, UserError

app = typer.Typer(
    name="sport",
    help="A multimodal, tool-using agent that teaches itself by step-wise preference tuning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Options before the command."""
    if version:
        from sport import __version__

        stdout().print(f"sport {__version__}", highlight=False)
        raise typer.Exit


for part in (runs, tune, t3, bench, ask, tools, sandbox):
    part.add(app)


@app.command()
def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="default: RUN/report.html")] = None,
    everything: Annotated[
        Path | None, typer.Option("--all", metavar="DIR", help="Write a page for every trajectory, and the report.")
    ] = None,
) -> None:
    """Draw the report of a run, also while the run goes on."""
    from sport.store import Store

    if everything is not None and out is not None:
        raise InputError("give --out or --all, not both: --all writes the report into its directory too")
    with Store.view(folder) as store:
        if everything is not None:
            from sport import report as pages

            stdout().print(f"pages: {pages.export(store, everything)}", **PLAIN)
        else:
            if out is not None and store.config.bench.kind == "gaia":
                raise RunError(
                    f"{folder}: holds items of GAIA, which may not be published: its report stays in the run"
                )
            stdout().print(f"report: {runs.draw(store, out or folder / 'report.html')}", **PLAIN)


@app.command()
def dump(folder: Folder) -> None:
    """Print a run as sorted JSON lines without times, costs and paths: equal runs print the same."""
    from sport.store import Store

    with Store.view(folder) as store:
        for line in store.dump():
            sys.stdout.write(line + "\n")


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="ask the servers it names, too")] = None,
) -> None:
    """Say what this machine has and lacks, and what to do about it."""
    from sport.config import load
    from sport.doctor import examine

    settings = load(config) if config is not None else None
    marks = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}
    failed = 0
    for check in examine(Path.cwd(), settings):
        failed += check.state == "fail"
        stdout().print(f"{marks[check.state]} [bold]{check.name}[/]: {escape(check.found)}", **WRAP)
        if check.advice:
            stdout().print(f"     -> {escape(check.advice)}", **WRAP)
    stdout().print("everything needed is here" if not failed else f"{failed} needed things are missing", **WRAP)
    raise typer.Exit(1 if failed else 0)


# ------------------------------------------------------------------------------------------------- errors


def _mendable(error: BaseException) -> list[SportError]:
    """The errors in ``error`` that only the user can mend, his own or a server's; empty if anything else is in it.

    Task groups may have wrapped them.
    """
    if isinstance(error, UserError | TuningError | FatalModelError):
        return [error]
    if not isinstance(error, BaseExceptionGroup):
        return []
    found = [_mendable(inner) for inner in error.exceptions]
    return [] if not all(found) else [one for inner in found for one in inner]


def main() -> None:
    """The console script. Returns only through SystemExit."""
    try:
        app()
    except Exception as error:
        mendable = _mendable(error)
        if not mendable:
            raise
        for message in dict.fromkeys(str(one) for one in mendable):
            stderr().print("[bold red]error:[/]", escape(message), **WRAP)
        for note in getattr(error, "__notes__", ()):
            stderr().print(note, **PLAIN)
        sys.exit(2)
