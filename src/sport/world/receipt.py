"""Receipts: goods with quantity and price, with or without their total, read by ``ocr``. Some list shapes (twins)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sport.world import painter, twins
from sport.world.asking import OCR, Words, money, price
from sport.world.base import Piece, Question, draw_fitting
from sport.world.page import LEFT, RIGHT, Page, Style, style

GOODS = ("Soap", "Candles", "Matches", "Pencils", "Towels", "Sponges", "Plates", "Ribbons", "Batteries", "Brushes")
SHOPS = ("Corner Shop", "Mill Street Store", "Blue Door Market", "Old Town Traders", "Harbour Goods")
THANKS = ("Thank you", "Please come again", "Have a good day")
TWINS = 0.6  # share of receipts that list shapes

WORDS = Words(
    "receipt",
    ("", "Have a look at the receipt. ", "From the bill: ", "We went shopping. ", "Help me with this: "),
    {
        "number": (
            "How many {a} did we buy?",
            "What quantity of {a} was bought?",
            "The receipt has how many {a}?",
            "For how many {a} did we pay?",
        ),
        "price": (
            "What is the price of one of the {a}?",
            "How much was a single piece of the {a}?",
            "What did each of the {a} cost?",
            "At what price were the {a} sold, a piece?",
        ),
        "line": (
            "What did we pay for all the {a}?",
            "How much did the {a} cost altogether?",
            "What do all {a} on the receipt come to?",
            "How much money went into {a}?",
        ),
        "both": (
            "What did the {a} and the {b} cost in total?",
            "How much did we spend on {a} and {b}?",
            "What do all the {a} and all the {b} come to?",
            "How much money went into {a} and {b} combined?",
        ),
        "bill": (
            "What does the whole purchase come to?",
            "How much was spent in all?",
            "What is the sum of the whole bill?",
            "How much did everything cost?",
        ),
        "change": (
            "We handed over {k} crowns. How much came back?",
            "What is the change from {k} crowns?",
            "If I pay with {k} crowns, what do I get back?",
            "How much is left of {k} crowns after paying?",
        ),
    },
    {},
)


@dataclass(frozen=True)
class Layout:
    """Looks of a receipt that a split may own."""

    style: Style
    times: bool
    rows: int
    total: bool
    thanks: str
    twin: bool

    def __str__(self) -> str:
        return f"receipt/{self.style}/{self.times}/{self.rows}/{self.total}/{self.thanks}/{self.twin}"


def _layout(rng: Random, twin: bool) -> Layout:
    return Layout(
        style(rng), rng.random() < 0.5, rng.randint(3, 6), rng.random() < 0.4, rng.choice(("", *THANKS)), twin
    )


def _values(layout: Layout, rng: Random) -> dict[str, list[float]]:
    names: Sequence[str] = twins.items(rng, layout.rows) if layout.twin else rng.sample(GOODS, layout.rows)
    return {name: [rng.randint(2, 19), price(rng, 0.3, 9.9)] for name in names}


def _draw(values: dict[str, list[float]], layout: Layout, rng: Random) -> bytes:
    page = Page(layout.style)
    page.head(22, rng.choice(SHOPS))
    top = 76
    if not layout.times:
        for x, anchor, head in ((LEFT, "la", "Goods"), (280, "ra", "Qty"), (RIGHT, "ra", "Price")):
            page.write(x, top, head, anchor)
        top += 36
    page.rule(top - 6)
    for place, (name, (number, each)) in enumerate(values.items()):
        y = top + 4 + place * 40
        page.write(LEFT, y, name)
        if layout.times:
            page.write(RIGHT, y, f"{number} x {money(each)}", "ra")
        else:
            page.write(280, y, str(number), "ra")
            page.write(RIGHT, y, money(each), "ra")
    _foot(page, values, layout, top + 8 + 40 * len(values))
    return page.png(rng)


def _foot(page: Page, values: dict[str, list[float]], layout: Layout, y: float) -> None:
    page.rule(y)
    if layout.total:
        page.write(LEFT, y + 8, "Total")
        page.write(RIGHT, y + 8, money(_bill(values)), "ra")
    if layout.thanks:
        page.write(painter.SIDE / 2, y + 44, layout.thanks, "ma")


def _bill(values: dict[str, list[float]]) -> float:
    return round(sum(number * each for number, each in values.values()), 2)


class Receipts:
    """The family of receipts."""

    name = "receipt"

    def paint(self, split: str, rng: Random) -> Piece:
        """A receipt with three to six rows."""
        twin = rng.random() < TWINS
        layout = draw_fitting(split, "layout", lambda: _layout(rng, twin), str)
        values = draw_fitting(split, "values", lambda: _values(layout, rng), lambda v: f"receipt {sorted(v.items())}")
        facts = {"values": values, "twin": twin, "total": layout.total}
        return Piece("image_1.png", _draw(values, layout, rng), facts, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """A quantity, a price, what one or two goods cost, the whole bill, or the change."""
        values: dict[str, list[float]] = piece.facts["values"]
        if piece.facts["twin"]:
            return twins.ask(self.name, _counts(values), {}, OCR, split, rng)
        a, b = rng.sample(list(values), 2)
        kind = rng.choice(("number", "price", "line", "both", "bill", "change"))
        lines = {name: number * each for name, (number, each) in values.items()}
        bill = _bill(values)
        k = (int(bill) // 50 + rng.randint(1, 2)) * 50
        answers: dict[str, float | str] = {
            "number": values[a][0], "price": values[a][1], "line": lines[a], "both": lines[a] + lines[b],
            "bill": bill, "change": k - bill,
        }  # fmt: skip
        return _question(kind, answers[kind], a, b, k, split, rng)

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of goods, or of a shape, that were not bought."""
        values = piece.facts["values"]
        if piece.facts["twin"]:
            return twins.ask_absent(self.name, _counts(values), split, rng)
        a = rng.choice([name for name in GOODS if name not in values])
        return _question(rng.choice(("number", "price", "line")), "", a, "", 0, split, rng)


def _question(kind: str, answer: float | str, a: str, b: str, k: int, split: str, rng: Random) -> Question:
    needs = (OCR,) if answer != "" else ()
    return WORDS.question(kind, answer, needs, split, rng, a=a.lower(), b=b.lower(), k=k)


def _counts(values: dict[str, list[float]]) -> dict[str, int]:
    return {name: int(number) for name, (number, _) in values.items()}
