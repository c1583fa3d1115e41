"""The door to T3: ``sport t3 CONFIG``, which ``sport.cli`` adds to its own."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from sport.store import Store

Start = Callable[..., None]


def add(app: typer.Typer, start: Start) -> None:
    """Add the command; ``start`` begins a run or goes on with one."""

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


def show(store: Store, out: Console) -> None:
    """What the trajectory check came to, and how a run of SPORT starts from the adapter."""
    note = store.stage_done(1, "review") or {}
    counts = ", ".join(f"{number} {word}" for word, number in note.items())
    lines = [f"trajectories: {counts}"]
    adapter = store.adapter(1)
    if adapter is not None:
        path = shlex.quote(str(store.folder / adapter))
        lines.append(f"warm start: sport run CONFIG --set controller.adapter={path}")
    else:
        lines.append("no adapter: no trajectory was kept")
    out.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
