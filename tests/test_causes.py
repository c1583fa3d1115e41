"""Why answers are wrong: one example of every definition, worked by hand."""

from __future__ import annotations

import pytest

from sport import causes
from sport.causes import CAUSES, cause
from sport.types import (
    Action,
    CallRecord,
    Candidate,
    End,
    File,
    Json,
    Key,
    Need,
    Observation,
    Outcome,
    Step,
    Task,
    ToolCall,
    ToolResult,
    Trajectory,
)

PICTURE = File(name="image_1.png", sha256="abc", size=3, media_type="image/png")
TASK = Task(id="t", query="How many red circles and blue stars are there together?", files=(PICTURE,))
RED, BLUE = (
    Need(tool="count", arguments={"image": "image_1.png", "what": what}) for what in ("red circle", "blue star")
)
KEY = Key(task_id="t", answer="7", needs=(RED, BLUE))


def call(name: str, value: Json = None, error: str | None = None, **arguments: Json) -> CallRecord:
    given = {"image": {"file": "abc", "name": "image_1.png"}, **arguments}
    return CallRecord(call=ToolCall(name=name, arguments=given), result=ToolResult(value=value, error=error))


def ran(*calls: CallRecord, outcome: Outcome = "ok") -> Observation:
    return Observation(outcome=outcome, calls=calls)


def tree(*seen: Observation, answer: str | None) -> Trajectory:
    steps = tuple(
        Step(index=i, candidates=(Candidate(index=0, action=Action(raw="x"), observation=o),), continued_with=0)
        for i, o in enumerate(seen)
    )
    end = End(state="step_limit") if answer is None else End(state="answered", answer=answer)
    return Trajectory(id="x", task=TASK, purpose="eval", iteration=0, steps=steps, end=end)


FOUR, THREE = call("count", 4, what="Red circles"), call("count", 3, what="blue star")


@pytest.mark.parametrize(
    ("seen", "answer", "wanted"),
    [
        ([ran(FOUR), ran(THREE)], "7.0", None),
        ([], "7", None),
        ([ran(FOUR), ran(outcome="error")], None, causes.FAILED),
        ([ran(outcome="unparsed")], None, causes.FAILED),
        ([ran(outcome="error"), ran(FOUR)], None, causes.NO_ANSWER),
        ([], None, causes.NO_ANSWER),
        ([ran()], "4", causes.NO_TOOL),
        ([ran(call("ocr", "4"))], "4", causes.WRONG_TOOL),
        ([ran(call("count", 2, what="red star"))], "2", causes.WRONG_LOOK),
        ([ran(call("count", error="no", what="red circle"))], "2", causes.WRONG_LOOK),
        ([ran(FOUR)], "4", causes.INCOMPLETE),
        ([ran(FOUR, THREE)], "4", causes.WRONG_VALUE),
        ([ran(FOUR, THREE)], "12", causes.WRONG_WORK),
    ],
)
def test_the_first_definition_that_fits(seen: list[Observation], answer: str | None, wanted: str | None) -> None:
    assert cause(tree(*seen, answer=answer), KEY) == wanted
    assert wanted is None or wanted in CAUSES


@pytest.mark.parametrize(
    ("said", "answer", "stands"),
    [
        ("Fat 3.5 g", "5", False),
        ("Fat 3.5 g", "3.50", True),
        ("1,250 crowns.", "1250", True),
        ("To Harbour Street 09:40", "harbour street", True),
        ("To Harbour Streets", "Harbour Street", False),
        ("To Harbour Street 09:40", "09:40", True),
        ([{"label": "red star", "box": [1, 2]}], "red star", True),
        ("anything", "", False),
    ],
)
def test_a_value_that_stands_there_is_told_from_one_that_was_worked_out(said: Json, answer: str, stands: bool) -> None:
    key = Key(task_id="t", answer="8", needs=(Need(tool="ocr"),))
    wanted = causes.WRONG_VALUE if stands else causes.WRONG_WORK
    assert cause(tree(ran(call("ocr", said)), answer=answer), key) == wanted


def test_a_task_that_needs_no_call_cannot_lack_one() -> None:
    assert cause(tree(ran(), answer="8"), Key(task_id="t", answer="7")) == causes.WRONG_WORK


def test_only_the_trunk_counts() -> None:
    looked = Candidate(index=1, action=Action(raw="y"), observation=ran(FOUR, THREE))
    told = tree(ran(), answer="8")
    step = told.steps[0].model_copy(update={"candidates": (*told.steps[0].candidates, looked)})
    assert cause(told.model_copy(update={"steps": (step,)}), KEY) == causes.NO_TOOL
