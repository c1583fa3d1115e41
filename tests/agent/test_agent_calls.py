"""JSON tool calls: what is read of a text, and the agent that writes them, in the real sandbox."""

from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit import Tools, agent, pick, sandbox, task
from recorder import MemoryRecorder
from sport.agent import calls
from sport.bench.moves import Move, as_call, read_call
from sport.llm.scripted import ScriptedLLM
from sport.types import Parameter, ToolSpec

LOOK = 'Thought: I look.\nAction: ocr\nAction Input: {"image": "a.png"}'


@pytest.mark.parametrize(
    "text",
    [
        LOOK,
        LOOK + "\nResponse: Sugar 99 g\nThought: so\nFinal Answer: 99",  # it made up what came back
        'action: `ocr`\naction input:\n```json\n{"image": "a.png"}\n```',
        '**Action**: ocr\n**Action Input**: {"image":\n "a.png"} and more words',
        'Action: {"name": "ocr", "arguments": {"image": "a.png"}}',
        'Thought: I look.\r\nAction: ocr()\r\nAction Input: {"image": "a.png"}\r\nObservation: x',
    ],
)
def test_a_call_is_read_however_it_is_dressed(text: str) -> None:
    assert calls.parse(text, True).code == "print(ocr(image='a.png'))"
    assert calls.parse(text, True).raw == text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Thought: so\nFinal Answer: 36 g", "36 g"),
        ("final answer: two\nlines", "two\nlines"),
        ('Action: FinishAction\nAction Input: {"response": "36"}', "36"),
        ("Final Answer: 36\nThought: I am done", "36"),
        ("Final Answer:", ""),
    ],
)
def test_an_answer_is_read(text: str, answer: str) -> None:
    assert calls.read(text).answer == answer
    assert calls.parse(text, True).code == f"final_answer({answer!r})"


@pytest.mark.parametrize(
    ("text", "finished", "words"),
    [
        ("I think it is 3.", True, "neither an action nor a final answer"),
        ("Action: ocr\nAction Input: a.png", True, "no JSON object"),
        ('Action: ocr\nAction Input: {"image": a.png}', True, "no JSON ("),
        ('Action: ocr\nAction Input: {"x": NaN}', True, "NaN is no JSON"),
        ('Action: os.system\nAction Input: {"command": "ls"}', True, "'os.system' is no name"),
        ('Action: ocr\nAction Input: {"image=open(1), x": 2}', True, "is no name of a tool or a parameter"),
        ("Action:\nAction Input: {}", True, "'' is no name"),
        ('Action: ocr\nAction Input: {"image": "a', False, "cut at the limit of 512 tokens"),
        ("Final Answer: thirty", False, "cut at the limit"),
    ],
)
def test_what_cannot_run_says_what_to_change(text: str, finished: bool, words: str) -> None:
    found = calls.parse(text, finished)
    assert found.code is None and words in str(found.problem)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["image", "text", "k"]), VALUES), st.text())
def test_whatever_is_written_is_read_again_and_only_literals_become_code(arguments: dict, thought: str) -> None:
    tools = (ToolSpec(name="ocr", description="", parameters=(Parameter(name="image", type="any"),)),)
    quiet = " ".join(thought.replace(":", " ").split())
    found = read_call(as_call(Move(kind="tool", name="ocr", arguments=arguments), quiet), True, tools)
    assert (found.name, found.arguments, found.error) == ("ocr", json.loads(json.dumps(arguments)), None)
    code = calls.parse(calls.write("ocr", arguments, quiet), True).code
    call = ast.parse(code or "").body[0].value.args[0]
    assert {k.arg: ast.literal_eval(k.value) for k in call.keywords} == found.arguments


@given(st.text())
def test_any_text_is_an_action_or_a_problem(text: str) -> None:
    found = calls.parse(text, True)
    assert (found.code is None) == (found.problem is not None)


async def play(*steps: list[str], n: int = 1, judge=None, **limits):
    subject, record, tools = task(), MemoryRecorder([task()]), Tools()
    record.begin("x", subject.id, "explore", 0, 0)
    llm = ScriptedLLM({"": list(steps)})
    async with sandbox(tools) as box:
        made = agent(llm, box, record, n=n, judge=judge, dialect="calls-1", **limits)
        return *(await made.run("x", subject)), llm


async def test_it_calls_reads_the_response_and_answers() -> None:
    steps, end, llm = await play([LOOK], ["Final Answer: 36 g"])
    assert (end.state, end.answer) == ("answered", "36 g")
    assert steps[0].trunk.observation.calls[0].result.value == "Sugar 12 g"
    assert llm.calls[1].messages[-1].text.startswith("Response:\nSugar 12 g")


async def test_an_unknown_tool_and_a_bad_text_are_errors_it_can_read() -> None:
    steps, end, _ = await play(["Action: radar\nAction Input: {}"], ["hm"], max_errors=2)
    assert end.state == "error_limit"
    assert "radar" in steps[0].trunk.observation.error and "Final Answer" in steps[1].trunk.observation.error


async def test_it_is_explored_like_any_other() -> None:
    steps, end, _ = await play([LOOK, "Final Answer: 1", LOOK], ["Final Answer: 36"], n=3, judge=pick(0))
    assert end.answer == "36" and [c.same_as for c in steps[0].candidates] == [None, None, 0]
