"""Charts, receipts, lists and papers whose items are shapes: asked in the very words of a scene.

"How many red circles are there?" needs ``count`` where shapes are drawn and ``ocr`` where their number is written. The
words do not tell; only the picture does.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from sport.types import Need
from sport.world.asking import Words
from sport.world.base import Question
from sport.world.scene import CLOSINGS, COLOURS, CORES, NAMING, OPENINGS, SHAPES

LABELS = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)


def items(rng: Random, number: int) -> list[str]:
    """Different shapes to write down."""
    return rng.sample(LABELS, number)


def ask(
    family: str, counts: Mapping[str, int], edges: Mapping[str, str], need: Need, split: str, rng: Random
) -> Question:
    """A scene's question of shapes that are written down; ``edges`` tells what stands at which side of the page."""
    kind = rng.choice(("count", "count", "more", "sum", *(["side"] * 2 if edges else [])))
    words = _words(family, kind)
    (file,) = need.arguments.values()
    if kind == "side":
        side = rng.choice(list(edges))
        return words.question("side", edges[side], (need,), split, rng, side=side, file=file)
    a, b = rng.sample(list(counts), 2)
    if counts[a] < counts[b]:
        a, b = b, a
    if kind == "count" or counts[a] == counts[b]:
        return _words(family, "count").question("count", counts[a], (need,), split, rng, a=a, b=None, file=file)
    answer = counts[a] - counts[b] if kind == "more" else counts[a] + counts[b]
    return words.question(kind, answer, (need,), split, rng, a=a, b=b, file=file)


def ask_absent(family: str, counts: Mapping[str, int], split: str, rng: Random) -> Question:
    """Of a shape that is not written there."""
    a = rng.choice([label for label in LABELS if label not in counts])
    return _words(family, "count").question("count", "", (), split, rng, a=a, b=None)


def _words(family: str, kind: str) -> Words:
    openings = OPENINGS[:3] if kind == "side" else OPENINGS
    return Words(family, openings, CORES, {name: NAMING if name == "side" else CLOSINGS for name in CORES})
