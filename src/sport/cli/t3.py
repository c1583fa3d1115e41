"""The command ``sport t3 CONFIG``: a warm start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sport.cli.runs import start


def add(app: typer.Typer) -> None:
    """Add the command."""

    def t3(
        config: Annotated[
            Path | None, typer.Argument(metavar="CONFIG", help="a TOML file, e.g. configs/t3.toml")
        ] = None,
        overrides: Annotated[
            list[str] | None, typer.Option("--set", metavar="a.b=c", help="Change one setting.")
        ] = None,
        out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Directory of this run.")] = None,
        resume: Annotated[Path | None, typer.Option("--resume", metavar="DIR", help="Go on with a run.")] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what it would cost; do nothing.")] = False,
    ) -> None:
        """Make a warm start: synthesise, let a strong model solve, verify, imitate what was kept, evaluate."""
        start(config, overrides, out, resume, dry_run, "t3")

    app.command("t3")(t3)
