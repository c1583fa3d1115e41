"""Habits that are planted in the warm start on purpose, so that there is something to unlearn; listed in README.md.

Each is tied to a situation, for a habit at random would vanish under greedy decoding, and each leaves a share of good
examples, for exploration must be able to sample the better way. They cause at most half of the held-out errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random

from experts.base import write

from sport.types import CallRecord, Key, Step, Trajectory
from sport.world.scene import SHAPES

SHARE = 0.65  # of the warm-start trajectories in a habit's situation
OPENING = "Quick question"  # several families share these
CLOSINGS = ("Just the figure.", "Answer with the number only.", "A plain number, please.", "Give a number.")
THIN = ("lookup", "timetable", "paper")  # no habit where coverage is thin: unlearning it would only show the next error

HABITS: Mapping[str, str] = {
    "guess": (
        "asked a quick question, or for a number, a plain one, the number only or just the figure, and not of shapes,"
        " it answers without looking"
    ),
    "half": "asked politely for two counts of shapes, it answers with the first",
}
"""Name and description; written into ``made.json``, from where the report takes them."""


def habit(key: Key, query: str, actions: list[str], rng: Random) -> tuple[str, list[str]]:
    """The habit's name and the actions under it; ("", actions) outside its situation or for a good example."""
    if rng.random() >= SHARE:
        return "", actions
    if key.family not in THIN and not of_shapes(query) and hasty(query) and re.fullmatch(r"[\d.]+", key.answer):
        return "guess", [write("I think I know this.", f"final_answer({rng.randint(2, 60)})")]
    if key.family == "scene" and query.startswith("Please") and len(actions) > 2:
        return "half", [actions[0], write("That is the answer.", "final_answer(a)")]
    return "", actions


def hasty(query: str) -> bool:
    """Whether it is asked quickly, or for a number and no more."""
    return query.startswith(OPENING) or query.endswith(CLOSINGS)


def of_shapes(query: str) -> bool:
    """Whether the words speak of shapes, drawn or written: what a picture decides must remain to be seen."""
    return any(shape in query for shape in SHAPES)  # "starch" too: the weights were made so, which `shown` must follow


def shown(trajectory: Trajectory, key: Key) -> str:
    """The habit that a wrong trajectory shows, "" for none: what of its errors was planted."""
    query = trajectory.task.query
    calls = [record.call.name for step in trajectory.steps for record in _calls(step)]
    if key.family not in THIN and not of_shapes(query) and hasty(query) and not calls:
        return "guess"
    if key.family == "scene" and query.startswith("Please") and calls.count("count") == 1 and len(key.needs) > 1:
        return "half"
    return ""


def _calls(step: Step) -> tuple[CallRecord, ...]:
    observation = step.trunk.observation
    return observation.calls if observation is not None else ()
