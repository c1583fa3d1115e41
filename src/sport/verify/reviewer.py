"""The trajectory critic that is a language model (T3, arXiv 2412.15606, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sport import structured
from sport.config import Judging
from sport.llm.base import LLM
from sport.types import (
    Action,
    Candidate,
    Message,
    Observation,
    Review,
    Sampling,
    Step,
    Task,
    ToolSpec,
    Trajectory,
)
from sport.verify.base import TrajectoryCritic
from sport.wording import Prompt, prompt

CRITERIA = {
    "tools": "the tools that are used are the right ones and of use, and no tool that is needed is left out",
    "arguments": "what the tools are given is right",
    "summary": "what the thoughts say of a result is what the result says",
    "answer": "the final answer is right and answers the task",
    "files": "nothing conflicts with the content of a file",
}
"""What a trajectory is rejected for: T3's five, turned to what is wanted."""


class Opinion(BaseModel):
    """What the reviewer answers."""

    model_config = ConfigDict(extra="ignore")

    reason: str = Field(min_length=1)
    criteria: dict[str, str] = Field(min_length=1)
    keep: bool | None = Field(strict=True)


class LLMReviewer(TrajectoryCritic):
    """Asks a language model whether a trajectory is fit to learn from; one without an answer is not, unasked.

    Args:
        llm: whom to ask.
        settings: pictures, prompt, sampling.
        tools: what the controller may call.
        name: of this critic, kept with its reviews.
        where: its place in the configuration, for messages.

    Raises:
        ConfigError: a prompt of the user's that is not there, is no template, or speaks of what there is not.
    """

    def __init__(
        self, llm: LLM, settings: Judging, tools: Sequence[ToolSpec] = (), *, name: str = "llm", where: str = "critic"
    ) -> None:
        self.name = name
        self._llm = llm
        self._settings = settings
        self._tools = tuple(tools)
        self._where = where
        self.prompt = checked_prompt(settings, where)

    async def review(self, trajectory: Trajectory, seed: int) -> Review:
        """See :class:`~sport.verify.base.TrajectoryCritic`.

        Raises:
            ContentError: its answer cannot be read, also after asking for a mended form.
            ModelError: the model failed.
        """
        if trajectory.end is None or trajectory.end.state != "answered":
            return Review(kept=False, reason="There is no answer.", critic=self.name)
        parts = self.prompt.parts(_values(self._settings, self._tools, trajectory))
        sampling = Sampling(
            temperature=self._settings.temperature, max_new_tokens=self._settings.max_new_tokens, seed=seed
        )
        said = await structured.ask(
            self._llm, [Message(role="user", parts=parts)], Opinion, sampling, what=self._where
        )  # fmt: skip
        notes = {
            "prompt": self.prompt.version,
            "criteria": said.value.criteria,
            "repaired": said.repaired,
            "model": said.source,
        }
        return Review(kept=said.value.keep, reason=said.value.reason, notes=notes, critic=self.name)


def checked_prompt(settings: Judging, where: str) -> Prompt:
    """The reviewer's prompt, filled in once with an example. Raises ConfigError."""
    found = prompt("reviewer", settings.prompt, f"{where}.prompt")
    said = Action(raw="Thought: I answer.\nCode:\n```py\nfinal_answer(1)\n```", code="final_answer(1)")
    seen = Observation(outcome="ok", stdout="1\n", answered=True, answer=1)
    step = Step(index=0, candidates=(Candidate(index=0, action=said, observation=seen),), continued_with=0)
    example = Trajectory(
        id="example", task=Task(id="example", query="How many?"), purpose="explore", iteration=1, steps=(step,)
    )
    found.parts(_values(settings, (), example))
    return found


def _values(settings: Judging, tools: Sequence[ToolSpec], trajectory: Trajectory) -> dict[str, Any]:
    return {
        "task": trajectory.task,
        "steps": trajectory.steps,
        "answer": trajectory.end.answer if trajectory.end else None,
        "tools": tools,
        "criteria": CRITERIA,
        "images": settings.images,
    }
