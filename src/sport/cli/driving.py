"""How a command holds a run: a directory for it, its one writer, its parts, and what a wish to stop does."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sport.cli.console import PLAIN, quoted, stderr, summary
from sport.errors import RunError
from sport.progress import Watcher, watcher

if TYPE_CHECKING:
    from sport.config import Config
    from sport.store import Store

STOPPED = 130

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="the directory of a run, for example runs/demo-...")]
Iteration = Annotated[int | None, typer.Option("--iteration", "-i", min=0, help="default: the one that is due")]
Work = Callable[[Any], Awaitable[None]]


class Stopped(Exception):
    """Ctrl-C or SIGTERM, after everything was put away."""


def fresh(name: str) -> Path:
    """A directory for a new run below ``runs/``: name and local time, numbered if that second is taken."""
    stem = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = stem, 1
    while folder.exists():
        number += 1
        folder = stem.with_name(f"{stem.name}-{number}")
    return folder


@contextmanager
def opened(folder: Path, settings: Config | None, command: str = "run --resume") -> Iterator[Store]:
    """The run's one writer; whatever ends the block, the message says how to go on."""
    from sport.store import Store, unborn

    used = folder.is_dir() and any(folder.iterdir()) and not unborn(folder)
    if settings is not None and used and not (folder / "run.db").exists():
        raise RunError(f"{folder}: not empty, and not a run; name another directory with --out")
    store = Store.create(folder, settings) if settings is not None else Store.open(folder)
    onwards = f"go on with: sport {command} {quoted(folder)}"
    try:
        with store:
            yield store
    except Stopped:
        stderr().print(f"stopped; {onwards}", **PLAIN)
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if not isinstance(error, typer.Exit) and "--resume" not in str(error):
            error.add_note(f"the run lies in {folder}; {onwards}")
        raise


def saved(folder: Path) -> Config:
    """The configuration that a run was begun with."""
    from sport.store import Store

    with Store.view(folder) as store:
        return store.config


def drive(store: Store, work: Work) -> None:
    """Build the run's parts, then await ``work`` until it is done or a signal says stop.

    The first Ctrl-C or SIGTERM cancels: sandboxes and workers are put away, what is committed stays. A second one does
    not wait for that. Raises Stopped.
    """
    from sport import wire

    with watcher(stderr()) as progress, stoppable(progress):
        kit = wire.build(store, progress)
        asyncio.run(until_stopped(work(kit), progress))


@contextmanager
def stoppable(progress: Watcher) -> Iterator[None]:
    """Whatever a wish to stop makes the block raise comes out as Stopped."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt) and not progress.stopping:
            raise
        if not isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            stderr().print(f"while stopping: {type(error).__name__}: {error}", **PLAIN)
        raise Stopped from error


async def until_stopped(work: Awaitable[None], progress: Watcher) -> None:
    """Await ``work``; the first signal cancels it, a second one interrupts at once."""
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


def do_stage(name: str, folder: Path, iteration: int | None) -> None:
    """One stage of a run that exists, and what came of it."""

    async def work(kit: Any) -> None:
        from sport import loop

        await loop.stage(kit, name, iteration)

    with opened(folder, None) as store:
        drive(store, work)
        summary(store)
