"""Dialects: how a task and its observations are worded for one kind of controller.

What is stored is complete; what a model reads of it is a template here. A dialect is frozen with the weights that were
trained on it: whoever changes one retrains. Actions are never worded here: a turn of the model is its own raw text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from sport.errors import ConfigError
from sport.types import Image, Message, Observation, Step, Task, Text, ToolSpec
from sport.wording import environment, version

NAMES = ("nano-1", "react-1", "calls-1", "t3")
"""``t3`` is the form in which T3's and SPORT's data were released; steps are numbered from 0 there."""
_PARTS = ("system", "task", "observation")


class Dialect:
    """Words tasks and observations by the templates ``prompts/<name>/{system,task,observation}.jinja``.

    Undefined variables in a template are errors. An empty system prompt is left out. Pictures of a task stand before
    its words, in the order of its files; pictures made by a step stand after the words of its observation.

    Args:
        name: one of :data:`NAMES`.
        tools: what the system prompt tells of.
        limits: of the sandbox, in words.
        system: a system prompt as it is, in place of the dialect's own (:func:`system_prompt` reads one).
        images: False leaves all pictures out.

    Raises:
        ConfigError: an unknown name.
    """

    def __init__(
        self,
        name: str,
        tools: Sequence[ToolSpec],
        limits: str = "",
        *,
        system: str | None = None,
        images: bool = True,
    ) -> None:
        if name not in NAMES:
            raise ConfigError(f"controller.dialect: unknown dialect {name!r}; expected one of {', '.join(NAMES)}")
        self.name = name
        self._tools = tuple(tools)
        self._limits = limits
        self._system = system
        self._images = images
        folder = resources.files("sport") / "prompts" / name
        texts = {part: (folder / f"{part}.jinja").read_text(encoding="utf-8") for part in _PARTS}
        if system is not None:
            texts["system"] = system
        self.text = "\n".join(f"{{# {part} #}}\n{text}" for part, text in texts.items())
        self.version = version(name, self.text)
        made = environment()
        self._templates = {part: made.from_string(text) for part, text in texts.items() if part != "system"}
        self._own = made.from_string(texts["system"]) if system is None else None

    def opening(self, task: Task) -> list[Message]:
        """The messages before the first action."""
        system = self._own.render(tools=self._tools, limits=self._limits) if self._own else str(self._system)
        words = self._templates["task"].render(task=task)
        pictures = [Image(file=file) for file in task.files if file.is_image and self._images]
        user = Message(role="user", parts=(*pictures, Text(text=words)))
        return [Message(role="system", parts=(Text(text=system),)), user] if system.strip() else [user]

    def observation(self, observation: Observation, step: int = 0) -> Message:
        """The message that follows the action of a step, counted from 0."""
        words = self._templates["observation"].render(o=observation, step=step)
        pictures = [Image(file=file) for file in observation.files if file.is_image and self._images]
        return Message(role="user", parts=(Text(text=words), *pictures))

    def history(self, task: Task, steps: Iterable[Step]) -> list[Message]:
        """Opening, then every decided step's trunk: action, observation, action, ..."""
        messages = self.opening(task)
        for step in steps:
            trunk = step.trunk
            messages.append(Message(role="assistant", parts=(Text(text=trunk.action.raw),)))
            if trunk.observation is None:
                raise ValueError(f"step {step.index}: the trunk's candidate has no observation")
            messages.append(self.observation(trunk.observation, step.index))
        return messages


def system_prompt(path: Path) -> str:
    """A system prompt from a file: its text, or the first one in imported data (.json, .jsonl).

    Data hold it in a field "system", or in a turn of that role within "conversations" or "messages", as SPORT's and
    MM-Traj's do. Nothing in it is filled in: a published prompt stays as its model knows it.

    Raises:
        ConfigError: unreadable, or data without a system prompt.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"controller.system: {path}: cannot be read ({error}); give a text or a data file") from None
    if path.suffix not in (".json", ".jsonl"):
        return text.strip()
    try:
        data = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
    except ValueError as error:
        raise ConfigError(f"controller.system: {path}: not valid JSON ({error})") from None
    for record in data if isinstance(data, list) else [data]:
        found = _system_of(record)
        if found:
            return found
    raise ConfigError(f'controller.system: {path}: no record has a field "system" or a turn of the system')


def _system_of(record: Any) -> str:
    """The system prompt of one record, "" without one."""
    if not isinstance(record, Mapping):
        return ""
    if isinstance(record.get("system"), str):
        return str(record["system"]).strip()
    for turn in record.get("conversations") or record.get("messages") or ():
        if isinstance(turn, Mapping) and "system" in (turn.get("role"), turn.get("from")):
            words = turn.get("content") or turn.get("value")
            if isinstance(words, str):
                return words.strip()
    return ""
