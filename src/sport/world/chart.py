"""Bar charts, lying or standing, with the value printed at each bar, read by ``ocr``. Most show shapes (twins)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from sport.world import corpus, twins
from sport.world.asking import NAME, OCR, Words, clear
from sport.world.base import Piece, Question, draw_fitting
from sport.world.page import LEFT, RIGHT, Page, Style, style

THEMES: Mapping[str, tuple[str, Sequence[str]]] = {
    "books": ("Books read", ("Edith", "Boris", "Clara", "Dmitri", "Helga", "Viktor", "Priya", "Tomas")),
    "trees": ("Trees planted", ("Elm", "Birch", "Maple", "Willow", "Cedar", "Alder", "Poplar")),
    "visits": ("Visits", ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")),
    "stock": ("Litres in stock", tuple(corpus.values("material"))),
}
FILLS = ((214, 60, 50), (50, 150, 70), (50, 90, 210), (230, 150, 40), (130, 60, 160), (120, 120, 120))
TWINS = 0.75  # share of charts that show numbers of shapes

WORDS = Words(
    "chart",
    ("", "See the chart. ", "According to the bars: ", "I need one figure. ", "Help me read this: "),
    {
        "one": (
            "What value belongs to {a}?",
            "Which number is shown for {a}?",
            "How much does {a} have?",
            "{a} stands at what value?",
        ),
        "both": (
            "What do {a} and {b} have together?",
            "What is the sum for {a} and {b}?",
            "Add {a} to {b}: what comes out?",
            "{a} and {b} make how much in all?",
        ),
        "more": (
            "How much more does {a} have than {b}?",
            "By how much is {a} above {b}?",
            "What is the distance from {b} up to {a}?",
            "How far does {a} lead over {b}?",
        ),
        "all": (
            "What do all bars add up to?",
            "What is the sum of all bars?",
            "How much do the bars show in all?",
            "What do we get when every bar is added?",
        ),
        "most": (
            "Which bar is the longest?",
            "Whose bar has the greatest value?",
            "Which bar leads?",
            "At which bar is the highest number?",
        ),
        "least": (
            "Which bar is the shortest?",
            "Whose bar has the smallest value?",
            "Which bar comes last in value?",
            "At which bar is the lowest number?",
        ),
    },
    {"most": NAME, "least": NAME},
)


@dataclass(frozen=True)
class Layout:
    """Looks of a chart that a split may own; ``standing`` bars are named below, lying ones at the left."""

    style: Style
    standing: bool
    bars: int
    theme: str
    fills: tuple[int, ...]
    thin: bool

    def __str__(self) -> str:
        fills = "-".join(map(str, self.fills))
        return f"chart/{self.style}/{self.standing}/{self.bars}/{self.theme}/{fills}/{self.thin}"

    def fill(self, place: int) -> tuple[int, int, int]:
        """The colour of a bar; colours take turns."""
        return FILLS[self.fills[place % len(self.fills)]]


def _layout(rng: Random, theme: str) -> Layout:
    standing = rng.random() < 0.4
    bars = rng.randint(3, 4) if standing else rng.randint(4, 7)
    looks = style(rng, (14, 15) if standing else (17, 19))
    fills = tuple(rng.sample(range(len(FILLS)), rng.randint(1, 3)))
    return Layout(looks, standing, bars, theme, fills, rng.random() < 0.5)


def _values(layout: Layout, rng: Random) -> dict[str, int]:
    names = (
        twins.items(rng, layout.bars) if layout.theme == "twin" else rng.sample(THEMES[layout.theme][1], layout.bars)
    )
    values = {name: rng.randint(3, 60) for name in names}
    return values if clear(list(values.values())) else _values(layout, rng)


def _draw(values: dict[str, int], layout: Layout, rng: Random) -> bytes:
    page = Page(layout.style)
    if layout.theme != "twin":
        page.head(18, THEMES[layout.theme][0])
    (_standing if layout.standing else _lying)(page, values, layout)
    return page.png(rng)


def _lying(page: Page, values: dict[str, int], layout: Layout) -> None:
    """Name, number, bar. A number close to a short bar would be read as one sign with it."""
    top, step, start = 66, 370 // len(values), 280
    thin = 6 if layout.thin else 0
    for place, (name, value) in enumerate(values.items()):
        y = top + place * step
        page.write(LEFT - 8, y, name)
        page.write(start - 32, y, str(value), "ra")
        end = start + value * (RIGHT + 10 - start) / max(values.values())
        page.bar(start, y - 2 + thin, end, y + layout.style.size + 4 - thin, layout.fill(place))


def _standing(page: Page, values: dict[str, int], layout: Layout) -> None:
    """Bars over a line; below it each bar's name with its number, in two rows by turns."""
    foot, width = 360, (RIGHT - LEFT) / len(values)
    reach = 270 / max(values.values())
    for place, (name, value) in enumerate(values.items()):
        middle = LEFT + (place + 0.5) * width
        page.bar(middle - 24, foot - value * reach, middle + 24, foot, layout.fill(place))
        page.below(middle, foot + 14 + 34 * (place % 2), f"{name} {value}")
    page.rule(foot)


