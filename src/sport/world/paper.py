"""The same small lists as CSV, PDF or plain text, read by ``inspect_file_as_text``; file names tell only the format."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sport.types import Need
from sport.world import document, twins
from sport.world.asking import NAME, NUMBER, Words, clear
from sport.world.base import Piece, Question, draw_fitting

FORMATS = ("csv", "pdf", "txt")
GOODS = (*document.ITEMS, "Ropes", "Saddles", "Anvils", "Barrels", "Helmets")
HEADS = (*document.HEADS, ("Name", "Pieces", "Crowns each"), ("Thing", "Quantity", "Value"))
TITLES = ("Stock list", "Warehouse", "Spring count", "What we have", "Store room")
FONTS = ("Helvetica", "Times-Roman", "Courier")
TWINS = 0.3  # share of papers that list shapes

WORDS = Words(
    "paper",
    ("", "Open the file. ", "Please look into the list: ", "It is all in the paper. ", "Help me count: "),
    {
        "number": document.CORES["number"],
        "worth": document.CORES["worth"],
        # Its first one, masked, is a wording of scenes: a split might read what another owns.
        "sum": (*document.CORES["sum"][1:], "{a} and {b}, counted as one, are how many pieces?"),
        "more": (
            "How many more {a} than {b} are listed?",
            "By how many do the {a} exceed the {b}?",
            "What is the number of {a} less that of {b}?",
            "How many {b} are missing to have as many as {a}?",
        ),
        "all": (
            "How many pieces are listed in all?",
            "What is the sum of all numbers of pieces?",
            "How many things are there, all rows taken together?",
            "What do we get when we add up all the pieces?",
        ),
        "most": (
            "Of which goods are there most pieces?",
            "What is there the most of?",
            "Which row has the greatest number of pieces?",
            "Which goods are most numerous?",
        ),
        "value": (
            "What is everything on the list worth?",
            "What do we get when all that is listed is sold?",
            "How much is the whole list worth?",
            "What is the value of all rows together?",
        ),
    },
    {"most": NAME, "number": document.CLOSINGS, "worth": document.CLOSINGS, "sum": NUMBER},
)


@dataclass(frozen=True)
class Layout:
    """Looks of a list that a split may own."""

    format: str
    heads: tuple[str, str, str]
    title: str
    rows: int
    mark: str

    def __str__(self) -> str:
        return f"paper/{self.format}/{'-'.join(self.heads)}/{self.title}/{self.rows}/{self.mark}"


def _layout(rng: Random) -> Layout:
    form = rng.choice(FORMATS)
    mark = {"csv": (",",), "pdf": FONTS, "txt": (": ", " - ", "  ")}[form]
    title = "" if form == "csv" else rng.choice(TITLES)
    return Layout(form, rng.choice(HEADS), title, rng.randint(3, 8), rng.choice(mark))


def _values(layout: Layout, twin: bool, rng: Random) -> dict[str, list[int]]:
    names = twins.items(rng, layout.rows) if twin else rng.sample(GOODS, layout.rows)
    values = {name: [rng.randint(2, 60), rng.randint(3, 95)] for name in names}
    return values if clear([number for number, _ in values.values()]) else _values(layout, twin, rng)


def _write(values: dict[str, list[int]], layout: Layout) -> bytes:
    rows = [(name, str(number), str(price)) for name, (number, price) in values.items()]
    if layout.format == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([layout.heads, *rows])
        return text.getvalue().encode()
    if layout.format == "txt":
        lines = [layout.title, "", ", ".join(layout.heads)]
        lines += [f"{name}{layout.mark}{number}, {price}" for name, number, price in rows]
        return ("\n".join(lines) + "\n").encode()
    return _pdf(layout.title, [layout.heads, *rows], layout.mark)


def _pdf(title: str, rows: Sequence[Sequence[str]], font: str) -> bytes:
    """One A5 page; ``invariant`` leaves clock and random ids out, so that equal pages are equal bytes."""
    from reportlab.lib.pagesizes import A5
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A5, invariant=1)
    canvas.setFont(font, 16)
    canvas.drawString(50, 540, title)
    canvas.setFont(font, 12)
    for place, row in enumerate(rows):
        for x, cell in zip((50, 200, 290), row, strict=True):
            canvas.drawString(x, 505 - 22 * place, cell)
    canvas.save()
    return out.getvalue()


class Papers:
    """The family of lists in three formats."""

    name = "paper"

    def paint(self, split: str, rng: Random, twins_share: float = TWINS) -> Piece:
        """A list of three to eight rows: name, number, price."""
        twin = rng.random() < twins_share
        layout = draw_fitting(split, "layout", lambda: _layout(rng), str)
        values = draw_fitting(
            split, "values", lambda: _values(layout, twin, rng), lambda v: f"paper {sorted(v.items())}"
        )
        return Piece(f"file_1.{layout.format}", _write(values, layout), {"values": values, "twin": twin}, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """A number, two compared or added, worth, all pieces, the value of all, or what there is most of."""
        values: dict[str, list[int]] = piece.facts["values"]
        counts = {name: number for name, (number, _) in values.items()}
        if piece.facts["twin"]:
            return twins.ask(self.name, counts, {}, reading(piece), split, rng)
        a, b = rng.sample(list(values), 2)
        if counts[a] < counts[b]:
            a, b = b, a
        kind = rng.choice(("number", "worth", "sum", "more", "all", "value", "most"))
        if kind == "more" and counts[a] == counts[b]:
            kind = "sum"
        answers: dict[str, float | str] = {
            "number": counts[a], "worth": counts[a] * values[a][1], "sum": counts[a] + counts[b],
            "more": counts[a] - counts[b], "all": sum(counts.values()),
            "value": sum(number * price for number, price in values.values()),
            "most": max(counts, key=counts.__getitem__),
        }  # fmt: skip
        return WORDS.question(
            kind, answers[kind], (reading(piece),), split, rng, a=a.lower(), b=b.lower(), file=piece.name
        )

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of goods, or of a shape, that are not listed."""
        values = piece.facts["values"]
        if piece.facts["twin"]:
            return twins.ask_absent(self.name, values, split, rng)
        a = rng.choice([name for name in GOODS if name not in values])
        return WORDS.question(rng.choice(("number", "worth")), "", (), split, rng, a=a.lower(), b="", file=piece.name)


def reading(piece: Piece) -> Need:
    """The call that reads this document."""
    return Need(tool="inspect_file_as_text", arguments={"file": piece.name})
