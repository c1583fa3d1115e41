"""What every critic must do. Subclass :class:`CriticSuite` and give it a fixture ``critic``."""

from __future__ import annotations

from itertools import permutations

import pytest

from sport.types import Candidate, Step, Verdict
from sport.verify.base import Critic
from steps import TASK, chosen, guess, look, made, times, unparsed

CASES: dict[str, tuple[list[Step], list[Candidate]]] = {
    "looking and guessing": ([], [look(0), guess(1), made(2, "x = 1"), made(3, "boom", outcome="error")]),
    "answers": (
        [chosen(0, look())],
        [times(1), times(2, "Fat", "* 3", 21), look(4), times(7, factor="+ 3", answer=15)],
    ),
    "two that are as good": ([], [look(0), look(3), unparsed(4)]),
    "gone": ([], [made(0, "x", outcome="died"), made(1, "y", outcome="timeout"), unparsed(2)]),
    "unparsed": ([], [unparsed(0), unparsed(1)]),
}


@pytest.mark.parametrize("case", CASES)
class CriticSuite:
    async def verdict(self, critic: Critic, case: str, seed: int = 3) -> Verdict:
        history, candidates = CASES[case]
        return await critic.judge(TASK, history, candidates, seed)

    async def test_best_and_tied_are_candidates_and_differ(self, critic: Critic, case: str):
        verdict = await self.verdict(critic, case)
        known = {candidate.index for candidate in CASES[case][1]}
        if verdict.best is None:
            assert verdict.tied == ()
        else:
            assert verdict.best in known
            assert set(verdict.tied) <= known - {verdict.best}
            assert all(verdict.best < other for other in verdict.tied), "the lowest-numbered of the best is best"

    async def test_the_order_of_candidates_does_not_matter(self, critic: Critic, case: str):
        history, candidates = CASES[case]
        verdicts = [await critic.judge(TASK, history, order, 3) for order in permutations(candidates)]
        assert all(verdict == verdicts[0] for verdict in verdicts)

    async def test_the_same_seed_gives_the_same_verdict(self, critic: Critic, case: str):
        assert await self.verdict(critic, case) == await self.verdict(critic, case)

    async def test_scores_are_by_candidate(self, critic: Critic, case: str):
        verdict = await self.verdict(critic, case)
        known = {candidate.index for candidate in CASES[case][1]}
        assert all(score is None for i, score in enumerate(verdict.scores) if i not in known)
        if verdict.scores and verdict.best is not None:
            highest = max(score for score in verdict.scores if score is not None)
            assert verdict.scores[verdict.best] == pytest.approx(highest, abs=0.1)

    async def test_it_says_who_it_is_and_why(self, critic: Critic, case: str):
        verdict = await self.verdict(critic, case)
        assert verdict.critic == critic.name
        assert verdict.reason.endswith((".", "parsed"))
        assert verdict == Verdict.model_validate_json(verdict.model_dump_json())
