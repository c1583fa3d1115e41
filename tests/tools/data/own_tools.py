"""Tools as users write them: functions, classes, smolagents tools; and some that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import PIL.Image
from pydantic import BaseModel, Field
from smolagents import Tool, tool


class Spot(BaseModel):
    x: int
    y: int = 0


def shout(text: str, times: Annotated[int, Field(ge=1, le=3)] = 1, how: Literal["up", "down"] = "up") -> str:
    """Say a text loudly.

    Loudness is measured in capitals.

    Args:
        text: what to say
        how: which way
    """
    return " ".join([text.upper() if how == "up" else text.lower()] * times)


def turn(image: PIL.Image.Image, spot: Spot | None = None) -> PIL.Image.Image:
    """Turn a picture by 90 degrees."""
    return image.rotate(90, expand=True)


def lines(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """Count a file's lines."""
    return {"ending": path.suffix, "lines": len(path.read_text().splitlines()), "more": len(data or b"")}


class UnitPrice:
    """Price of some units."""

    def __init__(self, price: float = 2.0) -> None:
        self.price = price

    def __call__(self, units: int) -> float:
        return units * self.price


@tool
def backwards(text: str) -> str:
    """Reverse a text.

    Args:
        text: any text
    """
    return text[::-1]


class Grey(Tool):
    name = "grey"
    description = "Make a picture grey."
    inputs: ClassVar = {
        "image": {"type": "image", "description": "a picture"},
        "much": {"type": "number", "description": "how much", "nullable": True},
    }
    output_type = "image"

    def forward(self, image: Any, much: float | None = None) -> Any:
        return image.convert("L").convert("RGB")


def called(function: Callable[[int], int]) -> int:
    """Takes what no JSON value can be."""
    return function(1)


def unhinted(text) -> str:
    """Has no hint."""
    return text


def undocumented(text: str) -> str:
    return text


def variadic(*texts: str) -> str:
    """Takes any number."""
    return "".join(texts)


def print(text: str) -> str:
    """Has the name of a builtin."""
    return text


class Bare:
    """Neither spec nor call."""


def shout_too(text: str) -> str:
    """Has another's name."""
    return text


shout_too.__name__ = "shout"
