"""Scoreboards of an evening's matches, for the split ``unseen``: two teams and their points a row, read by ``ocr``."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sport.world import painter
from sport.world.asking import NAME, OCR, Words
from sport.world.base import Piece, Question, draw_fitting
from sport.world.page import LEFT, RIGHT, Page, Style, style

TEAMS = ("Herons", "Martens", "Badgers", "Falcons", "Lynxes", "Ravens", "Bisons", "Foxes", "Stags", "Wolves")
TITLES = ("Results", "Final scores", "Tonight", "Round four")

WORDS = Words(
    "scoreboard",
    ("", "See the board. ", "After the matches: ", "I missed the game. ", "Sports question: "),
    {
        "points": (
            "How many points have the {a}?",
            "What did the {a} score?",
            "Next to the {a}, which score is shown?",
            "The {a} finished with how many points?",
        ),
        "lead": (
            "By how many points did the {a} beat the {b}?",
            "How big was the lead of the {a} over the {b}?",
            "What was the margin of the {a} against the {b}?",
            "How many points more than the {b} did the {a} get?",
        ),
        "match": (
            "How many points fell in the match of {a} and {b}?",
            "What did {a} and {b} score in total?",
            "Both sides counted, what did {a} against {b} bring?",
            "How many points did the {a} and the {b} make between them?",
        ),
        "best": (
            "Which team scored most?",
            "Who has the greatest number of points?",
            "Which side was the best of the evening?",
            "What team is ahead of all others in points?",
        ),
    },
    {"best": NAME},
)


@dataclass(frozen=True)
class Layout:
    """Looks of a scoreboard that a split may own."""

    style: Style
    rows: int
    title: str
    ruled: bool

    def __str__(self) -> str:
        return f"scoreboard/{self.style}/{self.rows}/{self.title}/{self.ruled}"


def _layout(rng: Random) -> Layout:
    return Layout(style(rng), rng.randint(2, 5), rng.choice(TITLES), rng.random() < 0.5)


def _values(layout: Layout, rng: Random) -> dict[str, int]:
    """Points by team; teams two by two are a match. All different, so that there is one best team."""
    teams = rng.sample(TEAMS, 2 * layout.rows)
    return dict(zip(teams, rng.sample(range(11, 99), len(teams)), strict=True))


def _draw(values: dict[str, int], layout: Layout, rng: Random) -> bytes:
    page = Page(layout.style)
    page.head(24, layout.title)
    teams = list(values)
    for place in range(layout.rows):
        y = 88 + place * 66
        home, guest = teams[2 * place : 2 * place + 2]
        page.write(LEFT, y, home)
        page.write(painter.SIDE / 2 - 14, y, str(values[home]), "ra")
        page.write(painter.SIDE / 2 + 14, y, guest)
        page.write(RIGHT, y, str(values[guest]), "ra")
        if layout.ruled:
            page.rule(y + 46)
    return page.png(rng)


class Scoreboards:
    """The family of scoreboards."""

    name = "scoreboard"

    def paint(self, split: str, rng: Random) -> Piece:
        """Two to five matches."""
        layout = draw_fitting(split, "layout", lambda: _layout(rng), str)
        values = draw_fitting(
            split, "values", lambda: _values(layout, rng), lambda v: f"scoreboard {sorted(v.items())}"
        )
        return Piece("image_1.png", _draw(values, layout, rng), {"values": values}, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """A team's points, a match's margin or sum, or the best team."""
        values: dict[str, int] = piece.facts["values"]
        teams = list(values)
        match = 2 * rng.randrange(len(teams) // 2)
        a, b = sorted(teams[match : match + 2], key=values.__getitem__, reverse=True)
        kind = rng.choice(("points", "lead", "match", "best"))
        answers: dict[str, float | str] = {
            "points": values[a], "lead": values[a] - values[b], "match": values[a] + values[b],
            "best": max(values, key=values.__getitem__),
        }  # fmt: skip
        return WORDS.question(kind, answers[kind], (OCR,), split, rng, a=a, b=b)

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of a team that did not play."""
        away = [team for team in (*TEAMS, "Bears", "Eagles") if team not in piece.facts["values"]]
        return WORDS.question("points", "", (), split, rng, a=rng.choice(away), b="")
