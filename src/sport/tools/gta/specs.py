"""Names, parameters and results of GTA's tools, as its data set has them; the descriptions are in our own words.

``bbox`` is a text "(x1, y1, x2, y2)" in pixels everywhere. What a tool draws or paints is a file, and its value is the
file's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sport.types import Parameter, ToolSpec

_Kind = Literal["string", "integer", "boolean", "file"]


def _p(name: str, kind: _Kind = "string", description: str = "", **optional: Any) -> Parameter:
    return Parameter(
        name=name, type=kind, description=description, required=not optional, default=optional.get("default")
    )


def _tool(name: str, description: str, returns: str, *parameters: Parameter) -> ToolSpec:
    return ToolSpec(name=name, description=description, parameters=parameters, returns=returns, version="gta-1")


_IMAGE = _p("image", "file", "a picture")
_BOX = "a box in pixels, as '(x1, y1, x2, y2)'"
_CODE = (
    "The code defines a function solution() without parameters that returns {what}; {how}. It prints nothing. "
    "Example: {example}"
)

SPECS: Mapping[str, ToolSpec] = {
    one.name: one
    for one in (
        _tool("OCR", "Read all text in a picture.", "one line per piece of text: '(x1, y1, x2, y2) text'", _IMAGE),
        _tool("ImageDescription", "Describe a picture briefly.", "a few sentences", _IMAGE),
        _tool(
            "RegionAttributeDescription",
            "Describe one attribute of what a region of a picture shows.",
            "a few sentences",
            _IMAGE,
            _p("bbox", description=_BOX),
            _p("attribute", description="what to describe, e.g. 'colour of the coat'"),
        ),
        _tool(
            "CountGivenObject",
            "Count the objects of one kind in a picture, or in a region of it.",
            "a whole number",
            _IMAGE,
            _p("text", description="what to count, in English"),
            _p("bbox", description=_BOX, default=None),
        ),
        _tool(
            "TextToBbox",
            "Find where something is in a picture.",
            "one line per find, best first: '(x1, y1, x2, y2), score 0..100'",
            _IMAGE,
            _p("text", description="what to find, in English"),
            _p("top1", "boolean", "only the best find, else all of them", default=True),
        ),
        _tool("MathOCR", "Read a formula in a picture.", "the formula in LaTeX", _IMAGE),
        _tool(
            "DrawBox",
            "Draw a box on a picture, with a word above it if you like.",
            "the new picture's name",
            _IMAGE,
            _p("bbox", description=_BOX),
            _p("annotation", description="what stands above the box", default=None),
        ),
        _tool(
            "AddText",
            "Write a text on a picture.",
            "the new picture's name",
            _IMAGE,
            _p("text", description="what to write"),
            _p(
                "position",
                description="'(x, y)' of its upper left corner in pixels, or two letters: l, m, r (left, middle, "
                "right) and t, m, b (top, middle, bottom), e.g. 'mb'",
            ),
            _p("color", description="a colour's name", default="red"),
        ),
        _tool(
            "GoogleSearch",
            "Search the web.",
            "one numbered result per paragraph",
            _p("query", description="a few words"),
            _p("k", "integer", "how many results", default=10),
        ),
        _tool(
            "Calculator",
            "Work out one Python expression; the functions of math are there without import.",
            "the result as text",
            _p("expression", description="one Python expression, e.g. 'round(75 / 360 * 100, 2)'"),
        ),
        _tool(
            "Solver",
            _CODE.format(
                what="its answer as text",
                how="use sympy to solve the equations",
                example="from sympy import symbols, solve\ndef solution():\n    x = symbols('x')\n"
                "    return str(solve(x**2 - 4, x))",
            ),
            "the text that solution() returns",
            _p("command", description="Python code"),
        ),
        _tool(
            "Plot",
            _CODE.format(
                what="a figure of matplotlib",
                how="draw the diagram in it",
                example="import matplotlib.pyplot as plt\ndef solution():\n    figure = plt.figure()\n"
                "    plt.bar(['a', 'b'], [1, 2])\n    return figure",
            ),
            "the new picture's name",
            _p("command", description="Python code"),
        ),
        _tool("TextToImage", "Make a picture from key words.", "the new picture's name", _p("keywords")),
        _tool(
            "ImageStylization",
            "Change a picture as told, e.g. 'turn it into a pencil drawing'.",
            "the new picture's name",
            _IMAGE,
            _p("instruction"),
        ),
    )
}
"""By name."""
