"""A picture or a list together with a fact from the corpus: three or four steps with two tools.

The picture shows one part of what is asked (a price, an amount, a town), ``search`` the other (what money is worth, a
daily limit, a road). Neither is enough alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from sport.world import corpus, label
from sport.world.asking import OCR, SEARCH, Words, plain
from sport.world.base import Piece, Question
from sport.world.chart import Charts
from sport.world.label import Labels
from sport.world.menu import DISHES, Menus
from sport.world.paper import GOODS, Papers, reading
from sport.world.timetable import Timetables, clock

WORDS = Words(
    "lookup",
    ("", "This needs a look-up. ", "You may have to search: ", "Not all is in the file. ", "Help me with this: "),
    {
        "limit": (
            "What per cent of the daily limit of {a} do {k} servings hold?",
            "{k} servings use up how many per cent of the daily limit of {a}?",
            "In per cent of the daily limit, how much {a} is in {k} servings?",
            "What share of the daily limit of {a}, in per cent, comes with {k} servings?",
        ),
        "fit": (
            "How many whole servings stay within the daily limit of {a}?",
            "At most how many full servings keep to the daily limit of {a}?",
            "The daily limit of {a} allows how many whole servings?",
            "How often may a full serving be had before the daily limit of {a} is passed?",
        ),
        "money": (
            "What does the {a} cost in {c}?",
            "How many {c} must I pay for the {a}?",
            "The price of the {a} is how many {c}?",
            "I only have {c}. What is the {a} in that money?",
        ),
        "moneys": (
            "What do the {a} and the {b} cost together in {c}?",
            "How many {c} are one {a} and one {b}?",
            "I pay for {a} and {b} in {c}. How many is that?",
            "The {a} plus the {b} make how many {c}?",
        ),
        "people": (
            "How many people live where the {v} at {t} goes?",
            "The {v} at {t} goes to a town of how many people?",
            "What is the number of people in the town that is reached with the {v} at {t}?",
            "Leaving at {t}, I come to a town with how many people?",
        ),
        "road": (
            "How many kilometres is the road from {h} to where the {v} at {t} goes?",
            "I drive from {h} instead of taking the {v} at {t}. How long is the road, in kilometres?",
            "The {v} at {t} leaves {h}. By road, how many kilometres is its way?",
            "In kilometres, how long is the road that the {v} at {t} takes from {h}?",
        ),
        "museum": (
            "How many minutes before the museum of {a} opens does the {v} to {a} leave?",
            "When the {v} to {a} leaves, in how many minutes does the museum of {a} open?",
            "I take the {v} to {a}. How many minutes from leaving until the museum of {a} opens?",
            "The museum of {a} opens how many minutes after the {v} to {a} has left?",
        ),
        "weight": (
            "How many kilograms does the {a} weigh that we have in stock?",
            "What is the weight of all our {a}, in kilograms?",
            "All the {a} in stock makes how many kilograms?",
            "In kilograms, how heavy is our whole {a}?",
        ),
        "worth": (
            "What are all the {a} worth in {c}?",
            "How many {c} do we get for all the {a}?",
            "The {a} on the list, all of them, are worth how many {c}?",
            "Prices are in crowns. How many {c} is our stock of {a}?",
        ),
    },
    {},
)

Asker = Callable[[str, Piece, str, Random], Question | None]


class Lookups:
    """Questions of another family's pieces that the corpus helps to answer."""

    name = "lookup"

    def paint(self, split: str, rng: Random) -> Piece:
        """A label, a menu, a timetable, a chart of materials, or a list."""
        base = rng.choice(tuple(KINDS))
        piece = _PAINT[base](split, rng)
        return replace(piece, facts={**piece.facts, "base": base})

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """One of the kinds that fit what was painted."""
        kinds, asker = KINDS[piece.facts["base"]]
        asked = None
        while asked is None:
            asked = asker(rng.choice(kinds), piece, split, rng)
        return asked

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of something that the piece does not show, although the corpus may know it."""
        base, shown = piece.facts["base"], piece.facts["values"]
        known = {
            "label": tuple(label.NUTRIENTS), "menu": DISHES, "timetable": tuple(corpus.values("museum")),
            "chart": tuple(corpus.values("material")), "paper": GOODS,
        }[base]  # fmt: skip
        a = rng.choice([name for name in known if name not in shown])
        kind = {"label": "fit", "menu": "money", "timetable": "museum", "chart": "weight", "paper": "worth"}[base]
        said = a if base == "timetable" else a.lower()
        c, v = rng.choice(list(corpus.values("currency"))), piece.facts.get("vehicle", "")
        return WORDS.question(kind, "", (), split, rng, a=said, c=c, v=v, base=base, file=piece.name)


def _of_label(kind: str, piece: Piece, split: str, rng: Random) -> Question | None:
    a = rng.choice(list(piece.facts["values"]))
    value, most, k = piece.facts["values"][a], corpus.values("limit")[a], rng.randint(2, 6)
    answer = k * value * 100 / most if kind == "limit" else most // value
    return _question(kind, answer, piece, split, rng, a=a.lower(), k=k)


def _of_menu(kind: str, piece: Piece, split: str, rng: Random) -> Question | None:
    a, b = rng.sample(list(piece.facts["values"]), 2)
    c, rate = rng.choice(list(corpus.values("currency").items()))
    price = piece.facts["values"][a] + (piece.facts["values"][b] if kind == "moneys" else 0)
    return _question(kind, price * rate, piece, split, rng, a=a.lower(), b=b.lower(), c=c)


def _of_timetable(kind: str, piece: Piece, split: str, rng: Random) -> Question | None:
    hub, rows = piece.facts["hub"], piece.facts["values"]
    a = rng.choice(list(rows))
    leaves = rows[a][1]
    if kind == "museum":
        if a not in corpus.values("museum"):
            return None
        answer = corpus.values("museum")[a] - leaves
    else:
        answer = corpus.values("town")[a] if kind == "people" else corpus.values("road")[f"{hub} {a}"]
    vehicle = piece.facts["vehicle"]
    return _question(kind, answer, piece, split, rng, a=a, h=hub, t=clock(leaves), v=vehicle)


def _of_chart(kind: str, piece: Piece, split: str, rng: Random) -> Question | None:
    a = rng.choice(list(piece.facts["values"]))
    answer = piece.facts["values"][a] * corpus.values("material")[a]
    return _question(kind, answer, piece, split, rng, a=a.lower())


def _of_paper(kind: str, piece: Piece, split: str, rng: Random) -> Question | None:
    a = rng.choice(list(piece.facts["values"]))
    number, price = piece.facts["values"][a]
    c, rate = rng.choice(list(corpus.values("currency").items()))
    return _question(kind, number * price * rate, piece, split, rng, a=a.lower(), c=c)


def _question(kind: str, answer: float, piece: Piece, split: str, rng: Random, **slots: str | int) -> Question:
    look = OCR if piece.name.endswith(".png") else reading(piece)
    file = piece.name
    return WORDS.question(kind, plain(answer), (look, SEARCH), split, rng, base=piece.facts["base"], file=file, **slots)


KINDS: Mapping[str, tuple[tuple[str, ...], Asker]] = {
    "label": (("limit", "fit"), _of_label),
    "menu": (("money", "moneys"), _of_menu),
    "timetable": (("people", "road", "museum"), _of_timetable),
    "chart": (("weight",), _of_chart),
    "paper": (("worth",), _of_paper),
}
"""What can be asked of each kind of piece."""

_PAINT: Mapping[str, Callable[[str, Random], Piece]] = {
    "label": Labels().paint,
    "menu": lambda split, rng: Menus().paint(split, rng, twins_share=0.0),
    "timetable": Timetables().paint,
    "chart": lambda split, rng: Charts().paint(split, rng, theme="stock"),
    "paper": lambda split, rng: Papers().paint(split, rng, twins_share=0.0),
}
