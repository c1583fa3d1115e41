"""Drawing of one question: every step as it comes, then the answer and where everything lies.

Whatever a model, a tool or a file said is drawn as plain text: no markup, and no control character reaches the
terminal. Results go to ``out``; what is waited for goes to ``err``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import indent
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.status import Status
from rich.syntax import Syntax
from rich.text import Text

from sport.ask import Made, plain_arguments
from sport.given import Question
from sport.types import Action, CallRecord, Candidate, End, Observation, Step, Trajectory

_LINES, _CHARACTERS = 20, 1500  # of one text of an observation
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Waiting:
    """A Recorder that says what is waited for: a spinner on a terminal, a line a step elsewhere.

    ``begin`` is called before the first step: whoever draws there clears the place.
    """

    def __init__(self, err: Console, begin: Callable[[], None]) -> None:
        self._err = err
        self._begin = begin
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._clear()

    def asked(self, trajectory: str, step: int) -> None:
        """The controller writes."""
        if step == 0:
            self._begin()
        self._wait(f"step {step + 1}: the controller writes")

    def sampled(self, trajectory: str, step: int, candidates: Sequence[Candidate]) -> None:
        """Its code runs, if it has any."""
        self._clear()
        self._wrote(step, candidates[0].action)
        if candidates[0].action.code is not None:
            self._wait(f"step {step + 1}: its code runs")

    def observed(self, trajectory: str, step: int, candidate: int, observation: Observation) -> None:
        """The code has run."""
        self._clear()
        self._saw(observation)

    def decided(self, trajectory: str, step: Step) -> None:
        """Nothing new: there was one candidate."""

    def ended(self, trajectory: str, end: End) -> None:
        """Nothing is waited for any more."""
        self._clear()

    def _wrote(self, step: int, action: Action) -> None:
        """Draw an action."""

    def _saw(self, observation: Observation) -> None:
        """Draw an observation."""

    def _wait(self, what: str) -> None:
        if self._err.is_terminal:
            self._status = Status(what, console=self._err)
            self._status.start()
        else:
            self._err.print(what, markup=False, highlight=False, soft_wrap=True)

    def _clear(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


class Steps(Waiting):
    """Draws the steps themselves, too: thought, code with its syntax in colour, observation, trimmed."""

    def __init__(self, out: Console, err: Console, begin: Callable[[], None]) -> None:
        super().__init__(err, begin)
        self._out = out

    def _wait(self, what: str) -> None:
        if self._err.is_terminal:  # elsewhere the steps say enough
            super()._wait(what)

    def _wrote(self, step: int, action: Action) -> None:
        self._out.print(Rule(f"step {step + 1}", align="left", style="cyan"))
        if action.code is None:
            self._text(action.raw, "dim")
            self._text(action.problem or "", "red")
            return
        self._text(action.thought, "italic")
        code = Syntax("", "python", background_color="default").highlight(indent(clean(action.code), "    "))
        code.rstrip()
        self._out.print(code, soft_wrap=True)

    def _saw(self, observation: Observation) -> None:
        self._text(f"observation: {observation.outcome}", "dim")
        for record in observation.calls:
            self._text(call(record), "cyan")
        for text in (observation.stdout, observation.value, observation.stderr):
            self._text(text or "", "")
        self._text(observation.error or "", "red")

    def _text(self, text: str, style: str) -> None:
        if text.strip():
            self._out.print(Text(trimmed(text), style=style), soft_wrap=True)


def question(out: Console, asked: Question) -> None:
    """The question, and what its files are called from here on."""
    out.print(Text(clean(asked.query), style="bold"))
    for given in asked.files:
        line = f"{given.name}: {given.path}, {given.media_type}, {bytes_of(len(given.data))}"
        out.print(Text(clean(line), style="dim"), soft_wrap=True)


def answer(out: Console, trajectory: Trajectory, made: Sequence[Made], run: Path, report: str) -> None:
    """The answer, or why there is none; the files made; where the trajectory lies, and how to see it again."""
    end = trajectory.end
    if end is not None and end.answer is not None:
        out.print(Panel(Text(trimmed(end.answer), style="bold"), title="answer", border_style="green", expand=False))
    else:
        why = f"{end.state.replace('_', ' ')}: {end.reason}" if end else "it was not finished"
        out.print(Panel(Text(trimmed(why)), title="no answer", border_style="red", expand=False))
    for one in made:
        out.print(Text(clean(f"made: {one.name}, {bytes_of(one.size)}, in {one.path}")), soft_wrap=True)
    out.print(Text(f"trajectory: {trajectory.id} in {run}\nas a page: {report}"), soft_wrap=True)


def call(record: CallRecord) -> str:
    """A tool call on one line, with its error if it has one."""
    told = ", ".join(f"{name}={value!r}" for name, value in plain_arguments(record.call.arguments).items())
    return f"called {record.call.name}({told})" + (f": {record.result.error}" if record.result.error else "")


def trimmed(text: str) -> str:
    r"""At most 20 lines and 1,500 characters, with a note of what is missing; without control characters.

    >>> trimmed("one\n" * 22).splitlines()[-1]
    '... 8 more characters'
    """
    whole = clean(text).strip("\n")
    kept = "\n".join(whole[:_CHARACTERS].split("\n")[:_LINES])
    return kept if len(kept) == len(whole) else f"{kept}\n... {len(whole) - len(kept):,} more characters"


def clean(text: str) -> str:
    r"""Control characters (colours, cursor movements) and lone surrogates become a replacement mark.

    >>> clean("a\x1b[31mb\r\n")
    'a\ufffd[31mb\n'
    """
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


def bytes_of(size: int) -> str:
    """A size for people.

    >>> bytes_of(12), bytes_of(12_600)
    ('12 bytes', '12.6 kB')
    """
    return f"{size} bytes" if size < 1000 else f"{size / 1000:,.1f} kB"
