"""The embedded world's evaluation split and its scorers.

* AnsAcc: the answer is equal to the key's, as a number or after normalising; never a substring. No answer is wrong.
* ToolAcc: share of tasks whose needed calls (from the key) were all made without error, arguments compared after
  resolving file names to contents.
* CodeExec: steps that ran without an exception / all steps; a step that does not parse counts as failed.
"""

from __future__ import annotations

from collections.abc import Sequence

from sport.answers import answers_match
from sport.types import CallRecord, Json, Key, Need, Task, Trajectory
from sport.world.make import Made, make


def drafts(split: str, number: int, families: Sequence[str]) -> list[Made]:
    """The first ``number`` tasks of an evaluation split: the same for every seed, none of them spoilt."""
    return [make(split, ordinal, families=families) for ordinal in range(number)]


def score(trajectory: Trajectory, key: Key) -> dict[str, float]:
    """``right`` and ``tools`` (0 or 1), ``steps`` and ``ran`` (counts) of one trajectory."""
    observations = [o for step in trajectory.steps if (o := step.trunk.observation)]
    answer = trajectory.end.answer if trajectory.end else None
    calls = [call for o in observations for call in o.calls]
    return {
        "right": float(answer is not None and answers_match(answer, key.answer)),
        "tools": float(all(_made(need, trajectory.task, calls) for need in key.needs)),
        "steps": float(len(trajectory.steps)),
        "ran": float(sum(o.outcome == "ok" for o in observations)),
    }


def _made(need: Need, task: Task, calls: Sequence[CallRecord]) -> bool:
    """Whether one of the calls is the needed one: same tool, and at least the needed arguments."""
    files = {file.name: file.sha256 for file in task.files}
    wanted = {name: files.get(value, _plain(value)) for name, value in need.arguments.items()}
    for record in calls:
        given = {name: _plain(value) for name, value in record.call.arguments.items()}
        same = all(given.get(name) == value for name, value in wanted.items())
        if record.call.name == need.tool and record.result.error is None and same:
            return True
    return False


def _plain(value: Json) -> Json:
    """A file argument as its content; words in lower case and singular."""
    if isinstance(value, dict) and "file" in value:
        return value["file"]
    return " ".join(value.lower().split()).removesuffix("s") if isinstance(value, str) else value
