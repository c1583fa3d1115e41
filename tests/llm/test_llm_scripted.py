from __future__ import annotations

import pytest

from conformance.llm import LLMSuite, ask, sampling
from sport.errors import TransientModelError
from sport.llm.scripted import ScriptedLLM
from sport.types import Message, Sample, Text


class TestScriptedConforms(LLMSuite):
    @pytest.fixture
    def llm(self):
        return ScriptedLLM(lambda messages, n, s: [f"{messages[-1].text} {s.seed} {i}" for i in range(n)])


async def test_a_book_answers_by_task_and_step():
    llm = ScriptedLLM({"sugar": [["read", "guess"], ["answer"]], "circles": [["count"]]})
    first = await llm.sample(ask("How much sugar?"), 3, sampling())
    assert [s.text for s in first] == ["read", "guess", "read"]
    history = [*ask("How much sugar?"), Message(role="assistant", parts=(Text(text="read"),)), *ask("Observation: 3")]
    assert [s.text for s in await llm.sample(history, 1, sampling())] == ["answer"]


async def test_a_script_without_an_answer_is_a_mistake_of_the_test():
    llm = ScriptedLLM({"sugar": [["read"]]})
    with pytest.raises(LookupError, match="step 0"):
        await llm.sample(ask("How many circles?"), 1, sampling())
    with pytest.raises(LookupError, match="n=2"):
        await ScriptedLLM(lambda *_: ["one"]).sample(ask("x"), 2, sampling())


async def test_failures_come_first_and_calls_are_remembered(tmp_path):
    llm = ScriptedLLM(lambda *_: [Sample(text="cut", finished=False)], failures=[TransientModelError("busy"), None])
    with pytest.raises(TransientModelError):
        await llm.sample(ask("x"), 1, sampling(order=3))
    await llm.use(tmp_path)
    assert (await llm.sample(ask("x"), 1, sampling()))[0].finished is False
    assert [(call.sampling.order, call.adapter) for call in llm.calls] == [(3, None), (0, tmp_path)]
