"""Killed at any commit, a trajectory goes on as if nothing had happened: same tree, nothing paid or run twice."""

from __future__ import annotations

import pytest

from agentkit import Tools, act, agent, sandbox, task
from recorder import Killed, MemoryRecorder
from sport.llm.scripted import ScriptedLLM
from sport.types import Verdict

STEPS = [
    [act("x = ocr('a.png')\nprint(x)"), act("x = 0"), act("1 / 0")],
    [act("import random\ny = random.random()\nprint(x, y)"), "no code", act("print(y)")],
    [act("raise ValueError(y)"), act("z = 3\nprint(y)"), act("z = 3\nprint(y)")],
    [act("final_answer([x, y])"), act("final_answer(0)")],
]


async def by_length(task, history, candidates, seed):
    """Prefers much output; step 1 gets no verdict."""
    if len(history) == 1:
        return Verdict(best=None, reason="abstains")
    ranked = sorted(candidates, key=lambda c: (-len(c.observation.stdout + str(c.observation.answer)), c.index))
    return Verdict(best=ranked[0].index)


async def go_on(record, box, name="x", n=3):
    llm = ScriptedLLM({"": STEPS})
    record.begin(name, "t1", "explore", 0, 0)
    agent_ = agent(llm, box, record, n=n, judge=by_length)
    await agent_.run(name, task(), 0, record.trajectory(name).steps, record.partial(name))
    return llm


async def undisturbed(n):
    tools, record = Tools(), MemoryRecorder([task()])
    async with sandbox(tools) as box:
        await go_on(record, box, n=n)
    return record, tools


@pytest.mark.parametrize("n", [1, 2, 3])
async def test_a_kill_before_any_commit_changes_nothing(n):
    whole, _ = await undisturbed(n)
    assert whole.trajectory("x").end.state == "answered"
    tools = Tools()
    async with sandbox(tools) as box:
        for point in range(len(whole.commits)):
            record, tools.calls = MemoryRecorder([task()], kill_after=point), 0
            with pytest.raises(Killed):
                await go_on(record, box, n=n)
            observed, record.kill_after = ("observed", "x", "0", "0") in record.commits, None
            before, tools.calls = tools.calls, 0
            llm = await go_on(record, box, n=n)
            assert record.dump() == whole.dump(), point
            lost_ask = whole.commits[point - 1][0] == "asked" if point else False
            assert sum(record.asks.values()) == len(whole.asks) + lost_ask
            assert len(llm.calls) == sum(1 for kind, *_ in whole.commits[point:] if kind == "sampled")
            assert (before, tools.calls) in ([(1, 0)] if observed else [(0, 1), (1, 1)])


async def test_a_kill_again_and_again_still_arrives():
    whole, _ = await undisturbed(3)
    record = MemoryRecorder([task()])
    kills = 0
    async with sandbox() as box:
        while not record.commits or record.commits[-1][0] != "ended":
            record.kill_after = len(record.commits) + 2  # two commits a life
            try:
                await go_on(record, box)
            except Killed:
                kills += 1
    assert record.dump() == whole.dump()
    assert kills > 5


async def test_an_ended_trunk_without_its_end_needs_no_sandbox():
    whole, _ = await undisturbed(3)
    record = MemoryRecorder([task()], kill_after=len(whole.commits) - 1)
    async with sandbox() as box:
        with pytest.raises(Killed):
            await go_on(record, box)
    record.kill_after = None
    await go_on(record, box)  # the sandbox has been stopped
    assert record.dump() == whole.dump()
