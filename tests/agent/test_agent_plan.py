"""Plans: when they are written, what stands in the history, and that they count for nothing else."""

from __future__ import annotations

import pytest

from agentkit import Tools, act, agent, pick, sandbox, task
from recorder import MemoryRecorder
from sport.bench.counts import counts
from sport.errors import ConfigError, FatalModelError
from sport.llm.scripted import ScriptedLLM
from sport.wire import check


def writes(messages, n, sampling):
    """A plan when it is asked for one; else code that counts up, and an answer at 3."""
    words = messages[-1].text
    if "numbered" in words:
        return ["1. Count.\n2. Answer."]
    done = sum("```" in message.text for message in messages if message.role == "assistant")
    return [act("final_answer(x)" if done == 3 else f"x = {done}")] * n


async def play(llm, *, n=1, judge=None, record=None, **limits):
    subject = task()
    record = record or MemoryRecorder([subject])
    record.begin("x", subject.id, "eval", 0, 0)
    async with sandbox(Tools()) as box:
        known = record.trajectory("x")
        made = agent(llm, box, record, n=n, judge=judge, **limits)
        steps, end = await made.run("x", subject, 0, known.steps, record.partial("x"))
    return steps, end, record


def outcomes(steps) -> list[str]:
    return [step.trunk.observation.outcome for step in steps]


async def test_a_plan_comes_first_and_again_and_counts_against_no_limit() -> None:
    llm = ScriptedLLM(writes)
    steps, end, record = await play(llm, planning=2, max_steps=4)
    assert outcomes(steps) == ["planned", "ok", "ok", "planned", "ok", "ok"]
    assert (end.state, end.answer) == ("answered", "2")
    assert counts(record.trajectory("x")) == {"steps": 4.0, "ran": 4.0}


async def test_the_plan_is_the_controllers_own_turn_and_the_request_is_gone() -> None:
    llm = ScriptedLLM(writes)
    await play(llm, planning=9)
    first, second = llm.calls[0].messages, llm.calls[1].messages
    assert [m.role for m in first] == ["system", "user"] and "Facts to look up" in first[-1].text
    assert [m.role for m in second] == ["system", "user", "assistant", "user"]
    assert second[2].text.startswith("1. Count.") and "carry it out" in second[3].text
    assert "Facts to look up" not in "".join(message.text for message in second)


async def test_without_the_option_nothing_is_planned() -> None:
    steps, _, _ = await play(ScriptedLLM(writes))
    assert outcomes(steps) == ["ok"] * 4


async def test_exploring_samples_one_plan_and_n_steps() -> None:
    llm = ScriptedLLM(writes)
    steps, _, _ = await play(llm, n=3, judge=pick(0), planning=9)
    assert [len(step.candidates) for step in steps[:2]] == [1, 3]
    assert steps[0].verdict is None and llm.calls[0].sampling.temperature == 0


async def test_a_stopped_trajectory_goes_on_with_the_plan_it_has() -> None:
    plans: list[str] = []

    def dying(messages, n, sampling):
        if len(plans) == 1:
            raise FatalModelError("gone")
        plans.append(messages[-1].text)
        return writes(messages, n, sampling)

    record = MemoryRecorder([task()])
    with pytest.raises(FatalModelError):
        await play(ScriptedLLM(dying), record=record, planning=9)
    llm = ScriptedLLM(writes)
    steps, end, _ = await play(llm, record=record, planning=9)
    assert outcomes(steps) == ["planned", "ok", "ok", "ok", "ok"] and end.answer == "2"
    assert not any("numbered" in call.messages[-1].text for call in llm.calls)


def test_a_dialect_that_knows_no_plans_is_refused() -> None:
    from sport.config import Agent, Config

    with pytest.raises(ConfigError, match=r"agent\.planning"):
        check(Config(agent=Agent(planning=3)))
