"""A sheet of paper with one font and one ink, and the words on it: what all painted tables and lists share."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sport.world import painter

INKS = {"black": (0, 0, 0), "navy": (20, 20, 60), "brown": (60, 20, 20)}
LEFT, RIGHT, WIDTH = 30, painter.SIDE - 30, painter.SIDE - 60
"""Margins, and what lies between them, in pixels."""


@dataclass(frozen=True)
class Style:
    """Looks that every layout has: font, paper, ink, and the height of a line's letters in pixels."""

    font: str
    paper: str
    ink: str
    size: int

    def __str__(self) -> str:
        return f"{self.font}/{self.paper}/{self.ink}/{self.size}"


def style(rng: Random, sizes: tuple[int, ...] = (20, 22, 24)) -> Style:
    """Any font, paper and ink."""
    return Style(rng.choice(painter.FONTS), rng.choice(list(painter.PAPERS)), rng.choice(list(INKS)), rng.choice(sizes))


class Page:
    """An empty page in a style. Coordinates are pixels from the top left corner."""

    def __init__(self, looks: Style) -> None:
        self.sheet, self.brush = painter.paper(looks.paper)
        self._letters = painter.font(looks.font, looks.size)
        self._ink = INKS[looks.ink]

    def write(self, x: float, y: float, text: str, anchor: str = "la") -> None:
        """A line of text; ``anchor`` is Pillow's: "la" left, "ra" right, "ma" middle of the top."""
        self.brush.text((x, y), text, font=self._letters, fill=self._ink, anchor=anchor)

    def below(self, middle: float, y: float, text: str) -> None:
        """A line of text with its middle at ``middle``, moved inwards where it would leave the page."""
        half = self.brush.textlength(text, font=self._letters) / 2
        self.write(min(max(middle, half + 8), painter.SIDE - 8 - half), y, text, "ma")

    def head(self, y: float, text: str, anchor: str = "ma") -> None:
        """A heading in bold letters."""
        x = painter.SIDE / 2 if anchor == "ma" else LEFT
        self.brush.text((x, y), text, font=painter.font("DejaVuSans-Bold", 26), fill=self._ink, anchor=anchor)

    def rule(self, y: float) -> None:
        """A thin grey line from margin to margin."""
        self.brush.line((LEFT - 6, y, RIGHT + 6, y), fill=(170, 170, 170))

    def frame(self, x: float, y: float, right: float, bottom: float) -> None:
        """An empty box."""
        self.brush.rectangle((x, y, right, bottom), outline=self._ink, width=2)

    def bar(self, x: float, y: float, right: float, bottom: float, fill: tuple[int, int, int]) -> None:
        """A filled box."""
        self.brush.rectangle((x, y, right, bottom), fill=fill)

    def png(self, rng: Random) -> bytes:
        """The picture, with a little grain."""
        return painter.develop(self.sheet, rng, noise=3.0)