class Charts:
    """The family of bar charts."""

    name = "chart"

    def paint(self, split: str, rng: Random, theme: str | None = None) -> Piece:
        """A chart of three to seven bars; ``theme`` is one of THEMES, or "twin" for numbers of shapes."""
        theme = theme or ("twin" if rng.random() < TWINS else rng.choice(list(THEMES)))
        layout = draw_fitting(split, "layout", lambda: _layout(rng, theme), str)
        values = draw_fitting(split, "values", lambda: _values(layout, rng), lambda v: f"chart {sorted(v.items())}")
        facts = {"values": values, "twin": theme == "twin", "standing": layout.standing, "theme": theme}
        return Piece("image_1.png", _draw(values, layout, rng), facts, str(layout))

    def ask(self, piece: Piece, split: str, rng: Random) -> Question:
        """One value, two compared or added, all, or the greatest or smallest; of shapes, what a scene is asked."""
        values: dict[str, int] = piece.facts["values"]
        if piece.facts["twin"]:
            return twins.ask(self.name, values, _edges(piece), OCR, split, rng)
        a, b = rng.sample(list(values), 2)
        if values[a] < values[b]:
            a, b = b, a
        kind = rng.choice(("one", "both", "more", "all", "most", "least"))
        if kind == "more" and values[a] == values[b]:
            kind = "both"
        answers: dict[str, float | str] = {
            "one": values[a], "both": values[a] + values[b], "more": values[a] - values[b],
            "all": sum(values.values()), "most": max(values, key=values.__getitem__),
            "least": min(values, key=values.__getitem__),
        }  # fmt: skip
        return WORDS.question(kind, answers[kind], (OCR,), split, rng, a=a, b=b)

    def ask_absent(self, piece: Piece, split: str, rng: Random) -> Question:
        """Of a name, or of a shape, without a bar."""
        values: dict[str, int] = piece.facts["values"]
        if piece.facts["twin"]:
            return twins.ask_absent(self.name, values, split, rng)
        own = THEMES[piece.facts["theme"]][1]
        every = [name for _, names in THEMES.values() for name in names]
        absent = [name for name in own if name not in values] or [name for name in every if name not in values]
        return WORDS.question("one", "", (), split, rng, a=rng.choice(absent), b="")


def _edges(piece: Piece) -> dict[str, str]:
    """What stands outermost: of lying bars above and below, of standing ones left and right."""
    names = list(piece.facts["values"])
    first, last = ("left", "right") if piece.facts["standing"] else ("top", "bottom")
    return {first: names[0], last: names[-1]} if len(names) != 3 else {first: names[0]}
