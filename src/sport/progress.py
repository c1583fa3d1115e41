"""Drawing of progress: bars on a terminal, plain lines elsewhere (CI logs, files).

Both are :class:`sport.events.Progress`. They write to standard error, so that standard output holds results only.
``advance`` is also where a stop takes effect in work that does not await anything, such as a tuning step: after
:meth:`Watcher.stop` the next call raises :class:`asyncio.CancelledError`, on whichever thread it is made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

PLAIN_EVERY_S = 10.0


class Watcher:
    """What both drawings share: a context, and ``stopping``, the wish to stop."""

    def __init__(self) -> None:
        self.stopping = False

    def stop(self) -> None:
        """Ask the running stage to end at its next :meth:`advance`."""
        self.stopping = True

    def start(self, stage: str, total: int, unit: str) -> None:
        """A stage begins; a stage of the same name starts afresh."""
        raise NotImplementedError

    def advance(self, stage: str, by: int = 1, note: str = "") -> None:
        """``by`` units are done. Raises asyncio.CancelledError after :meth:`stop`."""
        raise NotImplementedError

    def finish(self, stage: str, note: str = "") -> None:
        """A stage is over."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def _heed(self) -> None:
        if self.stopping:
            raise asyncio.CancelledError("stopped by the user")


class RichProgress(Watcher):
    """One bar per stage, with rate and time left."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._bars = Bars(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:g}/{task.total:g} {task.fields[unit]}"),
            _RateColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
        )
        self._ids: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def start(self, stage: str, total: int, unit: str) -> None:
        """Add a bar below the others."""
        self._ids[stage] = self._bars.add_task(stage, total=total, unit=unit, note="")

    def advance(self, stage: str, by: int = 1, note: str = "") -> None:
        """Move the bar on."""
        self._heed()
        self._bars.update(self._ids[stage], advance=by)
        if note:
            self._bars.update(self._ids[stage], note=note)

    def finish(self, stage: str, note: str = "") -> None:
        """Fill the bar and freeze its time."""
        task = self._ids.pop(stage)
        total = self._bars.tasks[self._bars.task_ids.index(task)].total
        self._bars.update(task, completed=total)
        if note:
            self._bars.update(task, note=note)


class _RateColumn(ProgressColumn):
    """Units a second, or seconds a unit where that is easier to read."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(rate(speed) if speed else "", style="cyan")


@dataclass
class _Stage:
    total: int
    unit: str
    began: float
    said: float
    done: int = 0
    note: str = ""


class PlainProgress(Watcher):
    """A line when a stage starts and ends, and one every ten seconds at most in between."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._write = write
        self._clock = clock
        self._stages: dict[str, _Stage] = {}

    def start(self, stage: str, total: int, unit: str) -> None:
        """Write that the stage starts."""
        now = self._clock()
        self._stages[stage] = _Stage(total, unit, began=now, said=now)
        self._write(f"{stage}: 0/{total} {unit}")

    def advance(self, stage: str, by: int = 1, note: str = "") -> None:
        """Count; write if the last line is old enough."""
        self._heed()
        state = self._stages[stage]
        state.done += by
        state.note = note or state.note
        if self._clock() - state.said >= PLAIN_EVERY_S:
            state.said = self._clock()
            self._write(self._line(stage, state))

    def finish(self, stage: str, note: str = "") -> None:
        """Write what was done, and in what time."""
        state = self._stages.pop(stage)
        tail = f" ({note or state.note})" if note or state.note else ""
        self._write(f"{stage}: done, {state.done} {state.unit} in {span(self._clock() - state.began)}{tail}")

    def _line(self, stage: str, state: _Stage) -> str:
        parts = [f"{stage}: {state.done}/{state.total} {state.unit}"]
        elapsed = self._clock() - state.began
        if state.done and elapsed > 0:
            parts.append(rate(state.done / elapsed))
            parts.append(f"{span(max(0, state.total - state.done) * elapsed / state.done)} left")
        return ", ".join(parts) + (f" ({state.note})" if state.note else "")


def watcher(console: Console) -> Watcher:
    """Bars on a terminal; plain lines anywhere else."""
    if console.is_terminal:
        return RichProgress(console)
    return PlainProgress(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))


def rate(per_second: float) -> str:
    """Units a second in words that stay short.

    >>> rate(3.14159), rate(0.25)
    ('3.1/s', '4.0 s each')
    """
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{1 / per_second:.1f} s each"


def span(seconds: float) -> str:
    """A duration for people.

    >>> span(7.2), span(75), span(3700)
    ('7.2 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
