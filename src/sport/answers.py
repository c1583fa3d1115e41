"""Answers as text, and when two of them say the same: shared by critics and scorers, so that both mean one thing.

Equality here is numeric, or exact after normalising; it is never a substring, in which "1" would match "10".
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

from sport.types import File, Json, Need, ToolCall

_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)
_LONGEST = 400  # characters of a text that may be read as one number


def answer_text(value: Json) -> str:
    """What was given to ``final_answer``, as one canonical text.

    Whole floats lose their ``.0``, None is ``"None"``, and the items of a list are joined by a comma and a space.

    >>> answer_text(12.0), answer_text([3, "red"]), answer_text(None)
    ('12', '3, red', 'None')
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list | tuple):
        return ", ".join(answer_text(item) for item in value)
    return str(value)


def as_number(text: str) -> float | None:
    """The finite number that the whole text is, None if it is anything else.

    A currency sign before it, a per cent sign after it and commas between thousands are allowed; a unit is not.

    >>> as_number(" $1,250.50 "), as_number("12 g"), as_number("nan")
    (1250.5, None, None)
    """
    text = text.strip()[: _LONGEST + 1]
    for sign in "$€£":
        text = text.removeprefix(sign)
    text = text.removesuffix("%").strip()
    if not any(c.isdigit() for c in text) or len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    try:
        number = float(text.replace(",", ""))
    except ValueError:  # "e5": digits, but no number before the exponent
        return None
    return number if math.isfinite(number) else None


def normalised(text: str) -> str:
    """Case, white space, quotes around it and a full stop after it do not matter.

    >>> normalised(' "Harbour  Street". ')
    'harbour street'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .\"'`")


def answers_match(given: str, wanted: str) -> bool:
    """Whether two answers say the same: numeric equality, else equality after normalising.

    Whole numbers are equal or not; where there is a fraction, what floats lose (one part in 10^9) does not count.

    >>> answers_match("3.4499999999999997", "3.45"), answers_match("1", "10"), answers_match("Yes.", "yes")
    (True, False, True)
    """
    left, right = as_number(given), as_number(wanted)
    if left is not None and right is not None:
        whole = left.is_integer() and right.is_integer()
        return left == right if whole else math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    return normalised(given) == normalised(wanted)


def call_meets(call: ToolCall, need: Need, files: Sequence[File] = ()) -> bool:
    """Whether a call is the one that a task needs: same tool, and equal in every argument that the need names.

    ``files`` are the task's. A name among them stands for that file's content: a copy under another name is the same
    file, and another content under the same name is not. Without them, a file argument equals its name or its hash.
    Texts are compared after normalising, and a plural equals its singular. Success is not asked for here.
    """
    contents = {file.name: file.sha256 for file in files}
    return call.name == need.tool and all(
        name in call.arguments and _same(call.arguments[name], wanted, contents)
        for name, wanted in need.arguments.items()
    )


def _same(given: Json, wanted: Json, contents: Mapping[str, str]) -> bool:
    if isinstance(given, Mapping) and "file" in given and isinstance(wanted, str):
        known = (given["file"],) if wanted in contents else (given["file"], given.get("name"))
        return contents.get(wanted, wanted) in known
    if isinstance(given, str) and isinstance(wanted, str):
        return _singular(given) == _singular(wanted)
    return bool(given == wanted)


def _singular(text: str) -> str:
    return normalised(text).removesuffix("s")
