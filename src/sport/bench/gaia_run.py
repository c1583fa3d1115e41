"""GAIA as an evaluation: keys, scores, figures by level, and the leaderboard's lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sport.bench.counts import counts
from sport.bench.gaia import LEVELS, Question
from sport.bench.gaia_score import right
from sport.bench.judge import Asking, each
from sport.bench.run import Further
from sport.stats import mean, ratio, wilson
from sport.types import Key, Metric, Trajectory


def key(question: Question) -> Key | None:
    """None in the test split: its tasks are answered and not scored."""
    if question.truth is None:
        return None
    name = f"level {question.level}"
    return Key(task_id=question.id, answer=question.truth, facts={"level": question.level}, family=name)


def score(trajectory: Trajectory, key: Key) -> dict[str, float]:
    """``right`` by the official scorer (no answer is wrong), ``level``, and ``steps`` and ``ran`` as counts."""
    return {
        **answered(trajectory.end.answer if trajectory.end else None, key),
        **counts(trajectory),
    }


def answered(answer: str | None, key: Key) -> dict[str, float]:
    """``right`` and ``level`` of an answer alone."""
    return {"right": float(right(answer, key.answer)), "level": float(key.facts["level"])}


def normalising(asking: Asking, in_flight: int) -> Further:
    """``normalised``: the official scorer on the answer as a model restates it, never shown the truth.

    An answer that it does not restate is scored as it is; no answer is wrong and is not asked about.
    """

    async def ask(keyed: Sequence[tuple[Trajectory, Key]]) -> list[dict[str, float]]:
        answers = [trajectory.end.answer if trajectory.end else None for trajectory, _ in keyed]
        given = [i for i, answer in enumerate(answers) if answer]
        cases = [(keyed[i][0].task.query, answers[i] or "") for i in given]
        said = dict(zip(given, await each(asking.restated, cases, in_flight), strict=True))
        best = [said.get(i) or answer for i, answer in enumerate(answers)]
        return [{"normalised": float(right(one, key.answer))} for one, (_, key) in zip(best, keyed, strict=True)]

    return ask


def figures(rows: Sequence[Mapping[str, float]]) -> dict[str, Metric]:
    """Those of the answers (:func:`answer_figures`), and CodeExec and Steps."""
    found = answer_figures(rows)
    if sum(row["steps"] for row in rows):
        found["CodeExec"] = ratio([row["ran"] for row in rows], [row["steps"] for row in rows])
    return found | {"Steps": mean([row["steps"] for row in rows])}


def answer_figures(rows: Sequence[Mapping[str, float]]) -> dict[str, Metric]:
    """AnsAcc of all questions and of every level that there is (whole validation set: 165 = 53 + 86 + 26)."""
    found = {"AnsAcc": wilson(sum(row["right"] for row in rows), len(rows))}
    if all("normalised" in row for row in rows):  # beside it, never in its place
        found["AnsAcc normalised"] = wilson(sum(row["normalised"] for row in rows), len(rows))
    for level in LEVELS:
        part = [row["right"] for row in rows if row["level"] == level]
        if part:
            found[f"AnsAcc level {level}"] = wilson(sum(part), len(part))
    return found


def line(trajectory: Trajectory) -> dict[str, str]:
    """One line of the leaderboard's file. No answer is an empty one; the trace is what the controller wrote."""
    return {
        "task_id": trajectory.task.id,
        "model_answer": (trajectory.end.answer if trajectory.end else None) or "",
        "reasoning_trace": "\n\n".join(step.trunk.action.raw for step in trajectory.steps),
    }
