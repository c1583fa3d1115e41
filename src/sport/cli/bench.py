"""The commands about figures: ``sport eval``, ``sport score``, ``sport table`` and ``sport compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sport.cli.console import PLAIN, figures, stdout
from sport.cli.driving import Iteration, do_stage, drive, fresh, opened, saved
from sport.errors import ConfigError, InputError, RunError

if TYPE_CHECKING:
    from sport.config import Config

Run = Annotated[Path, typer.Argument(metavar="RUN", help="the directory of an evaluation")]


def add(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("eval")(evaluate)
    app.command()(table)
    app.command()(compare)
    app.command()(score)


def compare(
    before: Run,
    after: Run,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write flipped tasks side by side, as one page.")
    ] = None,
) -> None:
    """Compare two evaluations task by task: paired intervals, McNemar's exact test, and which tasks flipped."""
    from sport import report, tables
    from sport.bench.compare import compare as paired
    from sport.store import Store

    with Store.view(before) as first, Store.view(after) as second:
        found = paired(first, second)
        console = stdout()
        for table in tables.versus(found):
            console.print(table)
        console.print(tables.flips(found), **PLAIN)
        if out is not None:
            page = report.beside(first, second, tables.lines(found), tables.flipped(found), out)
            console.print(f"side by side: {page}", **PLAIN)


def score(
    what: Annotated[str, typer.Argument(metavar="gta|gaia", help="which rules")],
    answers: Annotated[Path, typer.Argument(metavar="FILE", help="answers by task, as JSON lines or JSON")],
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Folder of the data set.")] = None,
    split: Annotated[str, typer.Option("--split", metavar="validation|test", help="Of GAIA.")] = "validation",
    level: Annotated[int | None, typer.Option("--level", metavar="1|2|3", help="Of GAIA.")] = None,
    row: Annotated[str, typer.Option("--row", help="Published row that sport table sets beside it.")] = "",
    name: Annotated[str, typer.Option("--name", help="What the run is called.")] = "answers",
    similarity: Annotated[
        str, typer.Option("--similarity", metavar="DIR", help="all-mpnet-base-v2, for subjective answers.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Directory of this run.")] = None,
) -> None:
    """Score answers that were made elsewhere: same rules and intervals as an evaluation, and a run to compare."""
    from sport import config

    if what not in ("gta", "gaia"):
        raise InputError(f"{what}: no such rules; expected gta or gaia (your own tasks: sport eval tasks)")
    if data is None:
        raise ConfigError(f"--data: {what} needs its data set, whose references stand in it (docs/BENCHMARKS.md)")
    bench = {
        "kind": what, "data": str(data), "split": split, "level": level, "row": row, "answers": str(answers),
        "similarity": similarity,
    }  # fmt: skip
    _mark(config.parse({"name": name, "bench": bench}, "sport score"), out or fresh(f"{what}-{name}"))


def _mark(settings: Config, folder: Path) -> None:
    import shutil

    from sport.bench import marking, outcome
    from sport.store import Store
    from sport.wire_bench import similarity

    answers = marking.load(Path(settings.bench.answers))
    similar = similarity(settings)
    made = not folder.exists()
    try:
        with Store.create(folder, settings) as store:
            counts = marking.mark(store, answers, similar)
            outcome.write(folder, settings, store, "")
            figures(store, unit="repeat", changes=False)
    except BaseException:
        if made:
            shutil.rmtree(folder, ignore_errors=True)  # nothing of it is worth keeping, and the error matters more
        raise
    words = f"{counts['answers']} of {counts['tasks']} tasks have an answer; a missing one is wrong"
    stdout().print(f"{words}; run: {folder}", **PLAIN)


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
        return stdout().print("; ".join([f"{settings.name}: {tasks}", exam.lacking(settings), *wanting]), **PLAIN)
    wire.check(settings)
    return examine(out or fresh(f"{what}-{settings.name}"), settings)


def _go_on(folder: Path, iteration: int | None) -> None:
    """The benchmark that a run is about, or its stage "eval"."""
    if saved(folder).bench.kind != "none":
        return examine(folder, None)
    return do_stage("eval", folder, iteration)


def examine(folder: Path, settings: Config | None) -> None:
    """A benchmark from where it stands to its table."""
    from sport import exam
    from sport.bench import outcome

    if settings is None and saved(folder).bench.answers:
        raise RunError(f"{folder}: holds answers that were made elsewhere; score them anew with: sport score")
    with opened(folder, settings, "eval") as store:
        drive(store, exam.run)
        figures(store, exam.comparable(store.config), unit="repeat", changes=False)
        for name, why in outcome.absent(store.config).items():
            stdout().print(f"{name}: absent, {why}", **PLAIN)
        for name, over in outcome.spread(store.metrics()).items() if store.config.bench.repeats > 1 else ():
            stdout().print(f"{name}: mean {over['mean']:.4f}, sd {over['sd']:.4f} over repeats", **PLAIN)
        stdout().print(f"{outcome.manner(store.config)}; scores: {folder / 'scores.json'}", **PLAIN)


def table(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="directories of evaluations")],
) -> None:
    """Print published figures beside measured ones, with the interval of their difference."""
    from sport import tables
    from sport.store import Store

    for folder in folders:
        with Store.view(folder) as store:
            stdout().print(tables.beside(store.config.bench, store.metrics()))
