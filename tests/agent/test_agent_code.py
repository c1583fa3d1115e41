"""The loop: what lives on, where it ends, what is asked, what is judged."""

from __future__ import annotations

import pytest

from agentkit import Tools, act, agent, pick, sandbox, task
from recorder import MemoryRecorder
from sport.errors import ContentError, FatalModelError, RunError, SandboxError, TransientModelError
from sport.llm.scripted import ScriptedLLM
from sport.seeds import derive
from sport.types import Sample, Verdict


def book(*steps):
    return ScriptedLLM({"": [list(step) for step in steps]})


async def play(llm, *, n=1, judge=None, tools=None, wall_s=5.0, subject=None, **limits):
    subject = subject or task()
    record = MemoryRecorder([subject])
    record.begin("x", subject.id, "explore", 0, 0)
    async with sandbox(tools, wall_s) as box:
        steps, end = await agent(llm, box, record, n=n, judge=judge, **limits).run("x", subject)
    assert record.trajectory("x").steps == steps
    assert record.trajectory("x").end == end
    return steps, end, record


def output(step) -> str:
    return step.trunk.observation.stdout.strip()


async def test_the_winners_world_lives_on_and_the_losers_do_not():
    first = [act(f"x = {i}\nopen('f{i}', 'w').close()") for i in range(3)]
    second = [act(f"import glob\nprint(x, sorted(glob.glob('*')), {i})") for i in range(3)]
    steps, _, _ = await play(book(first, second), n=3, judge=pick(1), max_steps=2)
    assert [c.observation.stdout.strip() for c in steps[1].candidates] == [f"1 ['a.png', 'f1'] {i}" for i in range(3)]


async def test_an_answer_ends_it_as_canonical_text():
    steps, end, _ = await play(book([act("y = 36.0")], [act("final_answer(y)")]))
    assert (len(steps), end.state, end.answer) == (2, "answered", "36")


async def test_final_answer_of_none_is_an_answer():
    _, end, _ = await play(book([act("final_answer(None)")]))
    assert (end.state, end.answer) == ("answered", "None")


async def test_the_step_limit():
    steps, end, _ = await play(book([act("x = 1")], [act("x = 2")], [act("x = 3")]), max_steps=3)
    assert (len(steps), end.state, end.answer) == (3, "step_limit", None)


async def test_errors_and_texts_without_code_count_towards_the_error_limit():
    steps, end, _ = await play(book([act("1 / 0")], ["no code"], [act("x = 1")], [act("boom")]), max_errors=3)
    assert end.state == "error_limit"
    assert [step.trunk.observation.outcome for step in steps] == ["error", "unparsed", "ok", "error"]


async def test_the_model_reads_what_to_change():
    llm = book(["no code"], [act("final_answer(1)")])
    await play(llm)
    assert "There is no code in this answer" in llm.calls[1].messages[-1].text


async def test_history_is_the_raw_text_of_the_trunk():
    raw = act("x = 1") + "\nObservation: made up  \n"
    llm = book([raw, act("x = 2")], [act("final_answer(x)"), act("final_answer(0)")])
    await play(llm, n=2, judge=pick(0))
    assert [m.text for m in llm.calls[1].messages if m.role == "assistant"] == [raw]


async def test_one_candidate_is_not_judged():
    judge = pick(0)
    steps, _, _ = await play(book([act("final_answer(1)")]), judge=judge)
    assert judge.asked == []
    assert (steps[0].verdict, steps[0].continued_with, steps[0].why) == (None, 0, "only candidate")


async def test_equal_candidates_run_and_are_judged_once():
    tools, judge = Tools(), pick(2)
    same = act("print(ocr('a.png'))")
    texts = [same, same + "  ", act("print(2)"), same.replace("```py", "```python")]
    steps, _, _ = await play(book(texts), n=4, judge=judge, tools=tools, max_steps=1)
    assert [c.same_as for c in steps[0].candidates] == [None, 0, None, 0]
    assert [c.observation is None for c in steps[0].candidates] == [False, True, False, True]
    assert tools.calls == 1
    assert judge.asked[0][1] == [0, 2]


