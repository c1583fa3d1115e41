"""Defective queries on purpose: the fact is not there, the file is of something else, unreadable, or ambiguous."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from PIL import Image

from sport.world import painter
from sport.world.base import Family, Piece, Question

DEFECTS = ("absent", "mismatch", "unreadable", "ambiguous")
AMBIGUOUS = ("How many are there?", "How much is it?", "What is the number?", "Which one is it?", "How many in all?")


def spoil(
    family: Family, defect: str | None, strangers: Sequence[Family], split: str, rng: Random
) -> tuple[Piece, Question]:
    """A piece and a question of it, spoilt in the way that ``defect`` names; None spoils nothing.

    ``strangers`` are families whose pieces cannot answer the question: a mismatched file is one of theirs.
    """
    piece = family.paint(split, rng)
    if defect == "absent":
        return piece, family.ask_absent(piece, split, rng)
    question = family.ask(piece, split, rng)
    if defect == "ambiguous":
        question = replace(question, query=rng.choice(AMBIGUOUS), wording="ambiguous")
    elif defect == "mismatch":
        piece = rng.choice(strangers).paint(split, rng)
    elif defect == "unreadable":
        piece = replace(piece, data=ruin(piece, rng))
    return piece, replace(question, answer="", needs=()) if defect else question


def ruin(piece: Piece, rng: Random) -> bytes:
    """A picture blurred beyond reading; of a packed document a half, of plain text as many random bytes."""
    if piece.name.endswith(".png"):
        with Image.open(io.BytesIO(piece.data)) as picture:
            return painter.develop(picture.convert("RGB"), rng, noise=30.0, blur=16.0)
    if piece.name.endswith((".csv", ".txt")):
        return rng.randbytes(len(piece.data))
    return piece.data[: len(piece.data) // 2]
