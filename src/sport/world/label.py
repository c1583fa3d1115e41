"""Nutrition labels: a list of nutrients with grams or milligrams, read by ``ocr``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from sport.types import Need
from sport.world import painter
from sport.world.base import Piece, Question, draw_fitting, word

NUTRIENTS = {
    "Sugar": ("g", 2, 48),
    "Fat": ("g", 1, 39),
    "Protein": ("g", 2, 45),
    "Fibre": ("g", 1, 19),
    "Starch": ("g", 3, 60),
    "Salt": ("mg", 20, 950),
    "Iron": ("mg", 2, 30),
    "Calcium": ("mg", 40, 900),
    "Potassium": ("mg", 60, 980),
    "Magnesium": ("mg", 15, 390),
}
PRODUCTS = ("Oat Bar", "Rye Crisps", "Plum Yogurt", "Bean Soup", "Corn Flakes", "Nut Mix", "Apple Juice", "Fish Pie")
UNITS = {"g": "grams", "mg": "milligrams"}
OPENINGS = ("", "Please check the label: ", "Look at the label. ", "I am reading this pack. ", "Quick question: ")
CLOSINGS = ("", " Give a number.", " Answer with the number only.", " A plain number, please.")
CORES = {
    "one": (
        "How many {unit} of {a} are in one serving?",
        "How much {a} does one serving have, in {unit}?",
        "What amount of {a}, in {unit}, is printed for a serving?",
        "One serving gives me how many {unit} of {a}?",
    ),
    "times": (
        "How many {unit} of {a} are in {k} servings?",
        "I eat {k} servings. How many {unit} of {a} is that?",
        "What do {k} servings hold of {a}, in {unit}?",
        "How much {a} do {k} servings add up to, in {unit}?",
    ),
    "more": (
        "How many more {unit} of {a} than {b} are in a serving?",
        "By how many {unit} does {a} exceed {b}?",
        "What separates {a} from {b}, in {unit}?",
        "How far is {a} above {b} in {unit}?",
    ),
    "sum": (
        "How many {unit} do {a} and {b} make together?",
        "What is the sum of {a} and {b} in {unit}?",
        "Add {a} and {b}: how many {unit} is that?",
        "{a} and {b} in one serving, together, are how many {unit}?",
    ),
}


@dataclass(frozen=True)
class Layout:
    """Everything about a label's looks that a split may own."""

    font: str
    paper: str
    columns: str
    rule: str
    size: int

    def __str__(self) -> str:
        return f"label/{self.font}/{self.paper}/{self.columns}/{self.rule}/{self.size}"


def _layout(rng: Random) -> Layout:
    return Layout(
        rng.choice(painter.FONTS), rng.choice(list(painter.PAPERS)), rng.choice(("near", "right")),
        rng.choice(("none", "box", "lines")), rng.choice((22, 24, 26)),
    )  # fmt: skip


def _values(rng: Random) -> dict[str, int]:
    names = rng.sample(list(NUTRIENTS), rng.randint(4, 7))
    return {name: rng.randint(*NUTRIENTS[name][1:]) for name in names}


def _draw(product: str, values: dict[str, int], layout: Layout, rng: Random, blur: float) -> bytes:
    sheet, brush = painter.paper(layout.paper)
    title, line = painter.font("DejaVuSans-Bold", 28), painter.font(layout.font, layout.size)
    ink = rng.choice(("black", (20, 20, 60), (60, 20, 20)))
    brush.text((34, 24), "Nutrition Facts", font=title, fill=ink)
    brush.text((34, 64), product, font=line, fill=ink)
    step = min(50, 320 // len(values))
    for place, (name, value) in enumerate(values.items()):
        y, amount = 106 + place * step, f"{value} {NUTRIENTS[name][0]}"
        brush.text((34, y), name, font=line, fill=ink)
        right = 414 - brush.textlength(amount, font=line)
        left = 34 + brush.textlength(f"{name}  ", font=line)
        brush.text((left if layout.columns == "near" else right, y), amount, font=line, fill=ink)
        if layout.rule == "lines":
            brush.line((30, y + step - 6, 418, y + step - 6), fill=(170, 170, 170))
    if layout.rule == "box":
        brush.rectangle((18, 12, 430, 436), outline=ink, width=2)
    return painter.develop(sheet, rng, blur=blur)


class Labels:
    """The family of nutrition labels."""

    name = "label"

    def paint(self, split: str, rng: Random, blur: float = 0.0) -> Piece:
        """A label with four to seven nutrients; ``blur`` in pixels makes it unreadable."""
        layout = draw_fitting(split, "layout", lambda: _layout(rng), str)
        values = draw_fitting(split, "values", lambda: _values(rng), lambda v: f"label {sorted(v.items())}")
        product = rng.choice(PRODUCTS)
        data = _draw(product, values, layout, rng, blur)
        return Piece("image_1.png", data, {"product": product, "values": values}, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """One value, a multiple, a difference or a sum."""
        values: dict[str, int] = piece.facts["values"]
        kind = rng.choices(("one", "times", "more", "sum"), (2, 3, 2, 2))[0]
        a, b = _two(values, rng)
        if kind in ("more", "sum") and b is None:
            kind = "times"
        k = rng.randint(2, 9)
        answer = {
            "one": values[a],
            "times": values[a] * k,
            "more": values[a] - values[b] if b else 0,
            "sum": values[a] + values[b] if b else 0,
        }[kind]
        return self._question(kind, a, b, k, split, rng, str(answer))

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of a nutrient that is not on the label."""
        missing = rng.choice([name for name in NUTRIENTS if name not in piece.facts["values"]])
        kind = rng.choice(("one", "times"))
        asked = self._question(kind, missing, None, rng.randint(2, 9), split, rng, "")
        return replace(asked, needs=())

    def _question(self, kind: str, a: str, b: str | None, k: int, split: str, rng: Random, answer: str) -> Question:
        wording = word(split, rng, OPENINGS, CORES[kind], CLOSINGS)
        slots = {"a": a, "b": b, "k": k, "unit": NUTRIENTS[a][0]}
        query = wording.format(unit=UNITS[NUTRIENTS[a][0]], a=a.lower(), b=(b or "").lower(), k=k)
        needs = (Need(tool="ocr", arguments={"image": "image_1.png"}),)
        return Question(query[0].upper() + query[1:], answer, needs, wording, f"label.{kind}", slots)


def _two(values: dict[str, int], rng: Random) -> tuple[str, str | None]:
    """Two nutrients of one unit, the greater first; the second is None when no unit has two different values."""
    a = rng.choice(list(values))
    others = [n for n in values if n != a and NUTRIENTS[n][0] == NUTRIENTS[a][0] and values[n] != values[a]]
    if not others:
        return a, None
    b = rng.choice(others)
    return (a, b) if values[a] > values[b] else (b, a)
