"""The command ``sport sandbox run``: a program of your own where model-written code runs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from sport.cli.console import PLAIN, stderr, stdout

sandbox_app = typer.Typer(help="Run code where model-written code runs.", no_args_is_help=True)


def add(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(sandbox_app, name="sandbox")


@sandbox_app.callback()
def sandbox_options() -> None:
    """Keeps ``run`` a command of its own although there is no other yet."""


@sandbox_app.command("run")
def sandbox_run(
    program: Annotated[Path, typer.Argument(metavar="FILE.py", help="a program; its last expression is its value")],
    files: Annotated[list[Path] | None, typer.Option("--file", metavar="PATH", help="A file, repeatable.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Copy the files it makes there.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a limit, e.g. wall_s=60.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole observation as one JSON object.")] = False,
) -> None:
    """Run FILE.py in a closed box; exit code 1 when it fails, dies or takes too long."""
    from sport.config import limits
    from sport.sandbox.local import run_program

    seen = asyncio.run(run_program(program, files or (), limits(overrides or ()), out))
    if as_json:
        stdout().print(seen.model_dump_json(indent=2), **PLAIN)
    else:
        sys.stdout.write(seen.stdout)
        sys.stderr.write(seen.stderr)
        if seen.value is not None:
            stdout().print(seen.value, **PLAIN)
        for file in seen.files:
            stderr().print(f"made: {file.name}, {file.size:,} bytes", **PLAIN)
        if seen.outcome != "ok":
            stderr().print(f"{seen.outcome}: {str(seen.error).removeprefix(f'{seen.outcome}: ')}", **PLAIN)
    if seen.outcome != "ok":
        raise typer.Exit(1)