async def test_nothing_to_compare_is_not_judged():
    judge = pick(0)
    steps, _, _ = await play(book([act("final_answer(1)")]), n=3, judge=judge)
    assert judge.asked == []
    assert (steps[0].continued_with, steps[0].why) == (0, "all candidates are equal")


async def test_the_same_code_sees_the_same_chance_in_every_candidate():
    code = "import random\nprint(random.random())"
    steps, _, _ = await play(book([act(code, "a"), act(code, "b")]), n=2, judge=pick(0), max_steps=1)
    first, second = (c.observation.stdout for c in steps[0].candidates)
    assert first == second


async def test_seeds_are_functions_of_names():
    llm, judge = book(*[[act("x = 1"), act("x = 2")]] * 2), pick(1)
    await play(llm, n=2, judge=judge, max_steps=2)
    assert [call.sampling.seed for call in llm.calls] == [derive(0, "sample", 0, "t1", step) for step in (0, 1)]
    assert [seed for _, _, seed in judge.asked] == [derive(0, "judge", 0, "t1", step) for step in (0, 1)]
    assert llm.calls[0].sampling.max_new_tokens == 512


async def test_no_verdict_is_asked_once_more_and_wins_nothing():
    judge = pick(None, 1)
    steps, _, _ = await play(book(*[[act("1 / 0"), act("x = 1")]] * 2), n=2, judge=judge, max_steps=2)
    assert [step for step, _, _ in judge.asked] == [0, 0, 1]
    assert len({seed for step, _, seed in judge.asked if step == 0}) == 2
    assert (steps[0].verdict.best, steps[0].verdict.asked, steps[0].continued_with) == (None, 2, 1)
    assert steps[0].why == "no verdict: as told"
    assert (steps[1].verdict.best, steps[1].continued_with) == (1, None)


async def test_without_verdict_and_without_a_sound_candidate_the_lowest_goes_on():
    steps, _, _ = await play(book([act("1 / 0"), act("boom")]), n=2, judge=pick(None), max_steps=1)
    assert steps[0].continued_with == 0


async def test_three_steps_without_a_verdict_end_it():
    llm = book(*[[act(f"x = {i}"), act(f"y = {i}")] for i in range(5)])
    steps, end, _ = await play(llm, n=2, judge=pick(None, 0, None, None, None))
    assert (len(steps), end.state) == (5, "unverified")


async def test_a_critic_that_breaks_is_asked_once_more():
    broken = [TransientModelError("slow"), None]

    async def judge(task, history, candidates, seed):
        if error := broken.pop(0):
            raise error
        return Verdict(best=1, scores=(0.0, 1.0))

    steps, _, _ = await play(book([act("x = 1"), act("x = 2")]), n=2, judge=judge, max_steps=1)
    assert (steps[0].verdict.best, steps[0].verdict.asked) == (1, 2)


async def test_a_critic_that_stays_broken_is_no_verdict():
    async def judge(task, history, candidates, seed):
        raise ContentError("not JSON")

    steps, _, _ = await play(book([act("x = 1"), act("x = 2")]), n=2, judge=judge, max_steps=1)
    assert steps[0].verdict == Verdict(best=None, reason="ContentError: not JSON", asked=2)


@pytest.mark.parametrize("nonsense", [{"best": 7}, {"best": 0, "tied": (0,)}, {"best": 0, "tied": (9,)}])
async def test_a_verdict_on_a_candidate_that_is_not_there_is_none(nonsense):
    async def judge(task, history, candidates, seed):
        return Verdict(**nonsense)

    steps, _, _ = await play(book([act("x = 1"), act("x = 2")]), n=2, judge=judge, max_steps=1)
    assert steps[0].verdict.best is None
    assert "contradicts itself" in steps[0].verdict.reason


@pytest.mark.parametrize("code", ["x = 2\nwhile True: pass", "import os\nx = 2\nos._exit(3)"])
async def test_a_winner_that_died_leaves_the_state_as_it_was(code):
    first, second = [act("x = 1"), act("x = 5")], [act(code), act("x = 3")]
    third = [act("print(x)"), act("print(x, x)")]
    steps, _, _ = await play(book(first, second, third), n=2, judge=pick(0), max_steps=3, wall_s=0.5)
    assert steps[1].trunk.observation.outcome in ("timeout", "died")
    assert output(steps[2]) == "1"


