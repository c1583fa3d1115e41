"""Scores of the embedded world, worked by hand."""

import pytest

from sport.bench.run import metrics
from sport.bench.world import drafts, score
from sport.types import (
    Action,
    CallRecord,
    Candidate,
    End,
    File,
    Key,
    Need,
    Observation,
    Step,
    Task,
    ToolCall,
    ToolResult,
    Trajectory,
)

PICTURE = File(name="image_1.png", sha256="abc", size=3, media_type="image/png")
TASK = Task(id="t", query="How many red circles and blue stars?", files=(PICTURE,))
KEY = Key(
    task_id="t",
    answer="7",
    needs=(
        Need(tool="count", arguments={"image": "image_1.png", "what": "red circle"}),
        Need(tool="count", arguments={"image": "image_1.png", "what": "blue star"}),
    ),
)


def call(what: str, sha: str = "abc", error: str | None = None) -> CallRecord:
    arguments = {"image": {"file": sha, "name": "x.png"}, "what": what}
    return CallRecord(call=ToolCall(name="count", arguments=arguments), result=ToolResult(value=3, error=error))


def tree(*observations: Observation, answer: str | None = "7") -> Trajectory:
    steps = tuple(
        Step(index=i, candidates=(Candidate(index=0, action=Action(raw="x"), observation=o),), continued_with=0)
        for i, o in enumerate(observations)
    )
    end = End(state="answered", answer=answer) if answer is not None else End(state="step_limit")
    return Trajectory(id="eval.0.t", task=TASK, purpose="eval", iteration=0, steps=steps, end=end)


def test_all_needed_calls_in_any_step_count_with_files_compared_by_content() -> None:
    both = tree(
        Observation(outcome="ok", calls=(call("red circles"),)), Observation(outcome="ok", calls=(call("Blue star"),))
    )
    assert score(both, KEY) == {"right": 1.0, "tools": 1.0, "steps": 2.0, "ran": 2.0}


@pytest.mark.parametrize(
    "calls",
    [
        (call("red circle"),),
        (call("red circle"), call("blue circle")),
        (call("red circle"), call("blue star", sha="other")),
        (call("red circle"), call("blue star", error="no")),
    ],
)
def test_a_missing_wrong_or_failed_call_is_no_call(calls: tuple[CallRecord, ...]) -> None:
    assert score(tree(Observation(outcome="ok", calls=calls)), KEY)["tools"] == 0.0


@pytest.mark.parametrize(
    ("answer", "right"), [("7", 1.0), ("7.0", 1.0), (" 7 ", 1.0), ("17", 0.0), ("71", 0.0), ("", 0.0), (None, 0.0)]
)
def test_an_answer_is_equal_or_wrong_never_a_substring(answer: str | None, right: float) -> None:
    assert score(tree(Observation(outcome="ok"), answer=answer), KEY)["right"] == right


def test_steps_that_raise_or_do_not_parse_are_not_executed_code() -> None:
    seen = tree(Observation(outcome="ok"), Observation(outcome="error"), Observation(outcome="unparsed"))
    assert (score(seen, KEY)["ran"], score(seen, KEY)["steps"]) == (1.0, 3.0)


def test_metrics_state_their_denominators() -> None:
    found = metrics([{"right": 1, "tools": 1, "steps": 2, "ran": 2}, {"right": 0, "tools": 1, "steps": 3, "ran": 1}])
    assert (found["AnsAcc"].value, found["AnsAcc"].n) == (0.5, 2)
    assert (found["ToolAcc"].value, found["CodeExec"].value, found["CodeExec"].n) == (1.0, 0.6, 5)
    assert (found["Steps"].value, found["Steps"].n, found["Steps"].unit) == (2.5, 2, "mean")


def test_the_exam_is_sound_and_every_question_of_it_has_an_answer() -> None:
    exam = drafts("heldout", 12, ("label", "scene", "document"))
    assert all(made.key.answer and made.key.defect is None for made in exam)
