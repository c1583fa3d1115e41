"""GAIA's official scorer (arXiv 2311.12983), written anew from its definition: exact match of a kind, never partial.

(1) A truth that is a number: ``$``, ``%`` and commas go from the answer, and the floats must be equal. (2) A truth with
a comma or semicolon is a list: equally many elements in the same order, numbers by the rule of (1), others without
white space and case. (3) Anything else: equal without white space, punctuation and case. No answer is wrong.
"""

from __future__ import annotations

import re
import string

VERSION = "gaia-1"
_SIGNS = str.maketrans("", "", "$%,")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SEPARATOR = re.compile(r"[,;]")


def right(answer: str | None, truth: str) -> bool:
    """Whether an answer is right.

    >>> right("$1,234.5", "1234.50"), right("b, a", "a, b"), right("St. Petersburg", "st petersburg")
    (True, False, True)
    """
    if answer is None:
        return False
    if _number(truth) is not None:
        return _equal_numbers(answer, truth)
    if _SEPARATOR.search(truth):
        given, wanted = _SEPARATOR.split(answer), _SEPARATOR.split(truth)
        return len(given) == len(wanted) and all(map(_equal_elements, given, wanted))
    return _plain(answer).translate(_PUNCTUATION) == _plain(truth).translate(_PUNCTUATION)


def _equal_elements(answer: str, truth: str) -> bool:
    if _number(truth) is not None:
        return _equal_numbers(answer, truth)
    return _plain(answer) == _plain(truth)


def _equal_numbers(answer: str, truth: str) -> bool:
    given = _number(answer.translate(_SIGNS))
    return given is not None and given == _number(truth)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _plain(text: str) -> str:
    return re.sub(r"\s", "", text).lower()
