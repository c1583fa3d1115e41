"""Every critic against the one suite."""

from __future__ import annotations

import pytest

from conformance.critic import CASES, CriticSuite
from sport.verify.chance import ChanceCritic
from sport.verify.rules import RuleCritic
from steps import KEY, TASK


class TestBlind(CriticSuite):
    @pytest.fixture
    def critic(self):
        return RuleCritic()


class TestInformed(CriticSuite):
    @pytest.fixture
    def critic(self):
        return RuleCritic(keys=lambda task_id: KEY)


class TestInformedWithoutKey(CriticSuite):
    @pytest.fixture
    def critic(self):
        return RuleCritic(keys=lambda task_id: None)


class TestChance(CriticSuite):
    @pytest.fixture
    def critic(self):
        return ChanceCritic()


async def test_chance_draws_evenly():
    history, candidates = CASES["answers"]
    drawn = [(await ChanceCritic().judge(TASK, history, candidates, seed)).best for seed in range(4000)]
    assert all(abs(drawn.count(c.index) - 1000) < 150 for c in candidates)
