"""What kind of turn an agent writes follows from its dialect: Python, or one JSON tool call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sport.agent import calls, parse
from sport.types import Action

Parser = Callable[[str, bool, int], Action]
"""``parser(text, finished, max_new_tokens)``."""

_OTHERS: Mapping[str, Parser] = {"calls-1": calls.parse}


def parser(dialect: str) -> Parser:
    """How turns in this dialect are read."""
    return _OTHERS.get(dialect, parse.parse)
