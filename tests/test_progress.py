"""Progress: lines that stay readable in a log, bars on a terminal, and a stop that takes effect at the next unit."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from sport.progress import PlainProgress, RichProgress, Watcher, rate, span, watcher


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def plain() -> tuple[PlainProgress, list[str], Clock]:
    lines: list[str] = []
    clock = Clock()
    return PlainProgress(lines.append, clock), lines, clock


def bars() -> tuple[RichProgress, io.StringIO]:
    text = io.StringIO()
    return RichProgress(Console(file=text, force_terminal=True, width=140)), text


def test_a_log_gets_a_line_at_start_and_end() -> None:
    progress, lines, clock = plain()
    progress.start("explore", 3, "tasks")
    for _ in range(3):
        clock.now += 1
        progress.advance("explore")
    progress.finish("explore", "2 answered")
    assert lines == ["explore: 0/3 tasks", "explore: done, 3 tasks in 3.0 s (2 answered)"]


def test_a_log_gets_at_most_one_line_in_ten_seconds() -> None:
    progress, lines, clock = plain()
    progress.start("explore", 100, "tasks")
    for _ in range(50):
        clock.now += 0.5
        progress.advance("explore")
    assert lines[1:] == [
        "explore: 20/100 tasks, 2.0/s, 40.0 s left",
        "explore: 40/100 tasks, 2.0/s, 30.0 s left",
    ]


def test_two_stages_may_run_at_once() -> None:
    progress, lines, _ = plain()
    progress.start("synth", 1, "queries")
    progress.start("explore", 1, "tasks")
    progress.advance("explore")
    progress.finish("synth")
    progress.finish("explore")
    assert lines[-2:] == ["synth: done, 0 queries in 0.0 s", "explore: done, 1 tasks in 0.0 s"]


def test_a_bar_shows_stage_count_rate_and_note() -> None:
    progress, text = bars()
    with progress:
        progress.start("tune", 2, "steps")
        progress.advance("tune", note="loss 0.61")
        progress.advance("tune")
        progress.finish("tune")
    drawn = text.getvalue()
    assert [part for part in ("tune", "2/2 steps", "loss 0.61", "✓") if part not in drawn] == []


def test_a_stage_may_come_again() -> None:
    progress, text = bars()
    with progress:
        for total in (3, 5):
            progress.start("eval", total, "tasks")
            progress.finish("eval")
    assert "3/3" in text.getvalue()
    assert "5/5" in text.getvalue()


@pytest.mark.parametrize("make", [plain, bars])
def test_a_stop_takes_effect_at_the_next_unit(make: object) -> None:
    progress: Watcher = make()[0]  # type: ignore[operator]
    progress.start("tune", 2, "steps")
    progress.advance("tune")
    progress.stop()
    with pytest.raises(asyncio.CancelledError):
        progress.advance("tune")


async def test_a_stop_in_a_thread_ends_who_awaits_it() -> None:
    progress, _, _ = plain()
    progress.start("tune", 2, "steps")
    progress.stop()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.to_thread(progress.advance, "tune")


def test_bars_are_for_terminals() -> None:
    assert isinstance(watcher(Console(file=io.StringIO())), PlainProgress)
    assert isinstance(watcher(Console(file=io.StringIO(), force_terminal=True)), RichProgress)


def test_a_note_with_brackets_is_written_as_it_is() -> None:
    text = io.StringIO()
    progress = watcher(Console(file=text))
    progress.start("eval", 1, "tasks")
    progress.finish("eval", "[red] 1/1 [/nothing]")
    assert "[red] 1/1 [/nothing]" in text.getvalue()


def test_rates_and_spans_are_short() -> None:
    assert [rate(3.14159), rate(0.25), rate(1.0)] == ["3.1/s", "4.0 s each", "1.0/s"]
    assert [span(7.2), span(59.99), span(75), span(3700)] == ["7.2 s", "60.0 s", "1 min 15 s", "1 h 1 min"]
