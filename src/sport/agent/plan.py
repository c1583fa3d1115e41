"""Planning as an option: before the first step, and again every so many steps, the controller writes a plan.

A plan is a step of the trajectory like any other: asked, sampled and decided in three commits, one candidate, nothing
run. It counts against no limit and in no figure of steps. In the history it stands as the controller's own turn, and
the request that led to it does not. This is our reading of planning agents; nobody has published theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from sport.types import Action, Candidate, Message, Observation, Sample, Step, Text

GO_ON = "The plan is noted. Now carry it out, step by step.\n"


def is_plan(step: Step) -> bool:
    """Whether a step is a plan."""
    seen = step.trunk.observation
    return seen is not None and seen.outcome == "planned"


def due(history: Sequence[Step], every: int) -> bool:
    """Whether the next step is a plan: first of all, and after every ``every`` steps; 0 is never."""
    if every == 0 or (history and is_plan(history[-1])):
        return False
    return sum(not is_plan(step) for step in history) % every == 0


def request(messages: Sequence[Message], history: Sequence[Step]) -> list[Message]:
    """The conversation with the request for a plan in its last turn, so that turns go on to alternate."""
    name = "again.txt" if history else "first.txt"
    words = (resources.files("sport") / "prompts" / "planning" / name).read_text(encoding="utf-8").strip()
    *before, last = messages
    return [*before, last.model_copy(update={"parts": (*last.parts, Text(text=f"\n\n{words}"))})]


def noted(sample: Sample) -> Candidate:
    """A plan as it came."""
    action = Action(
        raw=sample.text,
        thought=sample.text.strip(),
        finished=sample.finished,
        logprob=sample.logprob,
        usage=sample.usage,
        source=sample.source,
    )
    return Candidate(index=0, action=action, observation=Observation(outcome="planned", stdout=GO_ON))
