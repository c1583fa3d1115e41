"""The query-file check by rule: what the query names must be found in its files, seen through the tools.

It reads what a vision-language judge would look at (the query, the files) by the same tools that the agent has, and
never the painter's facts or the defect's name. It does not judge whether a question is interesting.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

from sport.synth.base import Check
from sport.tools.base import Answered, CallTool, FileBytes
from sport.types import File, ReadFile, Task

COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "black", "white", "grey")
SHAPES = ("circle", "square", "triangle", "star", "shape")
SIDES = frozenset(("left", "right", "top", "bottom"))
WHOLE = frozenset(
    ("altogether", "back", "bars", "bill", "change", "every", "everything", "pieces", "purchase", "total", "whole")
)
OUTERMOST = frozenset(
    """cheapest dearest expensive first greatest highest last lead leads least longest lowest most next shortest
    smallest""".split()  # noqa: SIM905 - a table of words reads better than a list of strings
)


@cache
def asking() -> frozenset[str]:
    """Words that ask, count or point, but name nothing that could be looked up."""
    return frozenset((resources.files("sport") / "prompts" / "asking.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True)
class Seen:
    """What the tools found in a task's files: words that were read, and labels of shapes that were located."""

    words: frozenset[str]
    labels: tuple[str, ...]


class RuleCheck:
    """Keeps a task when everything its query names is in its files."""

    def __init__(self, call: CallTool, read: ReadFile) -> None:
        self._call = call
        self._read = read

    async def check(self, task: Task) -> Check:
        """Look, compare, and search for what the files do not say."""
        seen = [await self._look(file) for file in task.files]
        found = judge(task.query, seen)
        if found.missing and found.named > len(found.missing):
            found = judge(task.query, seen, [word for word in found.missing if await self._known(word)])
        notes = {"labels": [s.labels for s in seen], "words": [len(s.words) for s in seen]}
        return Check(found.kept, found.reason, notes)

    async def _look(self, file: File) -> Seen:
        data = FileBytes(self._read(file), file.media_type)
        if not file.is_image:
            return _read_text(await self._call("inspect_file_as_text", {"file": data}), ())
        spots = await self._call("locate", {"image": data, "what": "shapes"})
        labels = [spot["label"] for spot in spots.value or ()]
        return _read_text(await self._call("ocr", {"image": data}), labels)

    async def _known(self, word: str) -> bool:
        """Whether an article tells of it: what can be searched may be missing from the files."""
        answer = await self._call("search", {"query": word})
        return word in {_single(found) for found in _words(str(answer.value or ""))}


class Judged(NamedTuple):
    """Keep or drop, why, how many things the query names, and which of them no file shows."""

    kept: bool
    reason: str
    named: int = 0
    missing: tuple[str, ...] = ()


def judge(query: str, seen: Sequence[Seen], searched: Sequence[str] = ()) -> Judged:
    """Whether to keep the query (pure). ``searched`` are words of it that a search finds."""
    if not any(s.words or s.labels for s in seen):
        return Judged(False, "nothing can be read or located in the files")
    common = asking()
    raw = re.findall(r"[a-z]+", query.lower())
    words = [word if word in common else _single(word) for word in raw]
    labels = {label for s in seen for label in s.labels}
    if wanted := {f"{a} {b}" for a, b in pairwise(map(_single, raw)) if a in COLOURS and b in SHAPES}:
        missing = sorted(wanted - labels)
        return Judged(not missing, f"no {missing[0]} in the picture" if missing else "all shapes asked for are there")
    named = [word for word in words if word not in common and len(word) > 1]
    if not named:
        return _unnamed(set(raw), seen, labels)
    read = {_single(word) for s in seen for word in s.words} | set(searched)
    gone = tuple(word for word in named if not difflib.get_close_matches(word, read, n=1, cutoff=0.8))
    reason = f"{gone[0]!r} is not in the files" if gone else "everything named is in the files, or can be searched"
    return Judged(not gone, reason, len(named), gone)


def _unnamed(words: set[str], seen: Sequence[Seen], labels: set[str]) -> Judged:
    """A query that names nothing is sound if it asks for the outermost thing, or for the whole."""
    if SIDES & words and len(labels) > 1:
        return Judged(True, "there are shapes to choose from")
    if (WHOLE | OUTERMOST) & words and any(len(s.words) > 3 for s in seen):
        return Judged(True, "it asks for the whole, or for the most of what is there")
    return Judged(False, "the query names nothing that could be looked up")


def _read_text(answer: Answered, labels: Sequence[str]) -> Seen:
    """Words of a text, and the shapes that it writes down beside those that were located."""
    text = str(answer.value or "").lower()
    written = re.findall(rf"({'|'.join(COLOURS)}) ?({'|'.join(SHAPES)})", text)
    return Seen(_words(text), (*labels, *(f"{colour} {shape}" for colour, shape in written)))


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{2,}", text.lower()))


def _single(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
