"""Scenes of coloured shapes, counted and located by classical vision."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from random import Random

from PIL import ImageDraw

from sport.types import Need
from sport.world import painter
from sport.world.base import Piece, Question, draw_fitting, word

COLOURS = {
    "red": (214, 40, 40),
    "green": (40, 150, 60),
    "blue": (40, 80, 210),
    "yellow": (240, 205, 40),
    "orange": (245, 130, 30),
    "purple": (130, 50, 160),
}
SHAPES = ("circle", "square", "triangle", "star")
OPENINGS = ("", "Look at the picture. ", "Please tell me: ", "Count with care. ", "Quick question: ")
CLOSINGS = ("", " Give a number.", " Answer with the number only.", " A plain number, please.")
NAMING = ("", " Name colour and shape.", " Answer with colour and shape.", " Say its colour and its shape.")
CORES = {
    "count": (
        "How many {a}s are there?",
        "How many {a}s do you see?",
        "What is the number of {a}s here?",
        "Count the {a}s: how many?",
    ),
    "more": (
        "How many more {a}s than {b}s are there?",
        "By how many do the {a}s outnumber the {b}s?",
        "What is the number of {a}s less the number of {b}s?",
        "How far ahead of the {b}s are the {a}s in number?",
    ),
    "sum": (
        "How many {a}s and {b}s are there together?",
        "What do the {a}s and {b}s add up to?",
        "{a}s plus {b}s: how many is that?",
        "Taken together, how many {a}s and {b}s do you see?",
    ),
    "side": (
        "Which shape is furthest to the {side}?",
        "What stands closest to the {side} edge?",
        "Which one is nearest the {side} side?",
        "What do you find at the far {side}?",
    ),
}


@dataclass(frozen=True)
class Layout:
    """Looks of a scene that a split may own: paper, number of shapes, sizes, and whether shapes turn."""

    paper: str
    number: int
    radius: int
    turned: bool
    colours: tuple[str, ...]

    def __str__(self) -> str:
        return f"scene/{self.paper}/{self.number}/{self.radius}/{self.turned}/{'-'.join(self.colours)}"


def _layout(rng: Random) -> Layout:
    return Layout(
        rng.choice(("white", "cream", "grey")), rng.randint(6, 13), rng.choice((22, 26, 30)), rng.random() < 0.5,
        tuple(sorted(rng.sample(list(COLOURS), rng.randint(2, 3)))),
    )  # fmt: skip


@dataclass(frozen=True)
class Spot:
    """One shape: what it is and where its middle lies, in pixels."""

    colour: str
    shape: str
    x: int
    y: int

    @property
    def label(self) -> str:
        """Colour and shape, as the tools say it."""
        return f"{self.colour} {self.shape}"


def _spots(layout: Layout, rng: Random) -> list[Spot]:
    """Shapes on a jittered grid, so that none touch, and no two stand equally far left or right."""
    cell = painter.SIDE // 4
    cells = rng.sample([(i, j) for i in range(4) for j in range(4)], layout.number)
    slack = cell // 2 - layout.radius - 6
    spots: list[Spot] = []
    for i, j in cells:
        x = i * cell + cell // 2 + rng.randint(-slack, slack)
        y = j * cell + cell // 2 + rng.randint(-slack, slack)
        spots.append(Spot(rng.choice(layout.colours), rng.choice(SHAPES), x, y))
    return spots


def _draw(spots: list[Spot], layout: Layout, rng: Random) -> bytes:
    sheet, _ = painter.paper(layout.paper)
    large = sheet.resize((painter.SIDE * 2, painter.SIDE * 2))
    brush = ImageDraw.Draw(large)
    for spot in spots:
        red, green, blue = (min(255, max(0, c + rng.randint(-12, 12))) for c in COLOURS[spot.colour])
        turn = rng.uniform(0, 2 * math.pi) if layout.turned else 0.0
        _shape(brush, spot, layout.radius * 2, turn, (red, green, blue))
    return painter.develop(large.resize((painter.SIDE, painter.SIDE)), rng, noise=3.0)


def _shape(brush: ImageDraw.ImageDraw, spot: Spot, r: int, turn: float, fill: tuple[int, int, int]) -> None:
    x, y = spot.x * 2, spot.y * 2
    if spot.shape == "circle":
        brush.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        return
    corners = {"square": 4, "triangle": 3, "star": 10}[spot.shape]
    start = {"square": math.pi / 4}.get(spot.shape, -math.pi / 2) + turn
    points = []
    for corner in range(corners):
        reach = r * 0.42 if spot.shape == "star" and corner % 2 else r
        angle = start + 2 * math.pi * corner / corners
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    brush.polygon(points, fill=fill)


class Scenes:
    """The family of scenes."""

    name = "scene"

    def paint(self, split: str, rng: Random) -> Piece:
        """Six to thirteen shapes in two or three colours."""
        layout = draw_fitting(split, "layout", lambda: _layout(rng), str)
        spots = draw_fitting(
            split, "values", lambda: _spots(layout, rng), lambda s: f"scene {sorted((p.label, p.x, p.y) for p in s)}"
        )
        facts = {"spots": [[spot.label, spot.x, spot.y] for spot in spots]}
        return Piece("image_1.png", _draw(spots, layout, rng), facts, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """A count, two counts compared or added, or what stands outermost."""
        kind = rng.choices(("count", "more", "sum", "side"), (3, 2, 2, 2))[0]
        if kind == "side":
            return self._side(piece, split, rng)
        counts = Counter(label for label, _, _ in piece.facts["spots"])
        (a, more), (b, less) = _two(counts, rng)
        if kind == "more" and more <= less:
            kind = "sum"
        answer = {"count": more, "more": more - less, "sum": more + less}[kind]
        return self._question(kind, a, None if kind == "count" else b, split, rng, str(answer))

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of a shape in a colour that the scene has not got."""
        seen = {label for label, _, _ in piece.facts["spots"]}
        a = rng.choice([f"{c} {s}" for c in COLOURS for s in SHAPES if f"{c} {s}" not in seen])
        return replace(self._question("count", a, None, split, rng, ""), needs=())

    def _side(self, piece: Piece, split: str, rng: Random) -> Question:
        side = rng.choice(("left", "right", "top", "bottom"))
        place = 1 if side in ("left", "right") else 2
        pick = min if side in ("left", "top") else max
        # Radii are equal within a scene, so the outermost middle is the outermost shape up to its turn: ask only
        # where the next one is clearly further in.
        ordered = sorted(piece.facts["spots"], key=lambda s: s[place], reverse=pick is max)
        if abs(ordered[0][place] - ordered[1][place]) < 16:
            counts = Counter(label for label, _, _ in piece.facts["spots"])
            (a, count), _ = _two(counts, rng)
            return self._question("count", a, None, split, rng, str(count))
        wording = word(split, rng, OPENINGS[:3], CORES["side"], NAMING)
        needs = (Need(tool="locate", arguments={"image": "image_1.png"}),)
        return Question(wording.format(side=side), ordered[0][0], needs, wording, "scene.side", {"side": side})

    def _question(self, kind: str, a: str, b: str | None, split: str, rng: Random, answer: str) -> Question:
        wording = word(split, rng, OPENINGS, CORES[kind], CLOSINGS)
        needs = [Need(tool="count", arguments={"image": "image_1.png", "what": what}) for what in (a, b) if what]
        query = wording.format(a=a, b=b)
        return Question(query[0].upper() + query[1:], answer, tuple(needs), wording, f"scene.{kind}", {"a": a, "b": b})


def _two(counts: Counter[str], rng: Random) -> tuple[tuple[str, int], tuple[str, int]]:
    """Two kinds of shapes with their numbers, the more frequent first; the second may be one that is not there."""
    a, b = rng.sample([*counts, *([] if len(counts) > 1 else ["red star"])], 2)
    first, second = (a, counts[a]), (b, counts[b])
    return (first, second) if first[1] >= second[1] else (second, first)
