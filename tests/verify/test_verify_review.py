"""Critics of whole trajectories: the rules, and a language model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sport.config import Reviewing
from sport.errors import ConfigError, ContentError
from sport.llm.scripted import ScriptedLLM
from sport.types import End, Image, Step, Trajectory
from sport.verify.reviewer import CRITERIA, LLMReviewer
from sport.verify.sound import RuleReviewer
from steps import TASK, chosen, guess, look, made, times


def trajectory(*steps, answer: str | None = "36", state: str = "answered") -> Trajectory:
    told: list[Step] = [chosen(i, candidate) for i, candidate in enumerate(steps)]
    end = End(state=state, answer=answer)
    return Trajectory(id="explore.1.t", task=TASK, purpose="explore", iteration=1, steps=tuple(told), end=end)


GOOD = trajectory(look(), times(0))


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        (GOOD, None),
        (trajectory(look(), answer=None, state="step_limit"), "answer"),
        (trajectory(guess(0)), "tools"),
        (trajectory(look(), look(), times(0)), "tools"),
        (trajectory(made(0, "boom()", outcome="error"), look(), times(0)), "arguments"),
        (trajectory(look(), made(0, "final_answer(48151)", answer=48151), answer="48151"), "files"),
        (trajectory(look(), times(0, answer="a lot"), answer="a lot"), "answer"),
        (trajectory(look(), times(0, factor="", answer=12), answer="12"), "summary"),
    ],
    ids=["good", "no answer", "guessed", "the same twice", "code failed", "invented", "no number", "not worked out"],
)
async def test_rules(case: Trajectory, fault: str | None):
    review = await RuleReviewer().review(case, 1)
    assert review.kept is (fault is None)
    assert fault is None or fault in review.notes["faults"], review
    assert review.critic == "rules"


def said(keep: object, **more: object) -> str:
    return json.dumps({"reason": "So it is.", "criteria": dict.fromkeys(CRITERIA, "fine"), "keep": keep, **more})


def reviewer(*texts: str, **settings) -> tuple[LLMReviewer, ScriptedLLM]:
    left = list(texts)
    llm = ScriptedLLM(lambda *_: [left.pop(0) if len(left) > 1 else left[0]])
    return LLMReviewer(llm, Reviewing(kind="endpoint", **settings)), llm


@pytest.mark.parametrize("keep", [True, False, None])
async def test_a_model_says_yes_no_or_nothing(keep: bool | None):
    asking, llm = reviewer(said(keep))
    review = await asking.review(GOOD, 1)
    assert (review.kept, review.reason) == (keep, "So it is.")
    assert review.notes["prompt"].startswith("reviewer-1-")
    [message] = llm.calls[0].messages
    for words in (TASK.query, "Sugar 12 g", "final_answer(a * 3)", "Final answer: 36", *CRITERIA.values()):
        assert words in message.text, words
    assert [part.file.name for part in message.parts if isinstance(part, Image)] == ["image_1.png"]


async def test_a_trajectory_without_an_answer_costs_nothing():
    asking, llm = reviewer(said(True))
    assert (await asking.review(trajectory(look(), answer=None, state="step_limit"), 1)).kept is False
    assert llm.calls == []


@pytest.mark.parametrize("broken", ["Keep it.", said("yes"), json.dumps({"keep": True})])
async def test_another_form_is_asked_for_once_more(broken: str):
    asking, llm = reviewer(broken, said(True))
    assert (await asking.review(GOOD, 1)).notes["repaired"] is True
    assert len(llm.calls) == 2
    with pytest.raises(ContentError, match="asked twice"):
        await reviewer(broken)[0].review(GOOD, 1)


def test_a_prompt_of_ones_own_is_tried_before_anything_runs(tmp_path: Path):
    own = tmp_path / "mine.jinja"
    own.write_text("{{ trajectory }}")
    with pytest.raises(ConfigError, match="'trajectory' is undefined"):
        LLMReviewer(ScriptedLLM({}), Reviewing(prompt=str(own)), where="t3.critic")
