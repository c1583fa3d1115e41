"""GTA's tools that run code: ``Calculator``, ``Solver`` and ``Plot``, as programs for a box of their own.

What a controller hands them is as little to be trusted as any of its code, so it runs behind the same walls, in a fresh
state without files or tools.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from sport.answers import answer_text
from sport.errors import ToolError
from sport.tools.base import ToolOutput
from sport.tools.gta.base import Computer, Ran
from sport.tools.gta.pictures import as_file
from sport.types import Json

_FENCE = re.compile(r"^\s*```[A-Za-z]*\s*\n|\n?\s*```\s*$")
_PICTURE = "plot.png"

_CALCULATOR = """
import math
_value = eval({text!r}, {{name: getattr(math, name) for name in dir(math) if not name.startswith("_")}})
_value if isinstance(_value, (int, float, bool)) else str(_value)
"""
_SOLVER = """
_names = {{"__name__": "solution"}}
exec(compile({text!r}, "command", "exec"), _names)
str(_names["solution"]())
"""
_PLOT = """
import matplotlib.pyplot
_names = {{"__name__": "solution"}}
exec(compile({text!r}, "command", "exec"), _names)
_figure = _names["solution"]()
(_figure if hasattr(_figure, "savefig") else _figure.figure).savefig({picture!r}, dpi=100)
"""


async def calculator(arguments: Mapping[str, Json], computer: Computer) -> str:
    """The value of one expression. Raises ToolError with what went wrong."""
    ran = await _run("Calculator", _CALCULATOR.format(text=str(arguments["expression"]).strip()), computer)
    return answer_text(ast.literal_eval(_finite(ran.value)))


async def solver(arguments: Mapping[str, Json], computer: Computer) -> str:
    """What ``solution()`` returns. Raises ToolError."""
    ran = await _run("Solver", _SOLVER.format(text=_code(arguments)), computer)
    return str(ast.literal_eval(ran.value or "''"))


async def plot(arguments: Mapping[str, Json], computer: Computer) -> ToolOutput:
    """The figure that ``solution()`` returns, as PNG. Raises ToolError."""
    ran = await _run("Plot", _PLOT.format(text=_code(arguments), picture=_PICTURE), computer)
    if _PICTURE not in ran.files:
        raise ToolError("Plot: solution() returned no figure of matplotlib")
    return as_file("plot", "png", ran.files[_PICTURE])


async def _run(name: str, program: str, computer: Computer) -> Ran:
    ran = await computer.run(program)
    if ran.error is not None:
        last = ran.error.strip().splitlines()[-1:] or ["failed"]
        words = last[0].replace("KeyError: 'solution'", "the code defines no function solution()")
        raise ToolError(f"{name}: {words}")
    return ran


def _code(arguments: Mapping[str, Json]) -> str:
    """The command without the fence that models like to put around it."""
    return _FENCE.sub("", str(arguments["command"]))


def _finite(value: str | None) -> str:
    """The repr of a number or a text; ``inf`` and ``nan`` are no literals."""
    return repr(value) if value in ("inf", "-inf", "nan") else value or "''"
