"""Tasks of the whole embedded world by split and number, as synthesis draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sport.config import Synth
from sport.seeds import derive
from sport.world.base import Piece, Question
from sport.world.families import ALL, UNSEEN, strangers
from sport.world.spoil import DEFECTS, spoil


@dataclass(frozen=True)
class Drawn:
    """One task: its family, what was painted, what is asked, and how it was spoilt."""

    family: str
    piece: Piece
    question: Question
    defect: str | None

    @property
    def kind(self) -> str:
        """The question's kind."""
        return self.question.kind


def draw(split: str, number: int, families: Sequence[str] = (), defects: float = 0.0) -> list[Drawn]:
    """The first ``number`` tasks of a split."""
    names = families or (UNSEEN if split == "unseen" else Synth().families)
    drawn = []
    for ordinal in range(number):
        rng, name = Random(derive("world", split, ordinal)), names[ordinal % len(names)]
        defect = rng.choice(DEFECTS) if rng.random() < defects else None
        drawn.append(Drawn(name, *spoil(ALL[name], defect, strangers(name), split, rng), defect))
    return drawn


def kinds(number: int) -> list[Drawn]:
    """So many tasks of every kind; several questions are asked of each piece, so that few are painted and read."""
    found: list[Drawn] = []
    for name in ALL:
        split, seen = "unseen" if name in UNSEEN else "warm", dict[str, int]()
        for ordinal in range(16):
            rng = Random(derive("kinds", name, ordinal))
            piece = ALL[name].paint(split, rng)
            for _ in range(10):
                drawn = Drawn(name, piece, ALL[name].ask(piece, split, rng), None)
                seen[drawn.kind] = seen.get(drawn.kind, 0) + 1
                found += [drawn] if seen[drawn.kind] <= number else []
    return found
