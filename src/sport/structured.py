"""Answers of a fixed form from a language model: JSON in its text, held against a schema, repaired once by asking.

The form is asked for in words, which every server understands; what a server offers for it besides (grammars, JSON
modes) is not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from sport.errors import ContentError
from sport.types import Message, Sample, Sampling, Text

T = TypeVar("T", bound=BaseModel)
_TRIES = 64  # opening braces that are tried: keeps hostile texts short work
_MOST_ERRORS = 5

REPAIR = """This answer could not be read: {problem}

Answer once more, with one JSON object of the form that was asked for and nothing else."""


class Sampler(Protocol):
    """The part of an LLM that is needed here."""

    async def sample(self, messages: Sequence[Message], n: int, sampling: Sampling) -> list[Sample]:
        """See ``sport.llm.base``."""
        ...


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What was understood, whether it had to be asked for twice, and the text and model that it came from."""

    value: T
    repaired: bool
    text: str
    source: str


async def ask(
    llm: Sampler,
    messages: Sequence[Message],
    kind: type[T],
    sampling: Sampling,
    *,
    what: str,
    context: Mapping[str, Any] | None = None,
) -> Answer[T]:
    """An answer of the form ``kind``.

    Args:
        llm: whom to ask.
        messages: the question; it says which form is wanted.
        kind: the form. Validators see ``context``.
        sampling: of both calls.
        what: who asks, for messages: "critic".
        context: for the form's validators.

    Raises:
        ContentError: the second answer cannot be read either; it says why.
        ModelError: the model failed.
    """
    problem, said = "", list(messages)
    for repaired in (False, True):
        [sample] = await llm.sample(said, 1, sampling)
        try:
            return Answer(read(sample.text, kind, context), repaired, sample.text, sample.source)
        except ValueError as error:
            cut = "" if sample.finished else f"it was cut at the limit of {sampling.max_new_tokens} tokens; "
            problem = cut + str(error)
        repair = Text(text=REPAIR.format(problem=problem))
        answer = Message(role="assistant", parts=(Text(text=sample.text or "(nothing)"),))
        said = [*messages, answer, Message(role="user", parts=(repair,))]
    raise ContentError(f"{what}: asked twice, and no answer could be read: {problem}")


def read(text: str, kind: type[T], context: Mapping[str, Any] | None = None) -> T:
    """The last JSON object in a text, as ``kind``. Raises ValueError that tells a model what to mend."""
    found = objects(text)
    if not found:
        raise ValueError("there is no whole JSON object in it")
    try:
        return kind.model_validate(found[-1], context=dict(context or {}))
    except ValidationError as error:
        raise ValueError(_told(error)) from None


def objects(text: str) -> list[dict[str, Any]]:
    """All JSON objects in a text that are not part of another, in their order.

    >>> objects('First {"a": {"b": 1}}, then ```json {"c": [2]}```.')
    [{'a': {'b': 1}}, {'c': [2]}]
    """
    decoder, at = json.JSONDecoder(strict=False), 0
    found: list[dict[str, Any]] = []
    for _ in range(_TRIES):
        at = text.find("{", at)
        if at < 0:
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        found.append(value)
    return found


def _told(error: ValidationError) -> str:
    lines = []
    for one in error.errors(include_url=False, include_input=False)[:_MOST_ERRORS]:
        place = ".".join(str(part) for part in one["loc"])
        lines.append(f"{place}: {one['msg']}" if place else str(one["msg"]))
    return "; ".join(lines)
