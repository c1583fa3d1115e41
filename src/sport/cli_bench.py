"""The door to figures: ``sport compare RUN_A RUN_B`` and ``sport score``, which ``sport.cli`` adds to its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sport.errors import ConfigError, InputError

if TYPE_CHECKING:
    from sport.config import Config
    from sport.store import Store

Fresh = Callable[[str], Path]
Show = Callable[["Store"], None]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="the directory of an evaluation")]


def add(app: typer.Typer, fresh: Fresh, show: Show) -> None:
    """Add the commands. ``fresh`` names a directory for a new run, ``show`` prints a run's figures."""

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
        _score(config.parse({"name": name, "bench": bench}, "sport score"), out or fresh(f"{what}-{name}"), show)

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
        console = _out()
        for table in tables.versus(found):
            console.print(table)
        console.print(tables.flips(found), soft_wrap=True, highlight=False, markup=False)
        if out is not None:
            page = report.beside(first, second, tables.lines(found), tables.flipped(found), out)
            console.print(f"side by side: {page}", soft_wrap=True, highlight=False, markup=False)


def _score(settings: Config, folder: Path, show: Show) -> None:
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
            show(store)
    except BaseException:
        if made:
            shutil.rmtree(folder, ignore_errors=True)  # nothing of it is worth keeping, and the error matters more
        raise
    words = f"{counts['answers']} of {counts['tasks']} tasks have an answer; a missing one is wrong"
    _out().print(f"{words}; run: {folder}", soft_wrap=True, highlight=False, markup=False)


def _out() -> Console:
    return Console(file=sys.stdout)
