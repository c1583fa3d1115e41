"""The rule critic: the verifier's criteria by rule, in two strengths.

*Blind*, it sees what a language model in its place would see. *Informed*, it also reads the answer key, which makes it
an upper bound and no method: the report shows both. In either, a right answer without evidence in the observations
loses to a candidate that looked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sport.answers import answers_match, call_meets
from sport.types import Candidate, Json, Key, Step, Task, Verdict
from sport.verify import criteria
from sport.verify.base import Critic
from sport.verify.evidence import calls_of

EPSILON = 0.05  # scores closer than this are equal

# Where the classes of candidates begin; what a candidate is worth within its class comes on top.
FAILED = 0.5
GUESSED = 0.8  # answered without looking
WRONG = 1.6
ANSWERED = 1.7
RAN = 2.0
RIGHT_BUT_UNFOUNDED = 3.0
RIGHT = 6.0


@dataclass(frozen=True)
class Mark:
    """A candidate's score, what it is in words, and the criteria behind it."""

    score: float
    words: str
    notes: dict[str, Json] = field(default_factory=dict)


class RuleCritic(Critic):
    """Scores every candidate by itself and against the others; the highest wins, equals tie.

    It abstains only when no candidate could be parsed. It is deterministic and does not use its seed.

    Args:
        keys: a task's key by the task's id. None makes the critic blind; a task without a key is judged blindly.
    """

    def __init__(self, *, keys: Callable[[str], Key | None] | None = None) -> None:
        self._keys = keys
        self.name = "rules-blind" if keys is None else "rules-informed"

    async def judge(self, task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int) -> Verdict:
        """See :class:`~sport.verify.base.Critic`."""
        key = self._keys(task.id) if self._keys else None
        marks = {c.index: self._mark(task, key, history, c, candidates) for c in candidates}
        notes: dict[str, Json] = {str(i): {"is": marks[i].words, **marks[i].notes} for i in sorted(marks)}
        if all(candidate.action.code is None for candidate in candidates):
            return Verdict(best=None, reason="no candidate could be parsed", notes=notes, critic=self.name)
        highest = max(mark.score for mark in marks.values())
        best, *tied = sorted(i for i, mark in marks.items() if mark.score > highest - EPSILON)
        scores = tuple(round(marks[i].score, 4) if i in marks else None for i in range(max(marks) + 1))
        return Verdict(
            best=best, tied=tuple(tied), scores=scores, reason=_reason(best, tied, marks), notes=notes, critic=self.name
        )

    def _mark(
        self, task: Task, key: Key | None, history: Sequence[Step], candidate: Candidate, others: Sequence[Candidate]
    ) -> Mark:
        looked = criteria.looked(task, history, candidate)
        answer = criteria.answer_of(candidate)
        if candidate.action.code is None:
            return Mark(0.0, "could not be parsed")
        if not criteria.ran(candidate):
            found = bool(criteria.new_calls(history, candidate))
            return Mark(FAILED + 0.7 * found, "failed" + " after finding something" * found)
        if answer is not None and not looked:
            right = key is not None and answers_match(answer, key.answer)
            return Mark(GUESSED + 0.1 * right, "answered without looking at the files")
        if answer is None:
            return _step(task, key, history, candidate, others)
        if key is not None:
            return _known_answer(task, key, history, candidate, answer)
        return _answer(task, history, candidate, others)


def _step(
    task: Task, key: Key | None, history: Sequence[Step], candidate: Candidate, others: Sequence[Candidate]
) -> Mark:
    """A step that ran and did not answer: 2 to 4."""
    made_up = criteria.invented(task, history, candidate)
    useful = criteria.useful(task, history, candidate)
    parts = {
        "useful": useful,
        "fitting": criteria.fitting(task, history, candidate),
        "grounded": float(not made_up),
        "covering": criteria.covering(task, history, candidate, others),
    }
    weights = {"useful": 0.8, "fitting": 0.6, "grounded": 0.3, "covering": 0.3}
    if key is not None and key.needs:
        parts["progress"] = _progress(key, history, candidate)
        weights = {"useful": 0.4, "fitting": 0.2, "grounded": 0.2, "progress": 1.2}
    score = RAN + sum(weight * parts[name] for name, weight in weights.items())
    words = {1.0: "found something new", 0.5: "told something new", 0.25: "looked up what was not asked for"}.get(
        useful, "brought nothing new"
    )
    return Mark(score, _with_invention(words, made_up), _rounded(parts))


