"""Parcel labels, for the split ``unseen``: from, to, weight, postage, read by ``ocr``; the corpus knows the towns."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sport.types import Json
from sport.world import corpus
from sport.world.asking import NAME, OCR, SEARCH, Words, money, price
from sport.world.base import Piece, Question, draw_fitting
from sport.world.page import LEFT, Page, Style, style

WORDS = Words(
    "parcel",
    ("", "A parcel came. ", "From the label on the box: ", "I am at the post office. ", "About this parcel: "),
    {
        "to": (
            "To which town does it go?",
            "Where is the parcel sent?",
            "In what town is it handed over?",
            "What is its destination?",
        ),
        "postage": (
            "What is the postage for {k} such parcels?",
            "How much is the postage when {k} of these are sent?",
            "{k} parcels like this need what postage?",
            "What must be paid to send {k} of them?",
        ),
        "weight": (
            "How many kilograms do {k} such parcels weigh?",
            "What is the weight of {k} of these, in kilograms?",
            "{k} parcels like this weigh how many kilograms?",
            "How heavy, in kilograms, are {k} of them?",
        ),
        "people": (
            "How many people live in the town it goes to?",
            "The parcel goes to a town of how many people?",
            "What is the number of people where it is sent?",
            "Its destination has how many people?",
        ),
    },
    {"to": NAME},
)


@dataclass(frozen=True)
class Layout:
    """Looks of a parcel label that a split may own."""

    style: Style
    near: bool
    framed: bool
    first: str

    def __str__(self) -> str:
        return f"parcel/{self.style}/{self.near}/{self.framed}/{self.first}"


def _layout(rng: Random) -> Layout:
    return Layout(style(rng), rng.random() < 0.5, rng.random() < 0.5, rng.choice(("From", "To", "Weight")))


def _values(rng: Random) -> dict[str, Json]:
    sender, receiver = rng.sample(list(corpus.values("town")), 2)
    return {"From": sender, "To": receiver, "Weight": price(rng, 0.4, 9.9), "Postage": price(rng, 1.1, 19.9)}


def _draw(values: dict[str, Json], layout: Layout, rng: Random) -> bytes:
    page = Page(layout.style)
    shown = {
        "From": values["From"], "To": values["To"], "Weight": f"{values['Weight']} kg",
        "Postage": money(values["Postage"]),
    }  # fmt: skip
    for place, name in enumerate(sorted(shown, key=lambda name: name != layout.first)):
        y = 90 + place * 70
        page.write(LEFT + 20, y, f"{name}:")
        page.write(LEFT + (150 if layout.near else 230), y, shown[name])
    if layout.framed:
        page.frame(LEFT, 60, 418, 390)
    return page.png(rng)


class Parcels:
    """The family of parcel labels."""

    name = "parcel"

    def paint(self, split: str, rng: Random) -> Piece:
        """One label with four rows."""
        layout = draw_fitting(split, "layout", lambda: _layout(rng), str)
        values = draw_fitting(split, "values", lambda: _values(rng), lambda v: f"parcel {sorted(v.items())}")
        return Piece("image_1.png", _draw(values, layout, rng), {"values": values}, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """The destination, several times weight or postage, or how many people live at the destination."""
        values = piece.facts["values"]
        kind, k = rng.choice(("to", "postage", "weight", "people")), rng.randint(2, 9)
        answers: dict[str, float | str] = {
            "to": values["To"], "postage": values["Postage"] * k, "weight": values["Weight"] * k,
            "people": corpus.values("town")[values["To"]],
        }  # fmt: skip
        needs = (OCR, SEARCH) if kind == "people" else (OCR,)
        return WORDS.question(kind, answers[kind], needs, split, rng, k=k)

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of what stands on no parcel label."""
        words = Words(self.name, WORDS.openings, {"to": ABSENT}, {})
        return words.question("to", "", (), split, rng)


ABSENT = (
    "How many centimetres wide is it?",
    "What is the name of the man who sent it?",
    "How many crowns is it insured for?",
    "On what day was it packed?",
)
