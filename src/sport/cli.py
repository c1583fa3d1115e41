"""The door: parses, builds, calls. What a command does is done by ``sport.loop`` and ``sport.wire``.

Results go to standard output, progress and messages to standard error. Exit codes: 0 done; 1 ``doctor`` found
something needed missing, or a crash (with its traceback); 2 something the user can mend, one message and no traceback;
130 stopped by Ctrl-C or SIGTERM. Heavy imports happen inside commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sport import cli_bench, cli_t3, cli_tools, cli_tune
from sport.errors import CheckpointError, FatalModelError, InputError, RunError, SportError, TuningError, UserError
from sport.progress import Watcher, span, watcher

if TYPE_CHECKING:
    from sport.config import Config
    from sport.kit import Kit
    from sport.store import Store
    from sport.types import Metric, Trajectory

STOPPED = 130

app = typer.Typer(
    name="sport",
    help="A multimodal, tool-using agent that teaches itself by step-wise preference tuning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="the directory of a run, for example runs/demo-...")]
Iteration = Annotated[int | None, typer.Option("--iteration", "-i", min=0, help="default: the one that is due")]
Work = Callable[[Any], Awaitable[None]]


class Stopped(Exception):
    """Ctrl-C or SIGTERM, after everything was put away."""


# ------------------------------------------------------------------------------------------- whole runs


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Options before the command."""
    if version:
        from sport import __version__

        _out().print(f"sport {__version__}", highlight=False)
        raise typer.Exit


@app.command()
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
            return _estimate(_amended(_saved(resume), overrides))
        return _whole(resume, None, overrides, ray)
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
    return _whole(out or _fresh(settings.name), settings, ray=ray)


def _whole(
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

    if settings is None and _saved(folder).bench.kind != "none":
        return _examine(folder, None)
    began = time.monotonic()
    with _opened(folder, settings) as store:
        if overrides:
            store.amend(_amended(store.config, overrides))
        _drive(store, work)
        page = _report(store, folder / "report.html")
        _show(store)
        if store.config.method == "t3":
            cli_t3.show(store, _out())
        _out().print(f"report: {page}\nrun: {folder}\ntime: {span(time.monotonic() - began)}", **_PLAIN)


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
        table.add_row(row.stage, f"{row.calls:,}", f"{row.tokens:,}", span(row.seconds), f"{row.disk_mb:,.1f} MB")
    if rows:
        totals = (sum(r.calls for r in rows), sum(r.tokens for r in rows), sum(r.disk_mb for r in rows))
        seconds = sum(r.seconds for r in rows)
        table.add_section()
        table.add_row("in all", f"{totals[0]:,}", f"{totals[1]:,}", span(seconds), f"{totals[2]:,.1f} MB")
    _out().print(table)
    if lacking:
        _out().print(f"not ready: {lacking}", **_PLAIN)


def _lacking(settings: Config) -> str:
    """What a run would need and is not on this machine, or not whole; "" when nothing is missing.

    Raises:
        ConfigError: settings that could not work on any machine.
    """
    from sport import wire

    try:
        wire.check(settings)
    except (CheckpointError, InputError) as error:
        return str(error)
    return ""


# ----------------------------------------------------------------------------------------- single stages


def _stage(name: str, what: str) -> None:
    """Add the command that does one stage of a run that exists."""

    def command(folder: Folder, iteration: Iteration = None) -> None:
        _do_stage(name, folder, iteration)

    app.command(name, help=what)(command)


def _do_stage(name: str, folder: Path, iteration: int | None) -> None:
    async def work(kit: Any) -> None:
        from sport import loop

        await loop.stage(kit, name, iteration)

    with _opened(folder, None) as store:
        _drive(store, work)
        _show(store)


_stage("synth", "Write, check and keep the tasks of an iteration.")
_stage("pairs", "Read preference pairs off the explored trajectories.")
cli_tune.add(app, _do_stage)
cli_t3.add(app, start)
cli_tools.add(app)


@app.command()
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
        return _do_stage("explore", what, iteration)
    from sport import own, wire
    from sport.config import load

    each = [f"synth.tasks_file={json.dumps(str(tasks))}", f"synth.tasks={len(own.load(tasks))}", "iterations=1"]
    settings = load(what, [*each, *(overrides or ())])
    wire.check(settings)

    async def work(kit: Any) -> None:
        from sport import loop

        await loop.stage(kit, "synth", 1)
        await loop.stage(kit, "explore", 1)

    with _opened(out or _fresh(f"explore-{settings.name}"), settings) as store:
        _drive(store, work)
        states = store.stages()[-1][3] or {}
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        _out().print(f"explored: {counts}; run: {store.folder}; next: sport pairs {_quoted(store.folder)}", **_PLAIN)


@app.command("eval")
def evaluate(
    what: Annotated[str, typer.Argument(metavar="gta|gaia|world|tasks|RUN", help="a benchmark, or a run")],
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="a TOML file, for a benchmark; FILE.jsonl for tasks")
    ] = None,
    own_config: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="a TOML file, for tasks")] = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Folder of the data set.")] = None,
    split: Annotated[str | None, typer.Option("--split", metavar="validation|test", help="Of GAIA.")] = None,
    level: Annotated[int | None, typer.Option("--level", metavar="1|2|3", help="Of GAIA.")] = None,
    without_images: Annotated[
        bool, typer.Option("--without-images", help="GTA: replay the reference's tools.")
    ] = False,
    repeats: Annotated[int | None, typer.Option("--repeats", min=1, help="Whole evaluations.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Change one setting.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Directory of this run.")] = None,
    iteration: Iteration = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read everything, say what is missing, do nothing.")
    ] = False,
) -> None:
    """Evaluate greedily, without a critic: a benchmark with any controller, or the iteration of a RUN that is due."""
    from sport import exam, wire, wire_bench

    if what == "tasks" and data is None:
        data, config = config, own_config
    elif own_config is not None:
        raise InputError(f"{own_config}: one CONFIG is enough")
    if what not in ("gta", "gaia", "world", "tasks"):
        if config is not None or overrides or out is not None or data is not None:
            raise InputError(
                f"{what}: no benchmark (gta, gaia, world, tasks); a run takes its configuration from itself"
            )
        return _go_on(Path(what), iteration)
    if config is None and what != "tasks":
        raise InputError(f"say with what: sport eval {what} CONFIG, for example configs/rows/nano.toml")
    from sport.config import load

    given = {"data": data and str(data), "split": split, "level": level, "repeats": repeats}
    named = {key: value for key, value in given.items() if value is not None} | {"kind": what}
    named |= {"images": False} if without_images else {}
    loaded = load(config, overrides or ())
    settings = loaded.model_copy(update={"bench": loaded.bench.model_copy(update=named)})
    tasks = exam.check(settings.bench)
    if dry_run:
        wanting = [f"{name} {why}" for name, why in wire_bench.lacking(settings).items()]
        return _out().print("; ".join([f"{settings.name}: {tasks}", exam.lacking(settings), *wanting]), **_PLAIN)
    wire.check(settings)
    return _examine(out or _fresh(f"{what}-{settings.name}"), settings)


