"""Dialects: how a task and its observations are worded for one kind of controller.

What is stored is complete; what a model reads of it is a template here. A dialect is frozen with the weights that were
trained on it: whoever changes one retrains. Actions are never worded here: a turn of the model is its own raw text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources

import jinja2

from sport.errors import ConfigError
from sport.types import Image, Message, Observation, Step, Task, Text, ToolSpec

NAMES = ("nano-1", "react-1", "calls-1")


class Dialect:
    """Words tasks and observations by the templates ``prompts/<name>/{system,task,observation}.jinja``.

    Undefined variables in a template are errors. An empty system prompt is left out. Pictures of a task stand before
    its words, in the order of its files; pictures made by a step stand after the words of its observation.
    """

    def __init__(self, name: str, tools: Sequence[ToolSpec], limits: str = "") -> None:
        if name not in NAMES:
            raise ConfigError(f"controller.dialect: unknown dialect {name!r}; expected one of {', '.join(NAMES)}")
        self.name = name
        self._tools = tuple(tools)
        self._limits = limits
        folder = resources.files("sport") / "prompts" / name
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
        )
        self._templates = {
            part: environment.from_string((folder / f"{part}.jinja").read_text(encoding="utf-8"))
            for part in ("system", "task", "observation")
        }

    def opening(self, task: Task) -> list[Message]:
        """The messages before the first action."""
        system = self._templates["system"].render(tools=self._tools, limits=self._limits)
        words = self._templates["task"].render(task=task)
        pictures = [Image(file=file) for file in task.files if file.is_image]
        user = Message(role="user", parts=(*pictures, Text(text=words)))
        return [Message(role="system", parts=(Text(text=system),)), user] if system.strip() else [user]

    def observation(self, observation: Observation) -> Message:
        """The message that follows an action."""
        words = self._templates["observation"].render(o=observation)
        pictures = [Image(file=file) for file in observation.files if file.is_image]
        return Message(role="user", parts=(Text(text=words), *pictures))

    def history(self, task: Task, steps: Iterable[Step]) -> list[Message]:
        """Opening, then every decided step's trunk: action, observation, action, ..."""
        messages = self.opening(task)
        for step in steps:
            trunk = step.trunk
            messages.append(Message(role="assistant", parts=(Text(text=trunk.action.raw),)))
            if trunk.observation is None:
                raise ValueError(f"step {step.index}: the trunk's candidate has no observation")
            messages.append(self.observation(trunk.observation))
        return messages
