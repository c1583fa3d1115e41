"""Timetables: lines with a town, a time to leave and a time to arrive, read by ``ocr``."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sport.world import corpus
from sport.world.asking import NAME, OCR, TIME, Words
from sport.world.base import Piece, Question, draw_fitting
from sport.world.page import LEFT, RIGHT, Page, Style, style

VEHICLES = ("bus", "train", "ferry", "coach")
HEADS = (("Line", "To", "Leaves", "Arrives"), ("No", "Town", "Dep", "Arr"), ("Line", "Place", "From", "Until"))

WORDS = Words(
    "timetable",
    ("", "Read the timetable. ", "I want to travel. ", "At the station: ", "Help me plan: "),
    {
        "leave": (
            "When does the {v} to {a} leave?",
            "At what time do I have to catch the {v} to {a}?",
            "What is the time of departure for {a}?",
            "The {v} to {a} starts when?",
        ),
        "arrive": (
            "When does the {v} get to {a}?",
            "At what time will I be in {a}?",
            "What is the time of arrival in {a}?",
            "The {v} reaches {a} when?",
        ),
        "line": (
            "Which line goes to {a}?",
            "What is the number of the {v} to {a}?",
            "Into which line must I get for {a}?",
            "{a} is served by which line?",
        ),
        "takes": (
            "How many minutes does the {v} to {a} take?",
            "How long is the ride to {a}, in minutes?",
            "For how many minutes do I sit in the {v} to {a}?",
            "In minutes, how long is one under way to {a}?",
        ),
        "wait": (
            "How many minutes after the {v} to {a} does the one to {b} leave?",
            "The {v} to {a} is gone. How many minutes later does the {b} one go?",
            "How many minutes lie between the departures for {a} and for {b}?",
            "By how many minutes does the {v} to {a} leave before that to {b}?",
        ),
        "next": (
            "Where does the first {v} after {t} go?",
            "It is {t}. To which town does the next {v} go?",
            "Which town can I reach first when I come to the stop at {t}?",
            "What is the aim of the first departure after {t}?",
        ),
    },
    {"leave": TIME, "arrive": TIME, "next": NAME},
)


@dataclass(frozen=True)
class Layout:
    """Looks of a timetable that a split may own."""

    style: Style
    heads: tuple[str, str, str, str]
    rows: int
    ruled: bool

    def __str__(self) -> str:
        return f"timetable/{self.style}/{'-'.join(self.heads)}/{self.rows}/{self.ruled}"


def _layout(rng: Random) -> Layout:
    return Layout(style(rng, (18, 20, 22)), rng.choice(HEADS), rng.randint(4, 7), rng.random() < 0.5)


def _rows(hub: str, layout: Layout, rng: Random) -> dict[str, list[int]]:
    """Line, minutes after midnight of leaving and of arriving, by town; in the order of leaving, all different."""
    towns = rng.sample(corpus.reached(hub), layout.rows)
    leaving = sorted(rng.sample(range(6 * 60, 9 * 60 + 40, 5), layout.rows))
    lines = rng.sample(range(2, 60), layout.rows)
    return {t: [n, at, at + rng.randint(11, 95)] for t, n, at in zip(towns, lines, leaving, strict=True)}


def clock(minutes: int) -> str:
    """Minutes after midnight as HH:MM."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _draw(vehicle: str, hub: str, rows: dict[str, list[int]], layout: Layout, rng: Random) -> bytes:
    page = Page(layout.style)
    page.head(20, f"{vehicle.capitalize()} from {hub}")
    columns = (LEFT, LEFT + 64, 300, RIGHT)
    for x, head, anchor in zip(columns, layout.heads, ("la", "la", "ra", "ra"), strict=True):
        page.write(x, 72, head, anchor)
    page.rule(102)
    for place, (town, (line, leaves, arrives)) in enumerate(rows.items()):
        y = 112 + place * 44
        for x, text, anchor in zip(
            columns, (str(line), town, clock(leaves), clock(arrives)), ("la", "la", "ra", "ra"), strict=True
        ):
            page.write(x, y, text, anchor)
        if layout.ruled:
            page.rule(y + 34)
    return page.png(rng)


class Timetables:
    """The family of timetables; their towns are those of the corpus."""

    name = "timetable"

    def paint(self, split: str, rng: Random) -> Piece:
        """Four to seven departures from one town."""
        layout = draw_fitting(split, "layout", lambda: _layout(rng), str)
        hub, vehicle = rng.choice(corpus.hubs()), rng.choice(VEHICLES)
        rows = draw_fitting(
            split, "values", lambda: _rows(hub, layout, rng), lambda v: f"timetable {sorted(v.items())}"
        )
        facts = {"values": rows, "hub": hub, "vehicle": vehicle}
        return Piece("image_1.png", _draw(vehicle, hub, rows, layout, rng), facts, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """A time, a line, how long a ride or a wait is, or where the next departure goes."""
        rows: dict[str, list[int]] = piece.facts["values"]
        towns = list(rows)
        first, second = sorted(rng.sample(range(len(towns)), 2))
        a, b = towns[first], towns[second]
        kind = rng.choice(("leave", "arrive", "line", "takes", "wait", "next"))
        moment = rows[a][1] + 1 if kind == "next" else 0
        answers: dict[str, float | str] = {
            "leave": clock(rows[a][1]), "arrive": clock(rows[a][2]), "line": rows[a][0],
            "takes": rows[a][2] - rows[a][1], "wait": rows[b][1] - rows[a][1], "next": towns[first + 1],
        }  # fmt: skip
        return _question(kind, answers[kind], piece, a, b, moment, split, rng)

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of a town that is not served."""
        shown = {*piece.facts["values"], piece.facts["hub"]}
        a = rng.choice([town for town in corpus.values("town") if town not in shown])
        return _question(rng.choice(("leave", "line", "takes")), "", piece, a, "", 0, split, rng)


def _question(
    kind: str, answer: float | str, piece: Piece, a: str, b: str, moment: int, split: str, rng: Random
) -> Question:
    needs = (OCR,) if answer != "" else ()
    vehicle = piece.facts["vehicle"]
    return WORDS.question(kind, answer, needs, split, rng, a=a, b=b, t=clock(moment), v=vehicle)
