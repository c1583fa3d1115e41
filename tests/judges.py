"""Judges by script, for tests of critics: they read the prompt as a model would, and answer by a rule."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from sport.types import Message, Sampling

CRITERIA = {"hallucination": "P looked.", "tool": "as it should be"}


def shown(messages: Sequence[Message]) -> dict[str, str]:
    """The candidates of a prompt: their text by their letter, in the order in which they stand."""
    return dict(re.findall(r'<candidate name="(\w+)">\n(.*?)</candidate>', messages[0].text, re.DOTALL))


def reply(**fields: Any) -> str:
    return json.dumps({"reason": "It looked first", "criteria": CRITERIA, **fields})


def most(messages: Sequence[Message], worth: Callable[[str], float]) -> list[str]:
    """Letters, the worthiest first; those of equal worth by their text, so that places say nothing."""
    found = shown(messages)
    return sorted(found, key=lambda letter: (-worth(found[letter]), found[letter]))


def best(worth: Callable[[str], float]) -> Callable[[Sequence[Message], int, Sampling], list[str]]:
    """A judge that names the worthiest candidate, and those of equal worth as tied."""

    def script(messages: Sequence[Message], n: int, sampling: Sampling) -> list[str]:
        letters, found = most(messages, worth), shown(messages)
        tied = [letter for letter in letters[1:] if worth(found[letter]) == worth(found[letters[0]])]
        return [reply(best=letters[0], tied=tied)]

    return script


def saying(*texts: str) -> Callable[[Sequence[Message], int, Sampling], list[str]]:
    """One text a call; then the last again and again."""
    left = list(texts)
    return lambda *_: [left.pop(0) if len(left) > 1 else left[0]]


def place(number: int) -> Callable[[Sequence[Message], int, Sampling], list[str]]:
    """A judge that always takes the same place."""
    return lambda messages, *_: [reply(best=list(shown(messages))[number])]