def _go_on(folder: Path, iteration: int | None) -> None:
    """The benchmark that a run is about, or its stage "eval"."""
    if _saved(folder).bench.kind != "none":
        return _examine(folder, None)
    return _do_stage("eval", folder, iteration)


def _examine(folder: Path, settings: Config | None) -> None:
    """A benchmark from where it stands to its table."""
    from sport import exam
    from sport.bench import outcome

    if settings is None and _saved(folder).bench.answers:
        raise RunError(f"{folder}: holds answers that were made elsewhere; score them anew with: sport score")
    with _opened(folder, settings, "eval") as store:
        _drive(store, exam.run)
        _figures(store, exam.comparable(store.config), unit="repeat", changes=False)
        for name, why in outcome.absent(store.config).items():
            _out().print(f"{name}: absent, {why}", **_PLAIN)
        for name, over in outcome.spread(store.metrics()).items() if store.config.bench.repeats > 1 else ():
            _out().print(f"{name}: mean {over['mean']:.4f}, sd {over['sd']:.4f} over repeats", **_PLAIN)
        _out().print(f"{outcome.manner(store.config)}; scores: {folder / 'scores.json'}", **_PLAIN)


@app.command()
def table(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="directories of evaluations")],
) -> None:
    """Print published figures beside measured ones, with the interval of their difference."""
    from sport import tables
    from sport.store import Store

    for folder in folders:
        with Store.view(folder) as store:
            _out().print(tables.beside(store.config.bench, store.metrics()))


