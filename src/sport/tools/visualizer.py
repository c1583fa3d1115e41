"""``visualizer``: a question about a picture, put to a vision-language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sport.errors import ToolError
from sport.tools import guard
from sport.tools.base import AskModel, Keep
from sport.types import Image, Message, Parameter, Text, ToolSpec
from sport.wording import prompt


class Visualizer:
    """One call of the model a question, greedy. Names and parameters are those that published controllers know.

    Args:
        ask: the model.
        keep: makes bytes a file that the model can be shown.
        max_new_tokens: of its answer.
        template: a Jinja file of the user's in place of ``prompts/tools/visualizer.jinja``.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="visualizer",
        description="Ask a question about a picture: what it shows, what is written on it, how things look.",
        parameters=(
            Parameter(name="image_path", type="file", description="a picture"),
            Parameter(
                name="question",
                type="string",
                description="what to find out about it",
                required=False,
                default="Describe this picture in detail.",
            ),
        ),
        returns="the answer in words",
        version="1",
    )

    def __init__(self, ask: AskModel, keep: Keep, max_new_tokens: int = 512, template: str | None = None) -> None:
        self._ask = ask
        self._keep = keep
        self._most = max_new_tokens
        self._prompt = prompt("tools/visualizer", template, "tools.settings.visualizer.options.template")

    @property
    def version(self) -> str:
        """Of the prompt."""
        return self._prompt.version

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The answer. Raises ToolError when the model says nothing, ModelError as the model does."""
        picture = arguments["image_path"]
        guard.check(picture)
        words = self._prompt.render({"question": arguments["question"]})
        parts = (Image(file=self._keep(picture)), Text(text=words))
        said = await self._ask([Message(role="user", parts=parts)], self._most)
        if not said.strip():
            raise ToolError("the model said nothing about this picture")
        return said.strip()
