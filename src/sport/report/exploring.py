"""The figures of exploration: what it came to, what was dropped and why, and what chosen and rejected look like.

Every explored trajectory is read once, one at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sport.answers import answer_text, answers_match
from sport.stats import mean, wilson
from sport.store import Store
from sport.types import Candidate, Key, Metric, Pair, Step, Trajectory

FILTERS: Mapping[str, str] = {
    "no_verdict": "steps (not pairs) on which the critic said nothing, or where there was nothing to compare",
    "identical": "candidates that say what the best, or one before them, already says",
    "tied": "candidates as good as the best",
    "failed": "candidates of steps whose best one failed itself",
    "broken": "rejected candidates whose code failed or did not parse",
    "too_similar": "candidates that share too many of the best one's words",
    "too_long": "tuning: trajectories that do not fit into a row of tokens",
    "cut": "tuning: trajectories that were cut to fit",
}
"""What the filters' names mean. One that is not here is shown without a meaning."""

_TUNING = ("too_long", "cut")


@dataclass(frozen=True)
class Side:
    """The chosen or the rejected candidates of an iteration's pairs, each counted once.

    ``failed`` is the share whose code did not parse, raised or ran out of time; ``tools`` the share that called each
    tool; ``words`` the mean length of what the controller wrote; ``answers`` the share that gave a final answer.
    """

    name: str
    n: int
    failed: Metric
    answers: Metric
    words: Metric
    tools: Mapping[str, float]


@dataclass
class Agreement:
    """How often the critic's choice agrees with the key, over sound queries.

    ``best``: of the steps whose best candidate gave a final answer, those where it was right. ``choice``: the same over
    the steps where some candidates answered rightly and some wrongly, so that there was something to choose; ``chance``
    is what choosing among those answers by lot would have come to (a mean of shares).
    """

    answered: list[bool] = field(default_factory=list)
    contested: list[bool] = field(default_factory=list)
    lot: list[float] = field(default_factory=list)

    @property
    def best(self) -> Metric | None:
        """None when no best candidate answered."""
        return wilson(sum(self.answered), len(self.answered)) if self.answered else None

    @property
    def choice(self) -> Metric | None:
        """None when there was nothing to choose."""
        return wilson(sum(self.contested), len(self.contested)) if self.contested else None

    @property
    def chance(self) -> float | None:
        """None when there was nothing to choose."""
        return sum(self.lot) / len(self.lot) if self.lot else None


@dataclass
class Exploration:
    """What an iteration's exploration came to.

    ``right`` is over the answers to queries that were not spoilt; ``failures`` counts failed trajectories by the
    name of the error that ended them.
    """

    iteration: int
    trajectories: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    candidates: int = 0
    failed: int = 0
    no_verdict: int = 0
    ties: int = 0
    rights: list[bool] = field(default_factory=list)
    pairs: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    sides: tuple[Side, Side] | None = None
    agreement: Agreement = field(default_factory=Agreement)

    @property
    def right(self) -> Metric | None:
        """Share of trajectories with a sound query that ended in the key's answer; None without a key."""
        return wilson(sum(self.rights), len(self.rights)) if self.rights else None

    @property
    def steps(self) -> Metric | None:
        """Steps a trajectory."""
        return mean(self.lengths) if self.lengths else None


def explorations(store: Store) -> list[Exploration]:
    """One record per iteration that explored."""
    return [_explored(store, iteration) for iteration in sorted({o.iteration for o in store.outlines("explore")})]


