"""Coloured shapes on a light background, by classical vision: where they are, what colour and form they have.

Made for drawn scenes: filled shapes of one colour each that do not overlap, at least about 12 pixels across, on a
background that is light and nearly grey. Not covered: photographs, outlines, shapes that touch, dark backgrounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from sport.errors import ToolError
from sport.tools.order import Box, rows
from sport.tools.pictures import Pixels

FORMS = ("circle", "square", "triangle", "star")
HUES = ((14, "red"), (42, "orange"), (70, "yellow"), (170, "green"), (255, "blue"), (335, "purple"), (360, "red"))
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "grey")
SAME = {"gray": "grey", "violet": "purple"}
ANY = {"shape", "object", "figure"}
FILLERS = {"a", "an", "all", "any", "every", "the", "coloured", "colored", "of"}

APART = 45  # a pixel belongs to a shape when one of R, G, B differs this much from the background
LEAST = 120  # pixels; the smallest shape that is not a speck
GREYISH = 45  # max(R, G, B) - min(R, G, B) below this has no hue
DARK = 110  # max(R, G, B) of what is called black

Mask = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Shape:
    """One shape; ``box`` is x1, y1, x2, y2 in whole pixels, x2 and y2 just outside."""

    colour: str
    form: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Wanted:
    """A kind of shape; None fits every colour or form."""

    colour: str | None
    form: str | None

    def fits(self, shape: Shape) -> bool:
        """Whether a shape is of this kind."""
        return self.colour in (None, shape.colour) and self.form in (None, shape.form)


def wanted(what: str) -> Wanted:
    """Read a phrase such as "red circles", "the blue shapes", "square".

    Raises:
        ToolError: a word that is no colour and no form known here, or two of a kind.
    """
    colours, forms, rest = [], [], []
    words = [_single(word) for word in re.findall(r"[^\W\d_]+", what.lower())]
    for word in words:
        if word in COLOURS:
            colours.append(word)
        elif word in FORMS:
            forms.append(word)
        elif word not in ANY | FILLERS:
            rest.append(word)
    if rest or not words or len(colours) > 1 or len(forms) > 1:
        raise ToolError(
            f"cannot look for {what!r}: name at most one colour ({', '.join(COLOURS)}) and one form "
            f"({', '.join(FORMS)}; 'shape' for any), for example 'red circles'"
        )
    return Wanted(colours[0] if colours else None, forms[0] if forms else None)


def find(picture: Pixels, kind: Wanted) -> list[Shape]:
    """Shapes of a kind in an RGB picture, in reading order."""
    fitting = [shape for shape in _shapes(picture) if kind.fits(shape)]
    return [shape for row in rows(fitting, _box) for shape in row]


def _box(shape: Shape) -> Box:
    return shape.box


def _single(word: str) -> str:
    word = word.removesuffix("s") if word.removesuffix("s") in (*FORMS, *ANY) else word
    return SAME.get(word, word)


def _shapes(picture: Pixels) -> list[Shape]:
    import cv2

    cv2.setNumThreads(1)
    smooth: Pixels = np.asarray(cv2.medianBlur(np.ascontiguousarray(picture), 5), dtype=np.uint8)
    differs = np.abs(smooth.astype(np.int16) - _background(smooth)).max(axis=2) > APART
    count, labels, stats, _ = cv2.connectedComponentsWithStats(differs.astype(np.uint8), connectivity=4)
    found = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        if area >= LEAST:
            here = (slice(y, y + height), slice(x, x + width))
            mask = (labels[here] == label).astype(np.uint8)
            found.append(Shape(_colour(smooth[here], mask), _form(mask), (x, y, x + width, y + height)))
    return found


def _background(picture: Pixels) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The usual colour (3,) among light, nearly grey pixels; white where a shape fills nearly everything."""
    high, low = picture.max(axis=2), picture.min(axis=2)
    light = picture[(low > 150) & (high - low < 60)]
    if len(light) < 0.005 * high.size:
        return np.full(3, 255, dtype=np.int16)
    middle: np.ndarray[Any, np.dtype[np.int16]] = np.median(light, axis=0).astype(np.int16)
    return middle


def _colour(picture: Pixels, mask: Mask) -> str:
    """The name of the middle colour inside, away from the blended edge."""
    import cv2

    core = cv2.erode(np.pad(mask, 1), np.ones((5, 5), np.uint8))[1:-1, 1:-1]
    inside = picture[core > 0] if core.any() else picture[mask > 0]
    red, green, blue = (float(value) for value in np.median(inside, axis=0))
    high, low = max(red, green, blue), min(red, green, blue)
    if high - low < GREYISH:
        return "black" if high < DARK else "grey"
    hue = _hue(red, green, blue)
    return next(name for end, name in HUES if hue < end)


def _hue(red: float, green: float, blue: float) -> float:
    """Hue in degrees, [0, 360), of a colour that is not grey."""
    high, span = max(red, green, blue), max(red, green, blue) - min(red, green, blue)
    if high == red:
        return 60 * ((green - blue) / span % 6)
    return 60 * ((blue - red) / span + 2) if high == green else 60 * ((red - green) / span + 4)


def _form(mask: Mask) -> str:
    """By two shares that do not change with size or rotation.

    Area over convex hull: a five-pointed star has about 0.5, the others 1. Hull over the smallest turned rectangle
    around it: 1 for a square, pi / 4 = 0.785 for a circle, 1 / 2 for every triangle.
    """
    import cv2

    contours, _ = cv2.findContours(np.pad(mask, 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=cv2.contourArea)
    hull = cv2.convexHull(outline)
    area = cv2.contourArea(hull)
    (_, (width, height), _) = cv2.minAreaRect(hull)
    if area <= 0 or cv2.contourArea(outline) / area < 0.8:
        return "star"
    share = area / (width * height)
    return "square" if share > 0.89 else "triangle" if share < 0.64 else "circle"
