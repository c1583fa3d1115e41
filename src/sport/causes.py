"""Why an answer was wrong, by rule: one name per trajectory, the first whose definition fits.

The rules read the trajectory's trunk and the task's key (the calls it needs), never a model's opinion. They name what
can be seen, not what went on in the controller: one that guessed right without looking is right, and one that read a
table with Python alone called no tool. Whether an answer is right is :func:`sport.answers.answers_match`, so the causes
suit tasks with one exact answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from sport.answers import answers_match, as_number, call_meets, normalised
from sport.types import CallRecord, Key, Trajectory

FAILED = "code failed to the end"
NO_ANSWER = "no answer"
NO_TOOL = "called no tool"
WRONG_TOOL = "wrong tool"
WRONG_LOOK = "looked for the wrong thing"
INCOMPLETE = "incomplete look-up"
WRONG_VALUE = "took a wrong value"
WRONG_WORK = "worked it out wrongly"

CAUSES: Mapping[str, str] = {
    FAILED: "it never answered, and its last code did not parse, raised an error or ran out of time",
    NO_ANSWER: "it never answered, although its last code ran",
    NO_TOOL: "it answered, and no tool was ever called",
    WRONG_TOOL: "tools were called, but none of those that the task needs",
    WRONG_LOOK: "a tool that the task needs was called, but never with the arguments that it needs, or it failed",
    INCOMPLETE: "some of the calls that the task needs were made, not all",
    WRONG_VALUE: "all needed calls were made; the answer stands as it is in what a tool said",
    WRONG_WORK: "all needed calls were made; the answer stands in nothing that a tool said: wrong operation or number",
}
"""Every cause and its definition, in the order in which they are tried."""

_NUMBERS = re.compile(r"\d[\d.,]*")


def cause(trajectory: Trajectory, key: Key) -> str | None:
    """Why the trajectory's answer is wrong, one of :data:`CAUSES`; None when it is right.

    An unfinished trajectory counts as one without an answer. A task that needs no call cannot lack one.
    """
    answer = trajectory.end.answer if trajectory.end else None
    if answer is None:
        return FAILED if _failed(trajectory) else NO_ANSWER
    if answers_match(answer, key.answer):
        return None
    return _missing(trajectory, key) or _wrong(answer, _calls(trajectory))


def _missing(trajectory: Trajectory, key: Key) -> str | None:
    """What of the needed look-up is missing; None when all of it was made."""
    calls, files = _calls(trajectory), trajectory.task.files
    good = [record.call for record in calls if record.result.error is None]
    met = [any(call_meets(call, need, files) for call in good) for need in key.needs]
    if all(met):
        return None
    if not calls:
        return NO_TOOL
    if not {record.call.name for record in calls} & {need.tool for need in key.needs}:
        return WRONG_TOOL
    return INCOMPLETE if any(met) else WRONG_LOOK


def _wrong(answer: str, calls: Sequence[CallRecord]) -> str:
    said = [record.result.value for record in calls if record.result.error is None]
    texts = [value if isinstance(value, str) else json.dumps(value, default=str) for value in said]
    return WRONG_VALUE if any(_stands_in(answer, text) for text in texts) else WRONG_WORK


def _stands_in(answer: str, text: str) -> bool:
    """Whether a text holds the answer: a number as one of its numbers, else as whole words."""
    if as_number(answer) is not None:
        return any(answers_match(answer, number.rstrip(".,")) for number in _NUMBERS.findall(text))
    words = normalised(answer)
    return bool(words) and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", normalised(text)) is not None


def _failed(trajectory: Trajectory) -> bool:
    last = trajectory.steps[-1].trunk.observation if trajectory.steps else None
    return last is not None and last.outcome != "ok"


def _calls(trajectory: Trajectory) -> list[CallRecord]:
    """All calls of the trunk, in order."""
    seen = [step.trunk.observation for step in trajectory.steps]
    return [record for observation in seen if observation for record in observation.calls]
