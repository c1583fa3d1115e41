"""One task of the embedded world from (split, seed, iteration, ordinal): a query, a file, and the key.

A share of the queries is spoilt on purpose, in four kinds, so that the query-file check has something to find:
``absent`` (the fact is not there), ``mismatch`` (the file is of something else), ``unreadable``, ``ambiguous``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from PIL import Image

from sport.errors import ConfigError
from sport.seeds import derive
from sport.types import Key
from sport.world import painter
from sport.world.base import Family, Piece, Question
from sport.world.document import Documents
from sport.world.label import Labels
from sport.world.scene import Scenes

FAMILIES: Mapping[str, Family] = {"label": Labels(), "scene": Scenes(), "document": Documents()}
DEFECTS = ("absent", "mismatch", "unreadable", "ambiguous")
AMBIGUOUS = ("How many are there?", "How much is it?", "What is the number?", "Which one is it?", "How many in all?")


@dataclass(frozen=True)
class Made:
    """A task before the store has given it a file: ``key.task_id`` is the task's id."""

    query: str
    files: Mapping[str, bytes]
    key: Key


def make(
    split: str, ordinal: int, *, families: Sequence[str], defects: float = 0.0, seed: int = 0, iteration: int = 0
) -> Made:
    """The task with this number in its split.

    ``seed`` and ``iteration`` matter to ``explore`` alone, so that the evaluation splits are the same for every run.

    Raises:
        ConfigError: a family that does not exist.
    """
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise ConfigError(f"synth.families: unknown {unknown[0]!r}; expected some of {', '.join(FAMILIES)}")
    stream = (seed, iteration) if split == "explore" else (0, 0)
    rng = Random(derive("world", split, *stream, ordinal))
    family = FAMILIES[families[ordinal % len(families)]]
    defect = rng.choice(DEFECTS) if rng.random() < defects else None
    piece, question = _spoil(family, defect, split, families, rng)
    task_id = f"{split}-{iteration:02d}-{ordinal:04d}"
    key = Key(
        task_id=task_id,
        answer=question.answer,
        facts={**piece.facts, "slots": dict(question.slots), "kind": question.kind},
        needs=question.needs,
        family=family.name,
        wording=question.wording,
        layout=piece.layout,
        defect=defect,
    )
    return Made(question.query, {piece.name: piece.data}, key)


def _spoil(
    family: Family, defect: str | None, split: str, families: Sequence[str], rng: Random
) -> tuple[Piece, Question]:
    """A piece and a question of it, spoilt in the way that ``defect`` names."""
    piece = family.paint(split, rng)
    if defect == "absent":
        return piece, family.ask_absent(piece, split, rng)
    question = family.ask(piece, split, rng)
    if defect == "ambiguous":
        question = replace(question, query=rng.choice(AMBIGUOUS), wording="ambiguous")
    elif defect == "mismatch":
        others = [FAMILIES[name] for name in FAMILIES if name != family.name]
        piece = rng.choice(others).paint(split, rng)
    elif defect == "unreadable":
        piece = replace(piece, data=_ruin(piece, rng))
    return piece, replace(question, answer="", needs=()) if defect else question


def _ruin(piece: Piece, rng: Random) -> bytes:
    """A picture blurred beyond reading; a document cut in the middle."""
    if not piece.name.endswith(".png"):
        return piece.data[: len(piece.data) // 2]
    with Image.open(io.BytesIO(piece.data)) as picture:
        return painter.develop(picture.convert("RGB"), rng, noise=30.0, blur=16.0)
