"""A bad server, bad tools and a sandbox that dies: every trajectory ends, and nothing is made up."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import faults
from faults import DOOMED, explored

from agentkit import act, agent, pick, sandbox, task
from recorder import MemoryRecorder
from sport.agent.fleet import run_tasks
from sport.events import Silent
from sport.llm.scripted import ScriptedLLM
from sport.store import Store
from sport.tools.base import Answered

GOOD = act("final_answer('here')")


@pytest.mark.parametrize(("tasks", "share"), [(9, 0.3), pytest.param(60, 0.3, marks=pytest.mark.slow)])
def test_every_trajectory_ends_and_no_verdict_is_made_up(tmp_path: Path, tasks: int, share: float) -> None:
    queries = [f"Do it in {1 + i % 3} steps." for i in range(tasks)]
    queries[-1] += f" {DOOMED}"
    found = explored(tmp_path / "run", queries, share=share, in_flight=6)
    assert sum(found["ends"].values()) == tasks
    assert set(found["ends"]) <= {"answered", "failed", "unverified", "error_limit", "step_limit"}
    assert found["failed"]["TransientModelError"] >= 1  # the doomed one, by its name
    assert found["ends"]["answered"] >= tasks // 2
    assert found["invented"] == 0
    assert found["verdicts"] > 0
    seen = found["faults seen"]["controller"]
    assert seen["status 500"] >= 4  # two tries, twice, of the doomed one
    assert sum(count for kind, count in found["sent"].items() if kind != "sound") > tasks * 0.3
    assert "tries that failed, by cause" in found["page"]
    assert f"{seen['status 500']} status 500" in found["page"]
    assert "by TransientModelError" in found["page"]
    with Store.view(tmp_path / "run") as store:
        for tree in store.trajectories("explore"):
            for step in tree.steps:
                assert step.verdict is None or step.verdict.best is not None or step.continued_with is not None


def test_every_kind_of_fault_was_sent() -> None:
    assert set(faults.FAULTS) == {"429", "500", "reset", "stall", "cut", "fewer", "empty"}


TOOLS = {
    "raises": Answered(error="the file cannot be read"),
    "ten megabytes": Answered(value="x" * 10_000_000),
    "not a number": Answered(value=float("nan")),
    "infinite": Answered(value=[float("inf"), {"deep": float("-inf")}]),
}


@pytest.mark.parametrize("what", [*TOOLS, "hangs"])
async def test_a_bad_tool_is_an_observation_and_the_loop_goes_on(what: str) -> None:
    class Bad:
        async def call(self, name, arguments):
            if what == "hangs":
                await asyncio.sleep(3600)
            return TOOLS[what]

    record, wanted = MemoryRecorder([task()]), act("seen = ocr('a.png')\nprint(str(seen)[:50])\nprint(len(str(seen)))")
    llm = ScriptedLLM(lambda m, n, s: [wanted, GOOD][sum(x.role == "assistant" for x in m) :][:1] * n)
    async with sandbox(Bad(), call_s=1.0) as box:
        await run_tasks(
            [task()], agent(llm, box, record, n=2, judge=pick(0)), record, llm,
            purpose="explore", iteration=0, in_flight=1, progress=Silent(), stage="explore",
        )  # fmt: skip
    tree = record.trajectory("explore.0.t1")
    first = tree.steps[0].candidates[0].observation
    assert tree.end is not None
    assert (tree.end.state, tree.end.answer) == ("answered", "here")
    assert first is not None
    assert len(first.stdout) < 100_000
    assert first.outcome == "error", first
    assert "ToolError" in first.error


async def test_a_box_that_dies_is_an_observation() -> None:
    code = "import os\nos._exit(3)"
    record = MemoryRecorder([task()])
    said = [[act(code), act(code, "again")], [GOOD] * 2]
    llm = ScriptedLLM(lambda m, n, s: said[sum(x.role == "assistant" for x in m)])
    async with sandbox() as box:
        await run_tasks(
            [task()], agent(llm, box, record, n=2, judge=pick(0)), record, llm,
            purpose="explore", iteration=0, in_flight=1, progress=Silent(), stage="explore",
        )  # fmt: skip
    tree = record.trajectory("explore.0.t1")
    assert tree.steps[0].candidates[0].observation.outcome == "died"
    assert tree.end.state == "answered"


async def test_a_sandbox_that_is_killed_as_a_whole_is_started_again() -> None:
    tasks = [task(f"t{i}") for i in range(4)]
    record = MemoryRecorder(tasks)
    async with sandbox() as box:
        killed = []

        def script(messages, n, sampling):
            step = sum(m.role == "assistant" for m in messages)
            if step == 1 and not killed:
                killed.append(box.zygote.pid)
                os.kill(box.zygote.pid, signal.SIGKILL)
            return [[act("x = 'here'\nprint(x)"), act("x = 'there'")], [act("final_answer(x)"), GOOD]][step]

        llm = ScriptedLLM(script)
        await run_tasks(
            tasks, agent(llm, box, record, n=2, judge=pick(0)), record, llm,
            purpose="explore", iteration=0, in_flight=2, progress=Silent(), stage="explore",
        )  # fmt: skip
    assert len(killed) == 1
    ends = [record.trajectory(f"explore.0.t{i}").end for i in range(4)]
    assert [(end.state, end.answer) for end in ends] == [("answered", "here")] * 4


async def test_code_that_ran_while_the_sandbox_was_killed_is_not_said_to_have_died() -> None:
    record, killed = MemoryRecorder([task()]), []

    class Kills:
        async def call(self, name, arguments):
            if not killed:
                killed.append(box.zygote.pid)
                os.kill(box.zygote.pid, signal.SIGKILL)
                await asyncio.sleep(0.5)
            return Answered(value="here")

    said = [[act("x = ocr('a.png')\nprint(x)"), act("x = 'there'")], [act("final_answer(x)"), GOOD]]
    llm = ScriptedLLM(lambda m, n, s: said[sum(x.role == "assistant" for x in m)])
    async with sandbox(Kills()) as box:
        await run_tasks(
            [task()], agent(llm, box, record, n=2, judge=pick(0)), record, llm,
            purpose="explore", iteration=0, in_flight=1, progress=Silent(), stage="explore",
        )  # fmt: skip
    tree = record.trajectory("explore.0.t1")
    assert len(killed) == 1
    assert [c.observation.outcome for c in tree.steps[0].candidates] == ["ok", "ok"]
    assert (tree.end.state, tree.end.answer) == ("answered", "here")