def _answer(task: Task, history: Sequence[Step], candidate: Candidate, others: Sequence[Candidate]) -> Mark:
    """An answer after looking: 1.7 to 4.5.

    Every doubt multiplies: one half-right turn puts an answer below a useful step, and one wrong turn below any step,
    for an answer ends the trajectory and a step does not.
    """
    made_up = criteria.invented(task, history, candidate)
    parts = {
        "grounded": float(not made_up),
        "precise": criteria.precise(task, history, candidate),
        "covering": criteria.covering(task, history, candidate, others),
        "numbers": criteria.uses_numbers(task, history, candidate),
        "operation": criteria.right_operation(task, history, candidate),
        "form": criteria.well_formed(task, candidate),
        "unit": criteria.in_unit(task, history, candidate),
    }
    support = 1.0
    for share in parts.values():
        support *= max(share, 0.15)
    doubts = [name for name, share in parts.items() if share < 0.5]
    words = f"answered, but in doubt by {', '.join(doubts)}" if doubts else "answered from what was observed"
    parts["agreement"] = criteria.agreement(task, history, candidate, others)
    return Mark(ANSWERED + 2.5 * support + 0.3 * parts["agreement"], _with_invention(words, made_up), _rounded(parts))


def _known_answer(task: Task, key: Key, history: Sequence[Step], candidate: Candidate, answer: str) -> Mark:
    """An answer after looking, against the key. A wrong one is worth less than any step that runs."""
    made_up = criteria.invented(task, history, candidate)
    if not answers_match(answer, key.answer):
        return Mark(WRONG, "answered, but wrongly", {"right": 0.0})
    if made_up:
        return Mark(RIGHT_BUT_UNFOUNDED, _with_invention("answered rightly", made_up), {"right": 1.0, "grounded": 0.0})
    return Mark(RIGHT, "answered rightly from what was observed", {"right": 1.0, "grounded": 1.0})


def _progress(key: Key, history: Sequence[Step], candidate: Candidate) -> float:
    """Share of the task's still missing calls that this candidate made."""
    trunk = [call for step in history for call in calls_of(step.trunk) if call.result.error is None]
    missing = [need for need in key.needs if not any(call_meets(call.call, need) for call in trunk)]
    made = [call for call in calls_of(candidate) if call.result.error is None]
    met = [need for need in missing if any(call_meets(call.call, need) for call in made)]
    return len(met) / len(missing) if missing else 0.0


def _reason(best: int, tied: Sequence[int], marks: dict[int, Mark]) -> str:
    """One readable paragraph: the winner, its equals, and what the others lacked."""
    equals = f", as good as {_numbers(tied)}" if tied else ""
    text = f"Candidate {best} {marks[best].words}{equals}."
    groups: dict[str, list[int]] = {}
    for index in sorted(set(marks) - {best, *tied}):
        groups.setdefault(marks[index].words, []).append(index)
    rest = (f"Candidate{'s' * (len(group) > 1)} {_numbers(group)} {words}." for words, group in groups.items())
    return " ".join([text, *rest])


def _numbers(indices: Sequence[int]) -> str:
    *first, last = map(str, indices)
    return f"{', '.join(first)} and {last}" if first else last


def _with_invention(words: str, made_up: Sequence[str]) -> str:
    return f"{words}, with {', '.join(made_up[:3])} that nothing has shown" if made_up else words


def _rounded(parts: dict[str, float]) -> dict[str, Json]:
    return {name: round(share, 3) for name, share in parts.items()}