cli_bench.add(app, lambda name: _fresh(name), lambda store: _figures(store, unit="repeat", changes=False))


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

            _out().print(f"pages: {pages.export(store, everything)}", **_PLAIN)
        else:
            if out is not None and store.config.bench.kind == "gaia":
                raise RunError(
                    f"{folder}: holds items of GAIA, which may not be published: its report stays in the run"
                )
            _out().print(f"report: {_report(store, out or folder / 'report.html')}", **_PLAIN)


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
        _out().print(f"{marks[check.state]} [bold]{check.name}[/]: {escape(check.found)}", **_WRAP)
        if check.advice:
            _out().print(f"     -> {escape(check.advice)}", **_WRAP)
    _out().print("everything needed is here" if not failed else f"{failed} needed things are missing", **_WRAP)
    raise typer.Exit(1 if failed else 0)


# ------------------------------------------------------------------------------------------ one question


@app.command()
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="in quotes")],
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="default: the embedded controller")] = None,
    files: Annotated[list[Path] | None, typer.Option("--file", metavar="PATH", help="A file, repeatable.")] = None,
    adapter: Annotated[Path | None, typer.Option("--adapter", metavar="DIR", help="A tuned adapter, of a run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Answer one QUESTION about your own files, step by step; exit code 0 also when there is no answer."""
    from sport import ask as asking
    from sport import show
    from sport.given import prepare

    asked = prepare(question, files or ())
    settings = asking.settings(config, adapter)
    out, err = _out(), _err()
    if not as_json:
        show.question(out, asked)
    found: list[Trajectory] = []
    try:
        with ExitStack() as bars:  # they go before the first step is drawn
            progress = bars.enter_context(watcher(err))
            steps = show.Waiting(err, bars.close) if as_json else show.Steps(out, err, bars.close)

            async def work(kit: Kit) -> None:
                found.append(await asking.ask(kit, asked, steps))

            with _stoppable(progress), steps, _loaded(settings, progress) as kit:
                asyncio.run(_until_stopped(work(kit), progress))
                folder = kit.store.folder
                made = asking.copy_out(kit.store, found[0], folder / "made")
    except Stopped as stop:
        _err().print("; ".join(["stopped", *getattr(stop.__cause__, "__notes__", ())]), **_PLAIN)
        raise typer.Exit(STOPPED) from None
    if as_json:
        out.print(json.dumps(asking.as_json(found[0], made, folder), indent=2), **_PLAIN)
    else:
        show.answer(out, found[0], made, folder, f"sport report {_quoted(folder)}")


# ------------------------------------------------------------------------------------------- the sandbox

sandbox_app = typer.Typer(help="Run code where model-written code runs.", no_args_is_help=True)
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
        _out().print(seen.model_dump_json(indent=2), **_PLAIN)
    else:
        sys.stdout.write(seen.stdout)
        sys.stderr.write(seen.stderr)
        if seen.value is not None:
            _out().print(seen.value, **_PLAIN)
        for file in seen.files:
            _err().print(f"made: {file.name}, {file.size:,} bytes", **_PLAIN)
        if seen.outcome != "ok":
            _err().print(f"{seen.outcome}: {str(seen.error).removeprefix(f'{seen.outcome}: ')}", **_PLAIN)
    if seen.outcome != "ok":
        raise typer.Exit(1)


@contextmanager
def _loaded(settings: Config, progress: Watcher) -> Iterator[Kit]:
    """The parts of a new run. Its directory vanishes again if the block fails before a question is in it."""
    progress.start("load", 2, "parts")
    from sport import wire
    from sport.store import Store

    wire.check(settings)
    progress.advance("load")
    folder, asked = _fresh("ask"), True
    store = Store.create(folder, settings)
    try:
        with store:
            try:
                kit = wire.build(store, progress)
                progress.advance("load")
                progress.finish("load")
                yield kit
            finally:
                asked = bool(store.outlines("eval"))
    except BaseException as error:
        if asked:
            error.add_note(f"what was done lies in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)  # the error that is on its way matters more
        raise


# ----------------------------------------------------------------------------------------------- running


def _fresh(name: str) -> Path:
    """A directory for a new run below ``runs/``: name and local time, numbered if that second is taken."""
    stem = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = stem, 1
    while folder.exists():
        number += 1
        folder = stem.with_name(f"{stem.name}-{number}")
    return folder


@contextmanager
def _opened(folder: Path, settings: Config | None, command: str = "run --resume") -> Iterator[Store]:
    """The run's one writer; whatever ends the block, the message says how to go on."""
    from sport.store import Store, unborn

    used = folder.is_dir() and any(folder.iterdir()) and not unborn(folder)
    if settings is not None and used and not (folder / "run.db").exists():
        raise RunError(f"{folder}: not empty, and not a run; name another directory with --out")
    store = Store.create(folder, settings) if settings is not None else Store.open(folder)
    onwards = f"go on with: sport {command} {_quoted(folder)}"
    try:
        with store:
            yield store
    except Stopped:
        _err().print(f"stopped; {onwards}", **_PLAIN)
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if not isinstance(error, typer.Exit) and "--resume" not in str(error):
            error.add_note(f"the run lies in {folder}; {onwards}")
        raise


def _saved(folder: Path) -> Config:
    from sport.store import Store

    with Store.view(folder) as store:
        return store.config


def _drive(store: Store, work: Work) -> None:
    """Build the run's parts, then await ``work`` until it is done or a signal says stop.

    The first Ctrl-C or SIGTERM cancels: sandboxes and workers are put away, what is committed stays. A second one does
    not wait for that. Raises Stopped.
    """
    from sport import wire

    with watcher(_err()) as progress, _stoppable(progress):
        kit = wire.build(store, progress)
        asyncio.run(_until_stopped(work(kit), progress))


@contextmanager
def _stoppable(progress: Watcher) -> Iterator[None]:
    """Whatever a wish to stop makes the block raise comes out as Stopped."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt) and not progress.stopping:
            raise
        if not isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            _err().print(f"while stopping: {type(error).__name__}: {error}", **_PLAIN)
        raise Stopped from error


async def _until_stopped(work: Awaitable[None], progress: Watcher) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    asked = 0

    def stop(number: int, _: object) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise KeyboardInterrupt
        progress.stop()
        loop.call_soon_threadsafe(task.cancel)
        os.write(2, b"\nstopping (again to stop at once)\n")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        await work
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ----------------------------------------------------------------------------------------------- showing

_WRAP: dict[str, Any] = {"soft_wrap": True, "highlight": False}
_PLAIN: dict[str, Any] = {**_WRAP, "markup": False}


def _out() -> Console:
    return Console(file=sys.stdout)


def _err() -> Console:
    return Console(file=sys.stderr)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _report(store: Store, out: Path) -> Path:
    from sport import report as pages

    return pages.build(store, out)


def _show(store: Store) -> None:
    """Before and after with 95 % intervals, one table a split, and the pairs of every iteration."""
    _figures(store)
    if store.config.method == "t3":
        return
    counts = [f"iteration {k}: {len(store.pairs(k))}" for k in range(1, store.config.iterations + 1)]
    _out().print("pairs: " + ", ".join(counts), **_PLAIN)


def _figures(store: Store, caveat: str | None = None, *, unit: str = "after iteration", changes: bool = True) -> None:
    """A table a split of what was measured; figures of data that the controller grew from are marked."""
    from sport import bases

    measured = list(store.metrics())
    seeds = bases.seeded(store.config.controller.checkpoint, store.config.controller.adapter)
    for split in dict.fromkeys(split for _, split, _ in measured):
        columns = [(column, metrics) for column, found, metrics in measured if found == split]
        title = f"{split}, {caveat}" if caveat else split
        _out().print(_table(title, columns, "*" if seeds else "", unit, changes=changes))
    if seeds:
        words = " and ".join(seeds)
        _out().print(
            f"* the controller was tuned on data grown from items of {words}: no measure of it there", **_PLAIN
        )


def _table(
    split: str, columns: Sequence[tuple[int, dict[str, Metric]]], mark: str, unit: str, *, changes: bool
) -> Table:
    """One row a metric, one column an evaluation; the last column is the change in points."""
    table = Table("metric", title=f"{split}: per cent [95 % interval]")
    for place, (iteration, _) in enumerate(columns):
        table.add_column("before" if changes and place == 0 else f"{unit} {iteration}", justify="right")
    changed = changes and len(columns) > 1
    if changed:
        table.add_column("change", justify="right")
    for name in dict.fromkeys(name for _, metrics in columns for name in metrics):
        found = [metrics.get(name) for _, metrics in columns]
        change = [_change(found[0], found[-1])] if changed else []
        table.add_row(name + mark, *(_cell(metric) for metric in found), *change)
    return table


def _cell(metric: Metric | None) -> str:
    if metric is None:
        return "-"
    return f"{metric.show(metric.value)} [{metric.show(metric.low)}, {metric.show(metric.high)}] n={metric.n}"


def _change(first: Metric | None, last: Metric | None) -> str:
    if first is None or last is None:
        return "-"
    change = first.show(last.value - first.value)
    return change if change.startswith("-") else f"+{change}"


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
            _err().print("[bold red]error:[/]", escape(message), **_WRAP)
        for note in getattr(error, "__notes__", ()):
            _err().print(note, **_PLAIN)
        sys.exit(2)


if __name__ == "__main__":
    main()
