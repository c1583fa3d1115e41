"""What every LLM must do. Subclass :class:`LLMSuite` and give it a fixture ``llm``."""

from __future__ import annotations

import asyncio

import pytest

from sport.errors import CheckpointError
from sport.llm.base import LLM
from sport.types import Message, Sampling, Text


def ask(words: str) -> list[Message]:
    return [Message(role="user", parts=(Text(text=words),))]


def sampling(order: int = 0, seed: int = 0) -> Sampling:
    return Sampling(temperature=1.0, max_new_tokens=8, seed=seed, order=order)


class LLMSuite:
    async def test_answers_with_exactly_n_samples(self, llm: LLM):
        for n in (1, 5):
            samples = await llm.sample(ask("How many?"), n, sampling())
            assert len(samples) == n
            assert all(isinstance(sample.text, str) for sample in samples)

    async def test_the_same_question_gets_the_same_answer(self, llm: LLM):
        first = await llm.sample(ask("How many?"), 3, sampling(seed=4))
        assert await llm.sample(ask("How many?"), 3, sampling(seed=4)) == first

    async def test_a_candidate_does_not_depend_on_how_many_there_are(self, llm: LLM):
        five = await llm.sample(ask("How many?"), 5, sampling())
        two = await llm.sample(ask("How many?"), 2, sampling())
        assert [sample.text for sample in five[:2]] == [sample.text for sample in two]

    async def test_answers_do_not_depend_on_company(self, llm: LLM):
        words = ["How many?", "How much sugar do three portions contain?", "What is it?"]

        async def lane(order: int) -> list[str]:
            async with llm.lane():
                return [s.text for s in await llm.sample(ask(words[order]), 2, sampling(order))]

        together = await asyncio.gather(*(lane(order) for order in range(3)))
        alone = [[s.text for s in await llm.sample(ask(w), 2, sampling(i))] for i, w in enumerate(words)]
        assert together == alone

    async def test_a_lane_that_ends_holds_nobody_up(self, llm: LLM):
        async def lane(steps: int) -> int:
            async with llm.lane():
                for step in range(steps):
                    await llm.sample(ask(f"step {step}"), 1, sampling())
            return steps

        assert await asyncio.wait_for(asyncio.gather(lane(1), lane(3), lane(0)), 60) == [1, 3, 0]

    async def test_a_lane_that_breaks_holds_nobody_up(self, llm: LLM):
        async def broken() -> None:
            async with llm.lane():
                await asyncio.sleep(0.01)
                raise KeyError("a bug")

        async def sound() -> int:
            async with llm.lane():
                return len(await llm.sample(ask("How many?"), 1, sampling()))

        results = await asyncio.wait_for(asyncio.gather(broken(), sound(), return_exceptions=True), 60)
        assert isinstance(results[0], KeyError) and results[1] == 1

    async def test_an_adapter_that_is_none_is_refused(self, llm: LLM, tmp_path):
        with pytest.raises(CheckpointError, match="nowhere"):
            await llm.use(tmp_path / "nowhere")
        await llm.use(None)
        assert len(await llm.sample(ask("How many?"), 1, sampling())) == 1