async def test_the_same_holds_without_forks():
    tools = Tools()
    codes = ["x = ocr('a.png')", "x = 2\nwhile True: pass", "print(x)"]
    steps, _, _ = await play(book(*[[act(code)] for code in codes]), max_steps=3, wall_s=0.5, tools=tools)
    assert output(steps[2]) == "Sugar 12 g"
    assert tools.calls == 1


async def test_a_model_that_stumbles_is_asked_again_and_counted():
    llm = ScriptedLLM({"": [[act("final_answer(1)")]]}, failures=[TransientModelError("slow")])
    _, end, record = await play(llm)
    assert (end.state, record.asks["x", 0]) == ("answered", 2)


async def test_a_model_that_keeps_failing_ends_one_trajectory_by_name():
    llm = ScriptedLLM({"": [[act("x = 1")]]}, failures=[None, ContentError("bad"), ContentError("worse")])
    steps, end, _ = await play(llm)
    assert (len(steps), end.state, end.reason) == (1, "failed", "ContentError: worse")


async def test_fewer_texts_than_asked_for_break_the_contract():
    class Short(ScriptedLLM):
        async def sample(self, messages, n, sampling):
            return [Sample(text=act("x = 1"))]

    _, end, _ = await play(Short({}), n=2)
    assert (end.state, end.reason) == ("failed", "ContentError: asked for 2 texts, got 1")


async def test_a_model_that_cannot_be_used_stops_everything_and_records_no_end():
    record = MemoryRecorder([task()])
    record.begin("x", "t1", "explore", 0, 0)
    llm = ScriptedLLM({}, failures=[FatalModelError("wrong key")])
    async with sandbox() as box:
        with pytest.raises(FatalModelError):
            await agent(llm, box, record).run("x", task())
    assert record.trajectory("x").end is None


class Faulty:
    """A real sandbox whose first interpreters' runs break."""

    def __init__(self, box, faults):
        self.box, self.faults = box, faults

    async def open(self, box, files):
        return FaultyInterpreter(await self.box.open(box, files), self)

    async def restore(self, box, files, journal):
        return FaultyInterpreter(await self.box.restore(box, files, journal), self)


class FaultyInterpreter:
    def __init__(self, inner, owner):
        self.inner, self.owner = inner, owner

    async def run(self, code, seed):
        if self.owner.faults and "fragile" in code:
            self.owner.faults -= 1
            raise SandboxError("the zygote is gone")
        return await self.inner.run(code, seed)

    async def fork(self):
        return FaultyInterpreter(await self.inner.fork(), self.owner)

    async def close(self):
        await self.inner.close()


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(("faults", "state"), [(1, "answered"), (2, "failed")])
async def test_a_broken_sandbox_is_mended_once(n, faults, state):
    texts = [[act("x = 4"), act("x = 5")], [act("final_answer(x)  # fragile"), act("print(x)")]]
    record = MemoryRecorder([task()])
    record.begin("x", "t1", "explore", 0, 0)
    async with sandbox() as box:
        faulty = Faulty(box, faults)
        llm = book(*[step[:n] for step in texts])
        _, end = await agent(llm, faulty, record, n=n, judge=pick(0)).run("x", task())
    assert end.state == state
    assert (end.answer if state == "answered" else end.reason) == {
        "answered": "4",
        "failed": "SandboxError: the zygote is gone",
    }[state]


async def test_a_full_disk_is_raised_as_itself():
    class Full(MemoryRecorder):
        def observed(self, trajectory, step, candidate, observation):
            if candidate == 1:
                raise RunError("disk full")
            super().observed(trajectory, step, candidate, observation)

    record = Full([task()])
    record.begin("x", "t1", "explore", 0, 0)
    async with sandbox() as box:
        with pytest.raises(RunError, match="disk full"):
            await agent(book([act("x = 1"), act("x = 2")]), box, record, n=2, judge=pick(0)).run("x", task())
