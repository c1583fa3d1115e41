"""What a language model answers, taken apart: JSON of a shape, or a program. One mend is asked for, no more."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from sport.errors import ContentError
from sport.synth.journal import Journal
from sport.types import Message, Sampling, Text
from sport.wording import Prompt

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T")
_THINKING = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```[ \t]*([A-Za-z]*)[ \t]*\n(.*?)```", re.DOTALL)


Read = Callable[[str], Awaitable[T]]
"""Reads a reply. Raises Unusable."""


class Unusable(Exception):
    """A reply that breaks its form; the message is for the model that wrote it."""


@dataclass(frozen=True)
class Reply(Generic[T]):
    """What was read from a reply, and whether it had to be mended, and whether it was paid for just now."""

    value: T
    mended: bool
    fresh: bool


@dataclass(frozen=True)
class Asker:
    """Asks by prompt. ``prompts`` holds one "repair" too."""

    journal: Journal
    prompts: Mapping[str, Prompt]

    async def ask(self, name: str, values: Mapping[str, Any], read: Read[T], sampling: Sampling) -> Reply[T]:
        """Fill in the prompt ``name``, ask, and read the reply; one that cannot be read is asked for once more.

        Raises:
            ContentError: the second reply cannot be read either.
            FatalModelError: no further try can help.
        """
        prompt, repair = self.prompts[name], self.prompts["repair"]
        messages = [Message(role="user", parts=prompt.parts(values))]
        told = await self.journal.text(messages, sampling, prompt.version)
        try:
            return Reply(await _whole(told.text, told.finished, read), mended=False, fresh=told.fresh)
        except Unusable as error:
            words = repair.render({"problem": str(error)})
        messages += [
            Message(role="assistant", parts=(Text(text=told.text or "(nothing)"),)),
            Message(role="user", parts=(Text(text=words),)),
        ]
        told = await self.journal.text(messages, sampling, f"{prompt.version}+{repair.version}")
        try:
            return Reply(await _whole(told.text, told.finished, read), mended=True, fresh=told.fresh)
        except Unusable as error:
            raise Misread(f"{name}: {error}, also after it was asked to mend that", fresh=told.fresh) from error


class Misread(ContentError):
    """A reply that could not be read, also after one mend."""

    def __init__(self, message: str, *, fresh: bool) -> None:
        super().__init__(message)
        self.fresh = fresh


async def _whole(text: str, finished: bool, read: Read[T]) -> T:
    try:
        return await read(text)
    except Unusable as error:
        if finished:
            raise
        raise Unusable(f"it was cut at the token limit ({error}); be shorter") from error


def as_json(shape: type[S]) -> Read[S]:
    """A reader of one JSON object of this shape, alone or in a fence, with or without words around it."""

    async def read(text: str) -> S:
        text = _THINKING.sub("", text, count=1)
        fenced = [body for _, body in _FENCE.findall(text)]
        problem = "there is no JSON object in it"
        for piece in (*fenced, text):
            start = piece.find("{")
            if start < 0:
                continue
            try:
                data, _ = json.JSONDecoder().raw_decode(piece[start:])
                return shape.model_validate(data)
            except json.JSONDecodeError as error:
                problem = f"it is not JSON: {error.msg} at character {error.pos}"
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                place = ".".join(str(part) for part in first["loc"]) or "the object"
                problem = f"{place}: {first['msg']}"
        raise Unusable(problem)

    return read


def as_program(text: str) -> str:
    """The Python program in a reply: its last fenced block, or all of it where there is no fence.

    Raises:
        Unusable: there is none, or it is not Python.
    """
    text = _THINKING.sub("", text, count=1)
    blocks = [body for language, body in _FENCE.findall(text) if language.lower() in ("", "py", "python")]
    program: str = blocks[-1] if blocks else text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a plain string is bad style, not an error
            ast.parse(program)
    except (SyntaxError, ValueError) as error:
        raise Unusable(f"it is not a Python program: {error}") from error
    if not program.strip():
        raise Unusable("there is no program in it")
    return program
