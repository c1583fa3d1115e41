"""Menus and price tags: dishes or goods with prices, some in sections, read by ``ocr``. Some list shapes (twins)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from sport.world import twins
from sport.world.asking import NAME, OCR, Words, clear, money, price
from sport.world.base import Piece, Question, draw_fitting
from sport.world.page import LEFT, RIGHT, Page, Style, style

SECTIONS: Mapping[str, Sequence[str]] = {
    "Food": ("Noodles", "Dumplings", "Porridge", "Lentils", "Pancakes", "Risotto", "Salad", "Stew"),
    "Drinks": ("Cocoa", "Lemonade", "Coffee", "Cider", "Milk", "Tea"),
}
DISHES = tuple(dish for section in SECTIONS.values() for dish in section)
TITLES = ("Menu", "Today", "The Green Table", "Garden Kitchen", "Our dishes")
FORMS = ("list", "sections", "tags")
TWINS = 0.5  # share of menus that are stock boards of shapes

WORDS = Words(
    "menu",
    ("", "Take the menu. ", "I am at the table: ", "We want to order. ", "Help me choose: "),
    {
        "price": (
            "What does the {a} cost?",
            "How much do I pay for the {a}?",
            "What price has the {a}?",
            "How many crowns is one {a}?",
        ),
        "times": (
            "What do {k} portions of {a} cost?",
            "How much are {k} orders of {a}?",
            "{k} of us take the {a}. What is the price?",
            "What must I pay for the {a}, taken {k} times?",
        ),
        "both": (
            "What do the {a} and the {b} cost together?",
            "How much is one {a} with one {b}?",
            "I order {a} and {b}. What is the sum?",
            "What is to be paid for {a} plus {b}?",
        ),
        "more": (
            "How much dearer is the {a} than the {b}?",
            "By how much does the {a} exceed the {b} in price?",
            "What do I save with the {b} instead of the {a}?",
            "How many crowns lie between the {a} and the cheaper {b}?",
        ),
        "afford": (
            "How many orders of {a} can I pay with {k} crowns?",
            "I have {k} crowns. How often can I take the {a}?",
            "For how many {a} are {k} crowns enough?",
            "With {k} crowns, what is the greatest number of {a} to order?",
        ),
        "cheapest": (
            "What is the cheapest thing to order?",
            "Which item costs least?",
            "What has the lowest price?",
            "Which one would cost me the least?",
        ),
        "dearest": (
            "What is the most expensive thing to order?",
            "Which item costs most?",
            "What has the highest price?",
            "Which one would cost me the most?",
        ),
    },
    {"cheapest": NAME, "dearest": NAME},
)


@dataclass(frozen=True)
class Layout:
    """Looks of a menu that a split may own."""

    style: Style
    form: str
    rows: int
    title: str
    near: bool

    def __str__(self) -> str:
        return f"menu/{self.style}/{self.form}/{self.rows}/{self.title}/{self.near}"


def _layout(rng: Random, twin: bool) -> Layout:
    form, title = ("board", "") if twin else (rng.choice(FORMS), rng.choice(TITLES))
    return Layout(style(rng), form, rng.randint(4, 7), "" if form == "tags" else title, rng.random() < 0.4)


def _values(layout: Layout, rng: Random) -> dict[str, float]:
    if layout.form == "board":
        return {name: rng.randint(2, 60) for name in twins.items(rng, layout.rows)}
    names = rng.sample(DISHES, layout.rows)
    if layout.form == "sections":
        names.sort(key=lambda name: name in SECTIONS["Drinks"])
    prices = {name: price(rng, 1.1, 14.9) for name in names}
    return prices if clear(list(prices.values())) else _values(layout, rng)


def _draw(values: dict[str, float], layout: Layout, rng: Random) -> bytes:
    page = Page(layout.style)
    if layout.form == "tags":
        _tags(page, values)
        return page.png(rng)
    y = 30
    if layout.title:
        page.head(y - 8, layout.title)
        y += 42
    section = ""
    for name, value in values.items():
        home = next((s for s, dishes in SECTIONS.items() if name in dishes), "")
        if layout.form == "sections" and home != section:
            section = home
            page.head(y + 4, section, "la")
            y += 42
        text = str(value) if layout.form == "board" else money(value)
        page.write(LEFT, y, name)
        page.write(LEFT + 210 if layout.near else RIGHT, y, text, "la" if layout.near else "ra")
        y += 41
    return page.png(rng)


def _tags(page: Page, values: dict[str, float]) -> None:
    """One framed tag a row: a name, and its price beside it."""
    for place, (name, value) in enumerate(values.items()):
        y = 14 + place * 60
        x = LEFT if place % 2 == 0 else LEFT + 70
        page.frame(x, y, x + 318, y + 48)
        page.write(x + 14, y + 9, name)
        page.write(x + 304, y + 9, money(value), "ra")


class Menus:
    """The family of menus, price tags and stock boards."""

    name = "menu"

    def paint(self, split: str, rng: Random, twins_share: float = TWINS) -> Piece:
        """A menu with four to seven rows; a share of them are boards that list shapes by number instead."""
        twin = rng.random() < twins_share
        layout = draw_fitting(split, "layout", lambda: _layout(rng, twin), str)
        values = draw_fitting(split, "values", lambda: _values(layout, rng), lambda v: f"menu {sorted(v.items())}")
        return Piece("image_1.png", _draw(values, layout, rng), {"values": values, "twin": twin}, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """One price, several, two compared or added, what money is enough for, or which costs least or most."""
        values: dict[str, float] = piece.facts["values"]
        if piece.facts["twin"]:
            names = list(values)
            edges = {"top": names[0], "bottom": names[-1]}
            return twins.ask(self.name, {n: int(v) for n, v in values.items()}, edges, OCR, split, rng)
        a, b = rng.sample(list(values), 2)
        kind = rng.choice(("price", "times", "both", "more", "afford", "cheapest", "dearest"))
        if values[a] < values[b]:
            a, b = b, a
        if kind == "more" and values[a] == values[b]:
            kind = "both"
        k = rng.randint(20, 60) if kind == "afford" else rng.randint(3, 9)
        if kind == "afford" and k * 10 % round(values[a] * 10) == 0:
            kind = "times"  # spending the last coin is left out: floats may be off by one there
        answers: dict[str, float | str] = {
            "price": values[a], "times": values[a] * k, "both": values[a] + values[b], "more": values[a] - values[b],
            "afford": round(k * 10) // round(values[a] * 10), "cheapest": min(values, key=values.__getitem__),
            "dearest": max(values, key=values.__getitem__),
        }  # fmt: skip
        return WORDS.question(kind, answers[kind], (OCR,), split, rng, a=a.lower(), b=b.lower(), k=k)

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of a dish, or of a shape, that is not listed."""
        values = piece.facts["values"]
        if piece.facts["twin"]:
            return twins.ask_absent(self.name, values, split, rng)
        a = rng.choice([dish for dish in DISHES if dish not in values])
        kind = rng.choice(("price", "times"))
        return WORDS.question(kind, "", (), split, rng, a=a.lower(), b="", k=rng.randint(3, 9))
