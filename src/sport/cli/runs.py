"""The commands that teach: ``sport run``, and its stages one by one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sport.cli import bench
from sport.cli.console import PLAIN, quoted, stdout, summary
from sport.cli.driving import Folder, Iteration, do_stage, drive, fresh, opened, saved
from sport.errors import CheckpointError, InputError
from sport.progress import span

if TYPE_CHECKING:
    from sport.config import Config
    from sport.store import Store


def add(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    for name, what in (
        ("synth", "Write, check and keep the tasks of an iteration."),
        ("pairs", "Read preference pairs off the explored trajectories."),
    ):
        app.command(name, help=what)(_stage(name))
    app.command()(explore)


def _stage(name: str) -> Callable[[Path, int | None], None]:
    def command(folder: Folder, iteration: Iteration = None) -> None:
        do_stage(name, folder, iteration)

    return command


def run(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="a TOML file, e.g. configs/demo.toml")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Change one setting.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Directory of this run.")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", metavar="DIR", help="Go on with a run.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what a run would cost; do nothing.")] = False,
    ray: Annotated[str | None, typer.Option("--ray", metavar="ADDRESS", help="Explore on a Ray cluster.")] = None,
) -> None:
    """Teach the controller: synthesise, explore, pair, tune and evaluate, as often as CONFIG says."""
    return start(config, overrides, out, resume, dry_run, ray=ray)


def start(
    config: Path | None,
    overrides: Sequence[str] | None,
    out: Path | None,
    resume: Path | None,
    dry_run: bool,
    method: str | None = None,
    ray: str | None = None,
) -> None:
    """A new run, a run to go on with, or what it would cost. ``method`` is the one that the command stands for."""
    if resume is not None:
        if config is not None or out is not None:
            raise InputError("--resume takes its configuration from the run: give no CONFIG or --out with it")
        if dry_run:
            return _estimate(_amended(saved(resume), overrides))
        return whole(resume, None, overrides, ray)
    if config is None:
        raise InputError("say what to run: sport run configs/demo.toml, or sport run --resume DIR")
    from sport.config import load

    settings = load(config, overrides or ())
    if method is not None:
        settings = settings.model_copy(update={"method": method})
    if dry_run:
        return _estimate(settings)
    from sport import wire

    wire.check(settings)  # before anything is made on disk
    return whole(out or fresh(settings.name), settings, ray=ray)


def whole(
    folder: Path, settings: Config | None, overrides: Sequence[str] | None = None, ray: str | None = None
) -> None:
    """A run from its first to its last stage, then what came of it.

    ``settings`` is None to resume, with ``overrides`` that change no result (``config.amend``). ``ray`` is the address
    of a cluster to explore on.
    """

    async def work(kit: Any) -> None:
        from sport import loop

        if kit.config.method == "t3":
            from sport import t3, wire

            return await t3.run(kit, wire.t3(kit))
        if ray is None:
            return await loop.run(kit)
        from sport import cluster

        async with cluster.joined(ray, kit) as spread:
            await loop.run(spread)

    if settings is None and saved(folder).bench.kind != "none":
        return bench.examine(folder, None)
    began = time.monotonic()
    with opened(folder, settings) as store:
        if overrides:
            store.amend(_amended(store.config, overrides))
        drive(store, work)
        page = draw(store, folder / "report.html")
        summary(store)
        stdout().print(f"report: {page}\nrun: {folder}\ntime: {span(time.monotonic() - began)}", **PLAIN)


def _amended(settings: Config, overrides: Sequence[str] | None) -> Config:
    from sport.config import amend

    return amend(settings, overrides or ())


def _estimate(settings: Config) -> None:
    from sport.estimate import estimate

    lacking = _lacking(settings)
    table = Table("stage", title=f"{settings.name}: expected, nothing was run")
    for heading in ("calls", "tokens", "time", "disk"):
        table.add_column(heading, justify="right")
    rows = estimate(settings)
    for row in rows:
        table.add_row(
            row.stage,
            f"{row.calls:,}",
            f"{row.tokens:,}",
            "?" if row.seconds is None else span(row.seconds),
            f"{row.disk_mb:,.1f} MB",
        )
    if rows:
        totals = (sum(r.calls for r in rows), sum(r.tokens for r in rows), sum(r.disk_mb for r in rows))
        seconds = sum(row.seconds or 0.0 for row in rows)
        least = "> " if any(row.seconds is None for row in rows) else ""
        table.add_section()
        table.add_row("in all", f"{totals[0]:,}", f"{totals[1]:,}", least + span(seconds), f"{totals[2]:,.1f} MB")
    stdout().print(table)
    if lacking:
        stdout().print(f"not ready: {lacking}", **PLAIN)


def _lacking(settings: Config) -> str:
    """What a run would need and is not on this machine, or not whole; "" when nothing is missing.

    Raises:
        ConfigError: settings that could not work on any machine.
    """
    from sport import wire, wire_bench

    wanting = wire_bench.lacking(settings)
    names = tuple(name for name in settings.tools.names if name not in wanting)
    of_tools = {name: one for name, one in settings.tools.settings.items() if name not in wanting}
    tools = settings.tools.model_copy(update={"names": names, "settings": of_tools})
    rest = settings.model_copy(update={"tools": tools})
    found = list(wanting.values())
    try:
        wire.check(rest)
    except (CheckpointError, InputError) as error:
        found.append(str(error))
    return "\n           ".join(found)


def explore(
    what: Annotated[
        Path | None, typer.Argument(metavar="RUN|CONFIG", help="a run; with --tasks a TOML file, default all defaults")
    ] = None,
    tasks: Annotated[Path | None, typer.Option("--tasks", metavar="FILE", help="JSON lines of your own tasks.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Change one setting.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Directory of this run.")] = None,
    iteration: Iteration = None,
) -> None:
    """Sample and judge candidates step by step: a run's tasks, or your own, whose answers stay hidden."""
    if tasks is None:
        if what is None or overrides or out is not None:
            raise InputError("say which run: sport explore RUN; or your own tasks: sport explore --tasks FILE [CONFIG]")
        return do_stage("explore", what, iteration)
    from sport import own, wire
    from sport.config import load

    each = [f"synth.tasks_file={json.dumps(str(tasks))}", f"synth.tasks={len(own.load(tasks))}", "iterations=1"]
    settings = load(what, [*each, *(overrides or ())])
    wire.check(settings)

    async def work(kit: Any) -> None:
        from sport import loop

        await loop.stage(kit, "synth", 1)
        await loop.stage(kit, "explore", 1)

    with opened(out or fresh(f"explore-{settings.name}"), settings) as store:
        drive(store, work)
        states = store.stages()[-1][3] or {}
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        stdout().print(f"explored: {counts}; run: {store.folder}; next: sport pairs {quoted(store.folder)}", **PLAIN)


def draw(store: Store, out: Path) -> Path:
    """Write the report of a run to ``out``; returns its path."""
    from sport import report as pages

    return pages.build(store, out)
