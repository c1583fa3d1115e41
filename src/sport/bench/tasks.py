"""Tasks of a user's own as an evaluation: keys, scores and figures. What the file looks like is said in ``own.py``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sport.answers import as_number, call_meets, normalised
from sport.bench.counts import counts
from sport.bench.gta_answers import mended
from sport.bench.judge import Asking, each
from sport.bench.run import Further
from sport.own import Own
from sport.stats import mean, ratio, wilson
from sport.types import Json, Key, Metric, Need, Trajectory

VERSION = "tasks-1"
RULE = "scorer"


def key(task: Own, task_id: str) -> Key | None:
    """What the scorer needs; None for a task that nobody knows the answer to. ``family`` is its scorer."""
    line = task.line
    if line.rule is None:
        return None
    answer = line.answer if line.answer is not None else "; ".join(group[0] for group in line.whitelist or ())
    facts = {
        RULE: line.rule,
        "tolerance": line.tolerance,
        "whitelist": line.whitelist,
        "blacklist": line.blacklist,
    }
    needs = tuple(Need(tool=name) for name in line.tools)
    return Key(task_id=task_id, answer=answer, facts=facts, needs=needs, family=line.rule)


def right(answer: str | None, key: Key) -> bool | None:
    """Whether an answer is right by the key's own rule; None where only a judge can say. No answer is wrong.

    >>> key = Key(task_id="t", answer="12.5", facts={"scorer": "numeric", "tolerance": 0.1})
    >>> right("12.45", key), right("12.5 g", key), right(None, key)
    (True, False, False)
    """
    rule = key.facts[RULE]
    if answer is None:
        return False
    if rule == "exact":
        return normalised(answer) == normalised(key.answer)
    if rule == "numeric":
        return _close(as_number(answer), as_number(key.answer), key.facts["tolerance"])
    return mended(answer, key.facts) if rule == "whitelist" else None


def score(trajectory: Trajectory, key: Key) -> dict[str, float]:
    """``right`` (absent where a judge has to say), ``tools`` where the task names some, ``steps`` and ``ran``."""
    observations = [o for step in trajectory.steps if (o := step.trunk.observation)]
    calls = [record.call for o in observations for record in o.calls if record.result.error is None]
    verdict = right(trajectory.end.answer if trajectory.end else None, key)
    scores = {} if verdict is None else {"right": float(verdict)}
    if key.needs:
        scores["tools"] = float(all(any(call_meets(call, need) for call in calls) for need in key.needs))
    return {
        **scores,
        **counts(trajectory),
    }


def judging(asking: Asking, in_flight: int) -> Further:
    """``right`` of every answer that only the judge can call right; absent where it comes to no verdict."""

    async def ask(keyed: Sequence[tuple[Trajectory, Key]]) -> list[dict[str, float]]:
        answers = [trajectory.end.answer if trajectory.end else None for trajectory, _ in keyed]
        open_ = [i for i, (_, key) in enumerate(keyed) if right(answers[i], key) is None]
        cases = [(keyed[i][0].task.query, keyed[i][1].answer, answers[i] or "") for i in open_]
        said = dict(zip(open_, await each(asking.same, cases, in_flight), strict=True))
        return [{} if said.get(i) is None else {"right": float(bool(said[i]))} for i in range(len(keyed))]

    return ask


def figures(rows: Sequence[Mapping[str, float]]) -> dict[str, Metric]:
    """AnsAcc over tasks that could be scored, ToolAcc over those that name tools, CodeExec over steps, and Steps."""
    found = {}
    for name, part in (("AnsAcc", "right"), ("ToolAcc", "tools")):
        known = [row[part] for row in rows if part in row]
        if known:
            found[name] = wilson(sum(known), len(known))
    if sum(row["steps"] for row in rows):
        found["CodeExec"] = ratio([row["ran"] for row in rows], [row["steps"] for row in rows])
    return found | {"Steps": mean([row["steps"] for row in rows])}


def _close(given: float | None, wanted: float | None, tolerance: Json) -> bool:
    """Equal within the tolerance; what floats lose (one part in 10^9) does not count."""
    if given is None or wanted is None:
        return False
    return math.isclose(given, wanted, rel_tol=1e-9, abs_tol=max(1e-9, float(tolerance)))
