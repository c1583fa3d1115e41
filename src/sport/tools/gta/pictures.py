"""GTA's tools that need no model but the built-in reader: ``OCR``, ``DrawBox``, ``AddText``. A worker runs them."""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any, ClassVar

import PIL.Image
import PIL.ImageColor
import PIL.ImageDraw
import PIL.ImageFont

from sport.errors import ToolError
from sport.tools.base import FileBytes, ToolOutput
from sport.tools.gta.specs import SPECS
from sport.tools.pictures import pixels
from sport.types import ToolSpec

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ACROSS = {"l": 0.0, "m": 0.5, "r": 1.0}
_DOWN = {"t": 0.0, "m": 0.5, "b": 1.0}
_MARGIN = 8  # pixels between a text and the edge


class Ocr:
    """Lines as the built-in reader finds them, each with its box in whole pixels."""

    spec: ClassVar[ToolSpec] = SPECS["OCR"]

    def __init__(self) -> None:
        from sport.tools.ocr import Ocr as Reader

        self._reader = Reader()

    def call(self, image: FileBytes) -> str:
        """The text. Raises ToolError when ``image`` is no picture."""
        found = self._reader.lines(image)
        return "\n".join(f"({', '.join(str(round(edge)) for edge in box)}) {text}" for box, text in found)


class DrawBox:
    """A red frame along the box, and the annotation above it."""

    spec: ClassVar[ToolSpec] = SPECS["DrawBox"]

    def call(self, image: FileBytes, bbox: str, annotation: str | None) -> ToolOutput:
        """The new picture. Raises ToolError for no picture, or a box that is none."""
        picture = PIL.Image.fromarray(pixels(image))
        x1, y1, x2, y2 = box(bbox)
        if x1 >= x2 or y1 >= y2:
            raise ToolError(f"bbox {bbox!r} is empty: x1 < x2 and y1 < y2 are expected")
        pen = PIL.ImageDraw.Draw(picture)
        pen.rectangle((x1, y1, x2, y2), outline="red", width=max(2, min(picture.size) // 200))
        if annotation:
            size = max(12, picture.height // 40)
            pen.text((x1, max(0, y1 - size - 4)), annotation, fill="red", font=PIL.ImageFont.load_default(size))
        return named("box", picture)


class AddText:
    """Plain letters without a background; what does not fit is cut off at the edge."""

    spec: ClassVar[ToolSpec] = SPECS["AddText"]

    def call(self, image: FileBytes, text: str, position: str, color: str) -> ToolOutput:
        """The new picture. Raises ToolError for no picture, an unknown colour or position."""
        picture = PIL.Image.fromarray(pixels(image))
        try:
            ink = PIL.ImageColor.getrgb(color)
        except ValueError as error:
            raise ToolError(f"color {color!r} is unknown; give a name such as 'red', or '#rrggbb'") from error
        pen, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(max(12, picture.height // 25))
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        at = _place(position, picture.size, (right - left, bottom - top))
        pen.text(at, text, fill=ink, font=font)
        return named("text", picture)


def box(text: str) -> tuple[float, float, float, float]:
    """The four numbers of "(x1, y1, x2, y2)". Raises ToolError."""
    found = [float(number) for number in _NUMBER.findall(text)]
    if len(found) != 4:
        raise ToolError(f"bbox must be '(x1, y1, x2, y2)' in pixels, not {text!r:.80}")
    return found[0], found[1], found[2], found[3]


def named(stem: str, picture: PIL.Image.Image) -> ToolOutput:
    """A picture as a file whose name, the tool's value, follows from its content: two results never meet."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return as_file(stem, "png", buffer.getvalue())


def as_file(stem: str, ending: str, data: bytes) -> ToolOutput:
    """The same for bytes."""
    name = f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}.{ending}"
    return ToolOutput(name, {name: data})


def _place(position: str, size: tuple[int, int], text: tuple[float, float]) -> tuple[float, float]:
    words: Any = position.strip().lower()
    if len(words) == 2 and words[0] in _ACROSS and words[1] in _DOWN:
        shares = (_ACROSS[words[0]], _DOWN[words[1]])
        room = [whole - part - 2 * _MARGIN for whole, part in zip(size, text, strict=True)]
        return _MARGIN + shares[0] * room[0], _MARGIN + shares[1] * room[1]
    numbers = [float(number) for number in _NUMBER.findall(position)]
    if len(numbers) != 2:
        raise ToolError(f"position must be '(x, y)' or two letters such as 'mb', not {position!r:.40}")
    return numbers[0], numbers[1]
