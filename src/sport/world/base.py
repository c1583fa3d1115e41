"""What the embedded world is made of, and how its splits are kept apart.

Everything here is a pure function of a seed. A *split* owns a share of all wordings, layouts and sets of values: each
is hashed into one of ten buckets, and a split draws again until the bucket is its own. So no masked question, no layout
and no set of values of ``heldout`` can occur in ``warm`` or ``explore``, by construction (a test proves it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, TypeVar

from sport.seeds import derive
from sport.types import Json, Need

T = TypeVar("T")

BUCKETS: Mapping[str, tuple[int, ...]] = {
    "warm": (3, 4, 5, 6, 7, 8, 9),
    "explore": (3, 4, 5, 6, 7, 8, 9),
    "dev": (2,),
    "heldout": (0, 1),
    "unseen": (0, 1),  # heldout's: its families occur in no other split
}


def fits(split: str, kind: str, text: str) -> bool:
    """Whether this wording, layout or set of values belongs to ``split``."""
    return derive("bucket", kind, text) % 10 in BUCKETS[split]


def draw_fitting(split: str, kind: str, draw: Callable[[], T], text: Callable[[T], str]) -> T:
    """Draw until the result belongs to ``split``. Raises ValueError when a thousand draws do not."""
    for _ in range(1000):
        drawn = draw()
        if fits(split, kind, text(drawn)):
            return drawn
    raise ValueError(f"no {kind} of the split {split!r} in a thousand draws")


@dataclass(frozen=True)
class Piece:
    """A painted picture or written document, and the facts that it shows."""

    name: str
    data: bytes
    facts: Mapping[str, Json]
    layout: str


@dataclass(frozen=True)
class Question:
    """A question of a piece's facts: words, answer, the calls it needs, and the name of its wording.

    ``slots`` are the numbers and names that the wording was filled with; ``kind`` is the family's sort of question.
    """

    query: str
    answer: str
    needs: tuple[Need, ...]
    wording: str
    kind: str
    slots: Mapping[str, Json] = field(default_factory=dict)


class Family(Protocol):
    """One sort of picture or document with the questions that can be asked of it."""

    name: str

    def paint(self, split: str, rng: Random) -> Piece:
        """A new piece of this family."""
        ...

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """A sound question with a checkable answer."""
        ...

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """A question of something that the piece does not show; it has no answer."""
        ...


def word(split: str, rng: Random, openings: Sequence[str], cores: Sequence[str], closings: Sequence[str]) -> str:
    """A wording with its slots still open: opening + core + closing, of this split."""
    return draw_fitting(
        split, "wording", lambda: rng.choice(openings) + rng.choice(cores) + rng.choice(closings), lambda text: text
    )