def dropped(found: Sequence[Exploration]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Rows (filter, what it means, how many it dropped in each iteration)."""
    names = dict.fromkeys([*FILTERS, *(name for one in found for name in one.dropped)])
    rows = [(name, FILTERS.get(name, ""), tuple(one.dropped.get(name, 0) for one in found)) for name in names]
    return [row for row in rows if any(row[2])]


def _explored(store: Store, iteration: int) -> Exploration:
    one = Exploration(iteration)
    one.dropped = {**store.dropped(iteration), **_lost_in_tuning(store, iteration)}
    pairs = store.pairs(iteration)
    one.pairs = len(pairs)
    wanted: dict[str, list[Pair]] = {}
    for pair in pairs:
        wanted.setdefault(pair.trajectory, []).append(pair)
    chosen: list[Candidate] = []
    rejected: list[Candidate] = []
    for trajectory in store.trajectories("explore", iteration):
        _count(one, trajectory)
        key = store.key(trajectory.task.id)
        if key is not None and key.defect is None:
            _compare(one, trajectory, key)
        good, bad = _paired(trajectory, wanted.get(trajectory.id, ()))
        chosen += good
        rejected += bad
    if pairs:
        one.sides = (_side("chosen", chosen), _side("rejected", rejected))
    return one


def _lost_in_tuning(store: Store, iteration: int) -> dict[str, int]:
    note = store.stage_done(iteration, "tune") or {}
    return {name: int(note[name]) for name in _TUNING if note.get(name)}


def _count(one: Exploration, trajectory: Trajectory) -> None:
    one.trajectories += 1
    one.ends[trajectory.end.state if trajectory.end else "unfinished"] += 1
    if trajectory.end is not None and trajectory.end.state == "failed":
        one.failures[trajectory.end.reason.partition(":")[0]] += 1
    one.lengths.append(len(trajectory.steps))
    for step in trajectory.steps:
        one.candidates += len(step.candidates)
        one.failed += sum(_failed(c) for c in step.candidates if c.same_as is None)
        one.no_verdict += step.verdict is None or step.verdict.best is None
        one.ties += bool(step.verdict and step.verdict.tied)


def _compare(one: Exploration, trajectory: Trajectory, key: Key) -> None:
    """Final answer and the critic's choices against the key."""
    if trajectory.end is not None:
        answer = trajectory.end.answer
        one.rights.append(answer is not None and answers_match(answer, key.answer))
    for step in trajectory.steps:
        if step.verdict is None or step.verdict.best is None:
            continue
        told = {c.index: answer for c in step.candidates if (answer := _answer(step, c)) is not None}
        if step.verdict.best not in told:
            continue
        rights = {index: answers_match(answer, key.answer) for index, answer in told.items()}
        one.agreement.answered.append(rights[step.verdict.best])
        if len(set(rights.values())) == 2:
            one.agreement.contested.append(rights[step.verdict.best])
            one.agreement.lot.append(sum(rights.values()) / len(rights))


def _answer(step: Step, candidate: Candidate) -> str | None:
    """The final answer of a candidate, or of the equal one that ran for it."""
    ran = candidate
    if candidate.same_as is not None:
        ran = next(c for c in step.candidates if c.index == candidate.same_as)
    seen = ran.observation
    return answer_text(seen.answer) if seen is not None and seen.answered else None


def _paired(trajectory: Trajectory, pairs: Iterable[Pair]) -> tuple[list[Candidate], list[Candidate]]:
    """The distinct candidates that some pair chose, and those that some pair rejected."""
    steps = {step.index: {c.index: c for c in step.candidates} for step in trajectory.steps}
    pairs = list(pairs)
    good = dict.fromkeys((pair.step, pair.chosen) for pair in pairs)
    bad = dict.fromkeys((pair.step, pair.rejected) for pair in pairs)
    return [steps[s][c] for s, c in good], [steps[s][c] for s, c in bad]


def _side(name: str, candidates: Sequence[Candidate]) -> Side:
    n = len(candidates)
    seen = [c.observation for c in candidates]
    tools = Counter(tool for o in seen if o is not None for tool in {record.call.name for record in o.calls})
    return Side(
        name,
        n,
        wilson(sum(_failed(c) for c in candidates), n),
        wilson(sum(o is not None and o.answered for o in seen), n),
        mean([len(c.action.raw.split()) for c in candidates]),
        {tool: count / n for tool, count in sorted(tools.items())},
    )


def _failed(candidate: Candidate) -> bool:
    return candidate.observation is not None and candidate.observation.outcome != "ok"
