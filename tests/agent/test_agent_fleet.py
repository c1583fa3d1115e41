"""Lanes and jobs: order, errors, and what is left alone."""

from __future__ import annotations

import asyncio

import pytest

from agentkit import act, agent, sandbox, task
from recorder import MemoryRecorder
from sport.agent.fleet import run_all, run_tasks
from sport.errors import InputError
from sport.llm.scripted import ScriptedLLM


class Noted:
    """A progress that writes down what it was told."""

    def __init__(self):
        self.told = []

    def start(self, stage, total, unit):
        self.told.append(("start", stage, total, unit))

    def advance(self, stage, by=1, note=""):
        self.told.append(("advance", by, note))

    def finish(self, stage, note=""):
        self.told.append(("finish", stage))


async def test_lanes_take_jobs_in_order_and_open_before_the_first():
    llm, seen = ScriptedLLM({}), []

    def job(number):
        async def work():
            seen.append((number, llm.open_lanes))
            await asyncio.sleep(0)

        return work

    await run_all([job(i) for i in range(7)], llm, 3)
    assert [number for number, _ in seen] == list(range(7))
    assert all(lanes == 3 for _, lanes in seen[:5])
    assert llm.open_lanes == 0


async def test_no_more_lanes_than_jobs_and_none_for_none():
    llm, lanes = ScriptedLLM({}), []

    async def job():
        lanes.append(llm.open_lanes)

    await run_all([job], llm, 16)
    await run_all([], llm, 16)
    assert lanes == [1]


@pytest.mark.parametrize("error", [InputError("no such file"), LookupError("a mistake in a program")])
async def test_an_error_cancels_the_others_and_is_raised_as_itself(error):
    llm, cancelled = ScriptedLLM({}), []

    async def fails():
        await asyncio.sleep(0.01)
        raise error

    async def waits():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(type(error), match=str(error)):
        await run_all([waits, fails, waits], llm, 3)
    assert cancelled == [True, True]
    assert llm.open_lanes == 0


async def test_what_has_ended_is_left_alone():
    tasks = [task(f"t{i}", f"query {i}.") for i in range(4)]
    record, progress = MemoryRecorder(tasks), Noted()
    book = {f"query {i}.": [[act("x = 1")], [act(f"final_answer({i})")]] for i in range(4)}
    async with sandbox() as box:
        for part in (tasks[:2], tasks, tasks):
            llm = ScriptedLLM(book)
            await run_tasks(
                part,
                agent(llm, box, record),
                record,
                llm,
                purpose="eval",
                iteration=3,
                in_flight=2,
                progress=progress,
                stage="eval",
            )
    assert llm.calls == []
    assert [record.trajectory(f"eval.3.t{i}").end.answer for i in range(4)] == ["0", "1", "2", "3"]
    assert progress.told[-3:] == [("start", "eval", 4, "tasks"), ("advance", 4, ""), ("finish", "eval")]
    assert progress.told[1:4] == [("advance", 0, ""), ("advance", 1, "answered"), ("advance", 1, "answered")]
