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

from sport.synth.base import Check
from sport.tools.base import CallTool, FileBytes
from sport.types import File, ReadFile, Task

COLOURS = frozenset(("red", "green", "blue", "yellow", "orange", "purple", "black", "white", "grey"))
SHAPES = frozenset(["circle", "square", "triangle", "star", "shape"])
SIDES = frozenset(["left", "right", "top", "bottom"])


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
        """Look, then compare."""
        seen = [await self._look(file) for file in task.files]
        kept, reason = judge(task.query, seen)
        return Check(kept, reason, {"labels": [s.labels for s in seen], "words": [len(s.words) for s in seen]})

    async def _look(self, file: File) -> Seen:
        data = FileBytes(self._read(file), file.media_type)
        if not file.is_image:
            text = await self._call("inspect_file_as_text", {"file": data})
            return Seen(_words(str(text.value or "")), ())
        text = await self._call("ocr", {"image": data})
        spots = await self._call("locate", {"image": data, "what": "shapes"})
        return Seen(_words(str(text.value or "")), tuple(spot["label"] for spot in spots.value or ()))


def judge(query: str, seen: Sequence[Seen]) -> tuple[bool, str]:
    """Whether to keep the query, and why (pure)."""
    if not any(s.words or s.labels for s in seen):
        return False, "nothing can be read or located in the files"
    common = asking()
    words = [word if word in common else _single(word) for word in re.findall(r"[a-z]+", query.lower())]
    labels = {label for s in seen for label in s.labels}
    if wanted := {f"{a} {b}" for a, b in pairwise(words) if a in COLOURS and b in SHAPES}:
        missing = sorted(wanted - labels)
        return (False, f"no {missing[0]} in the picture") if missing else (True, "all shapes asked for are there")
    if SIDES & set(words):
        return (True, "shapes are there") if len(labels) > 1 else (False, "no shapes to choose from")
    named = [word for word in words if word not in common and len(word) > 1]
    if not named:
        return False, "the query names nothing that could be looked up"
    read = {_single(word) for s in seen for word in s.words}
    missing = [word for word in named if not difflib.get_close_matches(word, read, n=1, cutoff=0.8)]
    return (False, f"{missing[0]!r} is not in the files") if missing else (True, "everything named is in the files")


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{2,}", text.lower()))


def _single(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
