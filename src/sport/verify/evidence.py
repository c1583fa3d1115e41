"""What a step rests on: words and numbers that task, observations and tools have shown, and what code wrote itself.

Everything here is a pure function of records. Code is read as a syntax tree and never evaluated.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sport.types import CallRecord, Candidate, Json, Observation, Step, Task

_LONGEST = 50_000  # characters of one text that are looked at
_WORD = re.compile(r"[^\W\d_]{3,}")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ESCAPE = re.compile(r"\\[A-Za-z]")  # the \d of a pattern is no word
SMALL = frozenset({0.0, 1.0, 2.0, 10.0, 100.0})  # numbers that need no source
_SPOKEN = {
    "two": 2, "twice": 2, "double": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12, "half": 0.5, "quarter": 0.25, "third": 3,
}  # fmt: skip
_SHORT_UNITS = {"kg": "kilogram", "g": "gram", "mg": "milligram", "km": "kilometre", "m": "metre", "l": "litre"}
_OTHER_UNITS = {"kilometer": "kilometre", "meter": "metre", "liter": "litre"}
_MEASURES = frozenset(_SHORT_UNITS.values())
_SHORT_UNIT = re.compile(rf"(?:\d\s*|\()({'|'.join(_SHORT_UNITS)})\b", re.IGNORECASE)  # alone a letter is none: "I'm"
FUNCTION_WORDS = frozenset({
    "the", "and", "are", "all", "any", "but", "can", "did", "does", "for", "from", "get", "give", "had",
    "has", "have", "here", "her", "him", "his", "how", "its", "just", "let", "make", "many", "may", "much",
    "not", "now", "off", "one", "only", "our", "out", "own", "per", "please", "say", "see", "she", "some",
    "than", "that", "then", "there", "they", "this", "those", "thing", "two", "was", "way", "were", "what",
    "when", "where", "which", "who", "why", "will", "with", "would", "you", "your",
})  # fmt: skip
"""Words that say nothing of what is asked for; as :func:`words` has them."""
_UNITS = {"hour": (60, 24), "minute": (60,), "second": (60,), "day": (24, 7), "week": (7,), "year": (12, 365)}


def words(text: str) -> frozenset[str]:
    """Words of three letters and more, in lower case and singular.

    >>> sorted(words("How many red circles in image_1.png?"))
    ['circle', 'how', 'image', 'many', 'png', 'red']
    """
    return frozenset(_singular(word) for word in _WORD.findall(text[:_LONGEST].casefold()))


def units(text: str) -> frozenset[str]:
    """Units of measure in a text, written out.

    >>> sorted(units("2.4 kg, or 2400g")), sorted(units("I'm asking: how many kilograms?"))
    (['gram', 'kilogram'], ['kilogram'])
    """
    long = {_OTHER_UNITS.get(word, word) for word in words(text)} & _MEASURES
    return frozenset(long | {_SHORT_UNITS[short.casefold()] for short in _SHORT_UNIT.findall(text[:_LONGEST])})


def numbers(text: str) -> frozenset[float]:
    """All numbers in a text. "1,234" is read as 1234, as 1.234 and as 1 and 234: whoever compares is forgiving."""
    found: set[float] = set()
    for token in _NUMBER.findall(text[:_LONGEST]):
        pieces = re.split(r"[.,]", token)
        for reading in (token.replace(",", ""), token.replace(",", "."), *pieces):
            if reading.count(".") <= 1:
                found.add(float(reading))
    return frozenset(found)


def spoken(text: str) -> frozenset[float]:
    """Numbers that words stand for: "twice", "a dozen"."""
    return frozenset(float(_SPOKEN[word]) for word in words(text) if word in _SPOKEN)


@dataclass(frozen=True)
class Evidence:
    """Words and numbers that have been shown."""

    words: frozenset[str]
    numbers: frozenset[float]

    def shows_number(self, number: float) -> bool:
        """Whether a number needs no invention."""
        return abs(number) in SMALL or any(math.isclose(abs(number), known) for known in self.numbers)

    def shows_text(self, text: str) -> bool:
        """Whether every word and number of a text has been shown; short words and signs need no source."""
        plain = _ESCAPE.sub(" ", text)
        shown = words(plain) <= self.words
        return shown and ("\\" in text or all(self.shows_number(number) for number in numbers(plain)))


def evidence(task: Task, history: Sequence[Step], candidate: Candidate) -> Evidence:
    """From the task, the trunk's observations, and this candidate's own tools; not from what its code printed."""
    names = " ".join(file.name for file in task.files)
    own = " ".join(call_text(call) for call in calls_of(candidate))
    texts = [task.query, names, own, *(shown(seen) for seen in observations(history))]
    units = {float(n) for word in words(task.query) for n in _UNITS.get(word, ())}
    return Evidence(
        words=frozenset().union(*map(words, texts)),
        numbers=frozenset(units).union(spoken(task.query), *map(numbers, texts)),
    )


def observations(history: Iterable[Step]) -> list[Observation]:
    """The trunk's, in order."""
    return [seen for step in history if (seen := step.trunk.observation) is not None]


