"""Questions out of parts: an opening, a core, a closing, all three owned by a split together, then filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from sport.types import Json, Need
from sport.world.base import Question, word

NUMBER = ("", " Give a number.", " Answer with the number only.", " A plain number, please.", " Just the figure.")
NAME = ("", " Give the name.", " Answer with the name only.", " One name, please.", " Just the name.")
TIME = ("", " Give the time.", " Answer as HH:MM.", " Only the time, please.", " Hours and minutes, please.")

OCR = Need(tool="ocr", arguments={"image": "image_1.png"})
SEARCH = Need(tool="search")


@dataclass(frozen=True)
class Words:
    """How a family asks: openings, and for each kind its cores and what they are closed with."""

    family: str
    openings: Sequence[str]
    cores: Mapping[str, Sequence[str]]
    closings: Mapping[str, Sequence[str]]

    def question(
        self, kind: str, answer: float | str, needs: tuple[Need, ...], split: str, rng: Random, **slots: Json
    ) -> Question:
        """The question in one of the split's wordings; a slot that is no proper name is said in lower case."""
        wording = word(split, rng, self.openings, self.cores[kind], self.closings.get(kind, NUMBER))
        query = wording.format(**slots)
        return Question(
            query[0].upper() + query[1:], plain(answer), needs, wording, f"{self.family}.{kind}", dict(slots)
        )


def plain(value: float | str) -> str:
    """A number with at most two digits after the point, or the text as it is.

    >>> plain(13.50), plain(4.0), plain(0.1 + 0.2), plain("09:40")
    ('13.5', '4', '0.3', '09:40')
    """
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def money(value: float) -> str:
    """As prices are printed: always two digits after the point."""
    return f"{value:.2f}"


def price(rng: Random, low: float, high: float) -> float:
    """A price in steps of a tenth."""
    return rng.randint(round(low * 10), round(high * 10)) / 10


def clear(numbers: Sequence[float]) -> bool:
    """Whether one of the numbers is the greatest and one the smallest: else "which is the most?" has two answers."""
    ordered = sorted(numbers)
    return ordered[0] < ordered[1] and ordered[-2] < ordered[-1]
