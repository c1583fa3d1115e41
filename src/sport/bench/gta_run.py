"""GTA as an evaluation: its tasks with their keys, the scores of a trajectory, and the figures over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sport.bench.counts import counts
from sport.bench.gta import Item
from sport.bench.gta_answers import RULES
from sport.bench.gta_score import (
    CATEGORIES,
    Similarity,
    answer_scores,
    category_counts,
    f1,
    image_score,
    paper_tool_score,
    step_scores,
)
from sport.bench.moves import FORMS, Form, Move
from sport.stats import mean, ratio, resampled, wilson
from sport.types import Json, Key, Metric, Observation, ToolSpec, Trajectory


def key(item: Item, task_id: str) -> Key:
    """What scorers need of an item. ``answer`` is for people: the first alias of every group, or the first text."""
    turns = [turn.move.model_dump() for turn in item.turns]
    if item.reference is None:
        answer, family = "", "image generation"
    elif isinstance(item.reference, Mapping):
        answer, family = "; ".join(group[0] for group in item.reference["whitelist"]), "objective"
    else:
        answer, family = item.reference[0], "subjective"
    return Key(task_id=task_id, answer=answer, facts={"gt_answer": item.reference, "turns": turns}, family=family)


class EndToEnd:
    """Scores of whole trajectories. Without a ``similarity`` what needs one is absent, never 0.

    ``python`` says whether the agent writes code, which stands for Calculator, Solver and Plot.
    """

    def __init__(self, similarity: Similarity | None = None, python: bool = True) -> None:
        self._similarity = similarity
        self._python = python

    def score(self, trajectory: Trajectory, key: Key) -> dict[str, float]:
        """One task; ``<rule>`` for an answer, ``tools``, ``steps``, ``ran``, and counts by category of tool.

        A reference tool counts as called where its call came back without an error (ToolAcc), or was made at all (F1).
        """
        observations = [o for step in trajectory.steps if (o := step.trunk.observation)]
        wanted = [move for move in turns(key) if move.kind == "tool"]
        made, good = _calls(observations), [c.name for c in _calls(observations) if c.error is None]
        reference, answer = key.facts["gt_answer"], trajectory.end.answer if trajectory.end else None
        python = self._python and any(o.outcome == "ok" for o in observations)
        scores = with_right(answer_scores(answer, reference, self._similarity))
        if reference is None and self._similarity is not None:
            scores["image"] = image_score(made, wanted, self._similarity)
        return {
            **scores,
            **category_counts(made, wanted),
            "tools": paper_tool_score(good, [move.name for move in wanted], python),
            **counts(trajectory),
        }

    def figures(self, rows: Sequence[Mapping[str, float]]) -> dict[str, Metric]:
        """Every figure with its denominator: 156, 172, 229 with the whole data set; fewer with a part of it.

        ``AnsAcc SPORT`` and ``AnsAcc MAT`` are what the papers' tables hold; ToolAcc and CodeExec are by our own
        definitions (:func:`~sport.bench.gta_score.paper_tool_score`; steps that ran / all steps).
        """
        found = answer_figures(rows, self._similarity is not None)
        found["ToolAcc"] = wilson(sum(row["tools"] for row in rows), len(rows))
        if sum(row["steps"] for row in rows):
            found["CodeExec"] = ratio([row["ran"] for row in rows], [row["steps"] for row in rows])
        for category in CATEGORIES:
            counts = [[row[f"{category} {part}"] for part in ("hit", "called", "wanted")] for row in rows]
            wanted = round(sum(row[2] for row in counts))
            if wanted:
                found[f"F1 {category}"] = resampled(counts, lambda sums: f1(*sums), wanted)
        return found | {"Steps": mean([row["steps"] for row in rows])}


class StepByStep:
    """Scores of trajectories whose every turn followed the reference's prefix."""

    def __init__(
        self, tools: Sequence[ToolSpec], similarity: Similarity | None = None, form: Form = FORMS["code"]
    ) -> None:
        self._tools = tools
        self._similarity = similarity
        self._form = form

    def score(self, trajectory: Trajectory, key: Key) -> dict[str, float]:
        """Counts of one task; turns that were never asked for are wrong."""
        actions = [step.trunk.action for step in trajectory.steps]
        said = [self._form.read(action.raw, action.finished, self._tools) for action in actions]
        wanted = turns(key)
        said += [Move(kind=None, error="not asked for")] * (len(wanted) - len(said))
        return step_scores(said, wanted, key.facts["gt_answer"], self._similarity)

    def figures(self, rows: Sequence[Mapping[str, float]]) -> dict[str, Metric]:
        """InstAcc, ToolAcc, ArgAcc with intervals over tasks; SummAcc where similarity is there, else by rule."""
        found = {
            "InstAcc": _ratio(rows, "inst", "inst_of"),
            "ToolAcc": _ratio(rows, "tool", "tools"),
            "ArgAcc": _ratio(rows, "arg", "tools"),
        }
        objective = [row for row in rows if "summ official" in row]
        for name in RULES if objective else ():
            right = min(sum(row[f"summ {name}"] for row in objective), len(objective))
            found[f"SummAcc {name}, objective"] = wilson(right, len(objective))
        if self._similarity is not None:
            scored = [row for row in rows if "summ official" in row or "summ subjective" in row]
            total = sum(row.get("summ official", row.get("summ subjective", 0.0)) for row in scored)
            found["SummAcc official"] = wilson(min(total, len(scored)), len(scored))
        return found


