"""The command ``sport ask``: one question about your own files, answered step by step."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sport.cli.console import PLAIN, quoted, stderr, stdout
from sport.cli.driving import STOPPED, Stopped, fresh, stoppable, until_stopped
from sport.progress import Watcher, watcher

if TYPE_CHECKING:
    from sport.config import Config
    from sport.kit import Kit
    from sport.types import Trajectory


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ask)


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
    out, err = stdout(), stderr()
    if not as_json:
        show.question(out, asked)
    found: list[Trajectory] = []
    try:
        with ExitStack() as bars:  # they go before the first step is drawn
            progress = bars.enter_context(watcher(err))
            steps = show.Waiting(err, bars.close) if as_json else show.Steps(out, err, bars.close)

            async def work(kit: Kit) -> None:
                found.append(await asking.ask(kit, asked, steps))

            with stoppable(progress), steps, _loaded(settings, progress) as kit:
                asyncio.run(until_stopped(work(kit), progress))
                folder = kit.store.folder
                made = asking.copy_out(kit.store, found[0], folder / "made")
    except Stopped as stop:
        stderr().print("; ".join(["stopped", *getattr(stop.__cause__, "__notes__", ())]), **PLAIN)
        raise typer.Exit(STOPPED) from None
    if as_json:
        out.print(json.dumps(asking.as_json(found[0], made, folder), indent=2), **PLAIN)
    else:
        show.answer(out, found[0], made, folder, f"sport report {quoted(folder)}")


@contextmanager
def _loaded(settings: Config, progress: Watcher) -> Iterator[Kit]:
    """The parts of a new run. Its directory vanishes again if the block fails before a question is in it."""
    progress.start("load", 2, "parts")
    from sport import wire
    from sport.store import Store

    wire.check(settings)
    progress.advance("load")
    folder, asked = fresh("ask"), True
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
