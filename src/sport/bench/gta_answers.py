"""When an answer to a GTA task is right: the official rule, a mended one beside it, and those of two papers.

All of them read a reference as GTA's ``gt_answer`` has it: ``whitelist`` is a list of groups of aliases, every group
must be found; ``blacklist`` is the same or None. A missing answer is wrong under every rule.

* :func:`official`: GTA's evaluator (arXiv 2407.08713, OpenCompass): whole words, ignoring case, nothing blacklisted.
* :func:`mended`: the same, but an alias that begins or ends with a symbol can be found ("-2", "40%", "C++").
* :func:`mat_rule`: substring, ignoring case, no blacklist, as T3 (arXiv 2412.15606) counts its 156 objective tasks.
* :func:`sport_rule`: SPORT's (arXiv 2504.21561), still more lenient: number words, thousands commas, "5 km" for "5km".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from sport.types import Json

Rule = Callable[[str | None, Mapping[str, Json]], bool]

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
)
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_WORDS.split())}
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_NUMBER_WORDS)})\b")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_UNIT = re.compile(r"(?<=\d)\s+(?=[a-z%\u00b0])")


def official(answer: str | None, reference: Mapping[str, Json]) -> bool:
    r"""Every group matches ``\b(?:alias|...)\b``, ignoring case, and nothing of the blacklist does.

    Kept as it is, with its known gap: ``\b`` before "-2" asks for a word character there.

    >>> official("It is -2.", {"whitelist": [["-2"]], "blacklist": None})
    False
    """
    return _whole_words(answer, reference, r"\b", r"\b")


def mended(answer: str | None, reference: Mapping[str, Json]) -> bool:
    r"""As :func:`official`, but an alias may begin and end anywhere where no word character would be cut in two.

    >>> mended("It is -2.", {"whitelist": [["-2"]], "blacklist": None})
    True
    """
    return _whole_words(answer, reference, r"(?:(?<!\w)|(?!\w))", r"(?:(?!\w)|(?<!\w))")


def mat_rule(answer: str | None, reference: Mapping[str, Json]) -> bool:
    """Some alias of every group is a substring, ignoring case.

    >>> mat_rule("In all 102 cars", {"whitelist": [["2"]], "blacklist": None})
    True
    """
    return answer is not None and _all_inside(answer.lower(), reference, str.lower)


def sport_rule(answer: str | None, reference: Mapping[str, Json]) -> bool:
    """As :func:`mat_rule`, or the same after number words, thousands commas and spaces before units are made equal.

    SPORT's own script is described here, not copied: what it normalises beyond the three is not covered.

    >>> sport_rule("Two people, 1,200 km", {"whitelist": [["2"], ["1200km"]], "blacklist": None})
    True
    """
    return answer is not None and (mat_rule(answer, reference) or _all_inside(_lenient(answer), reference, _lenient))


RULES: Mapping[str, Rule] = {"official": official, "mended": mended, "MAT": mat_rule, "SPORT": sport_rule}
"""By the name under which a figure is printed."""


def _whole_words(answer: str | None, reference: Mapping[str, Json], before: str, after: str) -> bool:
    if answer is None:
        return False

    def found(aliases: Iterable[str]) -> bool:
        pattern = f"{before}(?:{'|'.join(re.escape(alias) for alias in aliases)}){after}"
        return re.search(pattern, answer, re.IGNORECASE) is not None

    barred = [alias for group in reference.get("blacklist") or () for alias in group]
    return all(found(group) for group in reference["whitelist"]) and not (barred and found(barred))


def _all_inside(text: str, reference: Mapping[str, Json], form: Callable[[str], str]) -> bool:
    groups: Sequence[Sequence[str]] = reference["whitelist"]
    return all(any(form(alias) in text for alias in group) for group in groups)


def _lenient(text: str) -> str:
    text = _THOUSANDS.sub("", text.lower())
    return _UNIT.sub("", _NUMBER_WORD.sub(lambda match: _NUMBER_WORDS[match[0]], text))
