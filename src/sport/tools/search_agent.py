"""``ask_search_agent``: a second agent that searches the web, reads pages and reports, in at most twelve steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ValidationError

from sport.errors import ToolError
from sport.tools.base import AskModel, CallTool
from sport.types import Message, Parameter, Text, ToolSpec
from sport.wording import prompt


class Action(BaseModel):
    """One step as the model writes it."""

    do: Literal["search", "visit", "find", "answer"]
    thought: str = ""
    query: str = ""
    url: str = ""
    page: int = 1
    words: str = ""
    text: str = ""


class SearchAgent:
    """Asks a model for one JSON action a step, and gives it what came of that. It sees no picture and runs no code.

    Args:
        ask: the model.
        call: runs the tools ``search`` and ``visit``.
        steps: at most; the paper's agents take 12.
        most: characters of a result that the model is shown.
        max_new_tokens: of a step.
        template: a Jinja file of the user's in place of ``prompts/tools/search_agent.jinja``.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="ask_search_agent",
        description="Ask somebody who searches the web and reads pages to find something out. He cannot see files.",
        parameters=(
            Parameter(name="query", type="string", description="a whole question, with all that he needs to know"),
        ),
        returns="what he found out, and the pages that he read",
        version="1",
    )

    def __init__(
        self,
        ask: AskModel,
        call: CallTool,
        steps: int = 12,
        most: int = 8000,
        max_new_tokens: int = 1024,
        template: str | None = None,
    ) -> None:
        self._ask = ask
        self._call = call
        self._steps = steps
        self._shown = most
        self._most = max_new_tokens
        self._prompt = prompt("tools/search_agent", template, "tools.settings.ask_search_agent.options.template")

    @property
    def version(self) -> str:
        """Of the prompt."""
        return self._prompt.version

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The report. Raises ToolError when the last step brings no answer, ModelError as the model does."""
        opening = self._prompt.render({"question": arguments["query"], "steps": self._steps})
        messages, read = [_says("user", opening)], dict[str, None]()
        for left in reversed(range(self._steps)):
            said = await self._ask(messages, self._most)
            messages.append(_says("assistant", said))
            try:
                action = _parse(said)
            except ToolError as error:
                messages.append(_says("user", f"{error} {_left(left)}"))
                continue
            if action.do == "answer" and action.text.strip():
                sources = f"\n\nPages read: {', '.join(read)}" if read else ""
                return action.text.strip() + sources
            seen, found = await self._do(action)
            read |= dict.fromkeys([action.url] if found and action.url else [])
            messages.append(_says("user", f"{seen[: self._shown]}\n\n{_left(left)}"))
        raise ToolError(
            f"no answer in {self._steps} steps; pages read: {', '.join(read) or 'none'}; ask for less at once"
        )

    async def _do(self, action: Action) -> tuple[str, bool]:
        """What came of it, and whether it worked."""
        match action.do:
            case "search":
                answered = await self._call("search", {"query": action.query})
            case "visit":
                answered = await self._call("visit", {"url": action.url, "page": action.page})
            case "find":
                answered = await self._call("visit", {"url": action.url, "find": action.words})
            case "answer":
                return "An answer needs a text.", False
        if answered.error is not None:
            return answered.error, False
        value = answered.value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
        return text or "Nothing was found.", True


def _parse(said: str) -> Action:
    """The first JSON object in a text, whatever stands around it. Raises ToolError, worded for the model."""
    start = said.find("{")
    try:
        data, _ = json.JSONDecoder().raw_decode(said, max(start, 0))
        return Action.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ToolError(f"That is no step: {first['loc'][0] if first['loc'] else ''}: {first['msg']}.") from error
    except (ValueError, RecursionError) as error:
        raise ToolError(f"That is not a JSON object ({error}).") from error


def _left(steps: int) -> str:
    return "This is your last step: answer now." if steps == 1 else f"[{steps} steps left]"


def _says(role: Literal["user", "assistant"], text: str) -> Message:
    return Message(role=role, parts=(Text(text=text),))
