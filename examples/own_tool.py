"""A tool of your own: a typed function with a docstring, named in the configuration by path.

    [tools]
    names = ["ocr", "examples/own_tool.py:convert"]

``sport tools CONFIG`` then lists it, and a controller calls it as ``convert(5, "mile", "km")``.
"""

from __future__ import annotations

from typing import Literal

METRES = {"m": 1.0, "km": 1000.0, "inch": 0.0254, "foot": 0.3048, "mile": 1609.344}
Unit = Literal["m", "km", "inch", "foot", "mile"]


def convert(length: float, unit: Unit, into: Unit) -> float:
    """Convert a length from one unit into another.

    Args:
        length: the number
        unit: what it is given in
        into: what to give it in
    """
    return round(length * METRES[unit] / METRES[into], 6)


if __name__ == "__main__":
    print(convert(5, "mile", "km"))
