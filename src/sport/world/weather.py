"""Weather tables, for the split ``unseen``: night, day and rain of some days, read by ``ocr``."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sport.world.asking import NAME, OCR, Words, clear
from sport.world.base import Piece, Question, draw_fitting
from sport.world.page import LEFT, RIGHT, Page, Style, style

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HEADS = (("Day", "Low", "High", "Rain"), ("", "Night", "Noon", "Rain"), ("Day", "Min", "Max", "Wet"))

WORDS = Words(
    "weather",
    ("", "Here is the forecast. ", "From the weather page: ", "We plan a walk. ", "Weather question: "),
    {
        "high": (
            "How warm does it get on {a}?",
            "What is the highest temperature of {a}?",
            "How many degrees does {a} reach?",
            "What is the warmest it will be on {a}?",
        ),
        "range": (
            "How many degrees lie between the coldest and the warmest of {a}?",
            "By how many degrees does it warm up on {a}?",
            "What is the range of degrees on {a}?",
            "From low to high, how many degrees does {a} have?",
        ),
        "rain": (
            "How many millimetres of rain fall on {a} and {b} together?",
            "What is the rain of {a} plus that of {b}, in millimetres?",
            "On {a} and {b}, how much rain is there in all?",
            "Added up, how many millimetres do {a} and {b} bring?",
        ),
        "warmest": (
            "Which day is the warmest?",
            "On what day does the temperature climb highest?",
            "What day has the greatest high?",
            "Which day gets hottest?",
        ),
    },
    {"warmest": NAME},
)


@dataclass(frozen=True)
class Layout:
    """Looks of a weather table that a split may own."""

    style: Style
    heads: tuple[str, str, str, str]
    rows: int
    ruled: bool

    def __str__(self) -> str:
        return f"weather/{self.style}/{'-'.join(self.heads)}/{self.rows}/{self.ruled}"


def _layout(rng: Random) -> Layout:
    return Layout(style(rng), rng.choice(HEADS), rng.randint(3, 6), rng.random() < 0.5)


def _values(layout: Layout, rng: Random) -> dict[str, list[int]]:
    """Low, high and rain of days that follow one another."""
    first, rows = rng.randrange(7), {}
    for day in range(layout.rows):
        low = rng.randint(10, 17)
        rows[DAYS[(first + day) % 7]] = [low, low + rng.randint(3, 15), rng.randint(10, 40)]
    return rows if clear([high for _, high, _ in rows.values()]) else _values(layout, rng)


def _draw(values: dict[str, list[int]], layout: Layout, rng: Random) -> bytes:
    page = Page(layout.style)
    columns = ((LEFT, "la"), (240, "ra"), (324, "ra"), (RIGHT, "ra"))
    for place, cells in enumerate((layout.heads, *((day, *map(str, row)) for day, row in values.items()))):
        y = 34 + place * 56
        for (x, anchor), cell in zip(columns, cells, strict=True):
            page.write(x, y, cell, anchor)
        if layout.ruled or not place:
            page.rule(y + 42)
    return page.png(rng)


class Weather:
    """The family of weather tables."""

    name = "weather"

    def paint(self, split: str, rng: Random) -> Piece:
        """Three to six days."""
        layout = draw_fitting(split, "layout", lambda: _layout(rng), str)
        values = draw_fitting(split, "values", lambda: _values(layout, rng), lambda v: f"weather {sorted(v.items())}")
        return Piece("image_1.png", _draw(values, layout, rng), {"values": values}, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """A day's high, its range, two days' rain, or the warmest day."""
        values: dict[str, list[int]] = piece.facts["values"]
        a, b = rng.sample(list(values), 2)
        kind = rng.choice(("high", "range", "rain", "warmest"))
        answers: dict[str, float | str] = {
            "high": values[a][1], "range": values[a][1] - values[a][0], "rain": values[a][2] + values[b][2],
            "warmest": max(values, key=lambda day: values[day][1]),
        }  # fmt: skip
        return WORDS.question(kind, answers[kind], (OCR,), split, rng, a=a, b=b)

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of a day that is not in the table."""
        a = rng.choice([day for day in DAYS if day not in piece.facts["values"]])
        return WORDS.question(rng.choice(("high", "range")), "", (), split, rng, a=a, b="")
