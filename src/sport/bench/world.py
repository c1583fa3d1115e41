"""The embedded world's evaluation split and its scorers.

* AnsAcc: the answer is equal to the key's, as a number or after normalising; never a substring. No answer is wrong.
* ToolAcc: share of tasks whose needed calls (from the key) were all made without error, arguments compared after
  resolving file names to contents.
* CodeExec: steps that ran without an exception / all steps; a step that does not parse counts as failed.
"""

from __future__ import annotations

from collections.abc import Sequence

from sport.answers import answers_match, call_meets
from sport.bench.counts import counts
from sport.types import Key, Trajectory
from sport.world.make import Made, make


def drafts(split: str, number: int, families: Sequence[str]) -> list[Made]:
    """The first ``number`` tasks of an evaluation split: the same for every seed, none of them spoilt."""
    return [make(split, ordinal, families=families) for ordinal in range(number)]


def score(trajectory: Trajectory, key: Key) -> dict[str, float]:
    """``right`` and ``tools`` (0 or 1), ``steps`` and ``ran`` (counts) of one trajectory."""
    observations = [o for step in trajectory.steps if (o := step.trunk.observation)]
    answer, files = trajectory.end.answer if trajectory.end else None, trajectory.task.files
    calls = [record.call for o in observations for record in o.calls if record.result.error is None]
    return {
        "right": float(answer is not None and answers_match(answer, key.answer)),
        "tools": float(all(any(call_meets(c, need, files) for c in calls) for need in key.needs)),
        **counts(trajectory),
    }
