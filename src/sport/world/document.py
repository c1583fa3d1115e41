"""Stock lists: small spreadsheets with an item, a number and a price a row, read by ``inspect_file_as_text``."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, replace
from random import Random

from openpyxl import Workbook

from sport.types import Need
from sport.world.base import Piece, Question, draw_fitting, word

ITEMS = ("Lamps", "Chairs", "Kettles", "Blankets", "Mirrors", "Clocks", "Vases", "Ladders", "Buckets", "Brooms")
HEADS = (("Item", "Number", "Price"), ("Goods", "Count", "Cost"), ("Article", "Stock", "Unit price"))
TITLES = ("", "Stock list", "Warehouse", "Spring count")
OPENINGS = ("", "Open the list. ", "Please check the file: ", "From the spreadsheet: ", "Quick question: ")
CLOSINGS = ("", " Give a number.", " Answer with the number only.", " A plain number, please.")
CORES = {
    "number": (
        "How many {a} are in stock?",
        "How many {a} do we have?",
        "What number of {a} is listed?",
        "The list has how many {a}?",
    ),
    "worth": (
        "What are all the {a} worth together?",
        "What is the value of all {a}?",
        "Number times price for the {a} is what?",
        "How much would we get for all the {a}?",
    ),
    "sum": (
        "How many {a} and {b} are in stock together?",
        "What do {a} and {b} add up to in number?",
        "Add the {a} to the {b}: how many pieces?",
        "{a} and {b} taken together are how many pieces?",
    ),
}


@dataclass(frozen=True)
class Layout:
    """Looks of a spreadsheet that a split may own."""

    heads: tuple[str, str, str]
    title: str
    rows: int
    sheet: str

    def __str__(self) -> str:
        return f"document/{'-'.join(self.heads)}/{self.title}/{self.rows}/{self.sheet}"


def _layout(rng: Random) -> Layout:
    return Layout(rng.choice(HEADS), rng.choice(TITLES), rng.randint(4, 8), rng.choice(("Sheet1", "Stock", "Data")))


def _values(layout: Layout, rng: Random) -> dict[str, list[int]]:
    return {name: [rng.randint(2, 60), rng.randint(3, 95)] for name in rng.sample(ITEMS, layout.rows)}


def _write(values: dict[str, list[int]], layout: Layout) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = layout.sheet
    if layout.title:
        sheet.append([layout.title])
    sheet.append(list(layout.heads))
    for name, (number, price) in values.items():
        sheet.append([name, number, price])
    out = io.BytesIO()
    book.save(out)
    return _without_clock(out.getvalue())


def _without_clock(data: bytes) -> bytes:
    """The same workbook without the hour of its making: bytes depend on the seed alone, so content hashes repeat."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2000-01-01T00:00:00Z", old.read(name))
            new.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


class Documents:
    """The family of stock lists."""

    name = "document"

    def paint(self, split: str, rng: Random) -> Piece:
        """A spreadsheet with four to eight rows."""
        layout = draw_fitting(split, "layout", lambda: _layout(rng), str)
        values = draw_fitting(split, "values", lambda: _values(layout, rng), lambda v: f"document {sorted(v.items())}")
        return Piece("file_1.xlsx", _write(values, layout), {"values": values}, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """A number, number times price, or two numbers added."""
        values: dict[str, list[int]] = piece.facts["values"]
        a, b = rng.sample(list(values), 2)
        kind = rng.choice(("number", "worth", "sum"))
        answer = {
            "number": values[a][0],
            "worth": values[a][0] * values[a][1],
            "sum": values[a][0] + values[b][0],
        }[kind]
        return self._question(kind, a, b if kind == "sum" else None, split, rng, str(answer))

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of goods that are not listed."""
        a = rng.choice([name for name in ITEMS if name not in piece.facts["values"]])
        return replace(self._question(rng.choice(("number", "worth")), a, None, split, rng, ""), needs=())

    def _question(self, kind: str, a: str, b: str | None, split: str, rng: Random, answer: str) -> Question:
        wording = word(split, rng, OPENINGS, CORES[kind], CLOSINGS)
        query = wording.format(a=a.lower(), b=(b or "").lower())
        needs = (Need(tool="inspect_file_as_text", arguments={"file": "file_1.xlsx"}),)
        slots = {"a": a, "b": b}
        return Question(query[0].upper() + query[1:], answer, needs, wording, f"document.{kind}", slots)