def with_right(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores with ``right``, which the report reads: the official rule of objective answers, else absent."""
    return {**({"right": scores["official"]} if "official" in scores else {}), **scores}


def answer_figures(rows: Sequence[Mapping[str, float]], similar: bool) -> dict[str, Metric]:
    """The figures of answers alone. ``similar`` says whether sentence similarity was there; else what needs it is not.

    Where no row has calls (answers that were made elsewhere), the figure with images is absent.
    """
    found: dict[str, Metric] = {}
    objective = [row for row in rows if "official" in row]
    if objective:
        for name in ("SPORT", "MAT", "mended", "official"):
            found[f"AnsAcc {name}, objective"] = wilson(sum(row[name] for row in objective), len(objective))
    answered = [_answer(row) for row in rows if "official" in row or "subjective" in row]
    if similar and answered:
        found["AnsAcc official"] = wilson(sum(answered), len(answered))
    if similar and any("tools" in row for row in rows):
        everything = [row.get("image", _answer(row)) for row in rows]
        found["AnsAcc official, with images"] = wilson(max(0.0, sum(everything)), len(everything))
    return found


def turns(key: Key) -> list[Move]:
    """The reference's turns."""
    return [Move.model_validate(turn) for turn in key.facts["turns"]]


def _answer(row: Mapping[str, float]) -> float:
    return row.get("official", row.get("subjective", 0.0))


def _calls(observations: Sequence[Observation]) -> list[Move]:
    records = [record for seen in observations for record in seen.calls]
    return [
        Move(
            kind="tool",
            name=record.call.name,
            arguments={name: _plain(value) for name, value in record.call.arguments.items()},
            error=record.result.error,
        )
        for record in records
    ]


def _plain(value: Json) -> Json:
    return value["name"] if isinstance(value, Mapping) and set(value) == {"file", "name"} else value


def _ratio(rows: Sequence[Mapping[str, float]], part: str, whole: str) -> Metric:
    parts, wholes = [row[part] for row in rows], [row[whole] for row in rows]
    if sum(parts) > sum(wholes):  # GTA's InstAcc may pass 1
        value = sum(parts) / sum(wholes)
        return Metric(value=value, low=value, high=value, n=round(sum(wholes)))
    return ratio(parts, wholes)