def calls_of(candidate: Candidate) -> tuple[CallRecord, ...]:
    """The tool calls of a candidate; none if it did not run."""
    return candidate.observation.calls if candidate.observation else ()


def syntax(code: str | None) -> ast.Module | None:
    """The tree of some code; None when there is none, or it is not Python."""
    if code is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def literals(code: str | None) -> Iterator[float | str]:
    """Content that code writes down itself: numbers, and texts that are not just for show.

    Left out are indices, arguments of ``round`` and ``.group``, docstrings, pieces of f-strings and printed texts.
    """
    tree = syntax(code)
    waiting: list[ast.AST] = [tree] if tree else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant):
            yield from _content(node.value)
            continue
        waiting += [child for child in ast.iter_child_nodes(node) if not _for_show(node, child)]


def texts(code: str | None) -> frozenset[str]:
    """Words of the texts that code writes down: what it looks for."""
    found = (words(_ESCAPE.sub(" ", literal)) for literal in literals(code) if isinstance(literal, str))
    return frozenset().union(*found)


def result_keys(calls: Iterable[CallRecord]) -> frozenset[str]:
    """Words of the keys in tools' results: ``spot["label"]`` speaks of the result's form, not of the world."""
    found: set[str] = set()
    waiting: list[Json] = [call.result.value for call in calls]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found.update(*(words(key) for key in value))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value[:100]
    return frozenset(found)


def _content(value: object) -> Iterator[float | str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            yield float(value)
        except OverflowError:  # an integer beyond the floats
            yield math.inf


def _for_show(parent: ast.AST, child: ast.AST) -> bool:
    if isinstance(parent, ast.Subscript) and child is parent.slice:
        return not (isinstance(child, ast.Constant) and isinstance(child.value, str))
    if isinstance(parent, ast.Call) and isinstance(child, ast.Constant | ast.JoinedStr):
        name = parent.func.attr if isinstance(parent.func, ast.Attribute) else getattr(parent.func, "id", "")
        return name in ("print", "group") or (name == "round" and child is not parent.args[0])
    return isinstance(parent, ast.JoinedStr | ast.Expr) and isinstance(child, ast.Constant)


def shown(seen: Observation) -> str:
    """All that a step has shown, as text: output, value, names of files, what tools gave back."""
    texts = [seen.stdout[:_LONGEST], (seen.value or "")[:_LONGEST], *(file.name for file in seen.files)]
    return " ".join([*texts, *(call_text(call) for call in seen.calls)])


def call_text(call: CallRecord) -> str:
    """What a tool gave back, as text."""
    value = call.result.value
    return value if isinstance(value, str) else json.dumps(value, default=str)[:_LONGEST]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
