"""A turn of an agent as benchmarks see it: a call of a tool, an answer, or neither; and how code is read as one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from sport.agent import calls
from sport.agent.parse import parse
from sport.answers import answer_text
from sport.types import Json, Record, ToolSpec


class Move(Record):
    """One turn. ``kind`` None is a turn that could not be read; ``error`` marks one that is not to count as sound."""

    kind: Literal["tool", "answer"] | None
    name: str = ""
    arguments: dict[str, Json] = Field(default_factory=dict)
    text: str = ""
    error: str | None = None


def read_code(text: str, finished: bool, tools: Sequence[ToolSpec]) -> Move:
    """The first tool call in a turn of the code agent, else its ``final_answer``, without running anything.

    Positional arguments get their parameters' names. An argument that is not written out (a variable, an expression)
    is unknown, and its move has an ``error``: with the reference prefix given, every value that is needed has been
    shown. A call after another call in the same turn is not looked at: GTA's reference makes one call a turn.
    """
    action = parse(text, finished)
    if action.code is None:
        return Move(kind=None, error=action.problem)
    try:
        tree = ast.parse(action.code)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return Move(kind=None, error=f"no Python: {error}")
    known = {tool.name: tool for tool in tools}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    calls.sort(key=lambda node: (node.lineno, -node.col_offset))  # of nested calls, the inner one runs first
    for node in calls:
        if isinstance(node.func, ast.Name) and node.func.id in known:
            return _call(node, known[node.func.id])
    for node in calls:
        if isinstance(node.func, ast.Name) and node.func.id == "final_answer":
            return _answer(node)
    return Move(kind=None, error="neither a tool nor final_answer is called")


def as_code(move: Move, thought: str) -> str:
    """A reference turn in the code agent's own form: what stands in its history, step by step.

    >>> print(as_code(Move(kind="tool", name="OCR", arguments={"image": "a.png"}), "I read it."))
    Thought: I read it.
    Code:
    ```py
    print(OCR(image='a.png'))
    ```
    """
    if move.kind == "tool":
        code = f"print({move.name}({', '.join(f'{name}={value!r}' for name, value in move.arguments.items())}))"
    else:
        code = f"final_answer({move.text!r})"
    return f"Thought: {' '.join(thought.replace('`', ' ').split())}\nCode:\n```py\n{code}\n```"


def read_call(text: str, finished: bool, tools: Sequence[ToolSpec]) -> Move:
    r"""A turn of the agent that writes JSON tool calls: its first call or answer, without running anything.

    >>> read_call('Action: OCR\nAction Input: {"image": "a.png"}', True, ()).error
    "there is no tool 'OCR'"
    """
    said = calls.read(text, finished)
    if said.answer is not None:
        return Move(kind="answer", text=said.answer)
    if said.name is None:
        return Move(kind=None, error=said.problem)
    problem = None if any(tool.name == said.name for tool in tools) else f"there is no tool {said.name!r}"
    return Move(kind="tool", name=said.name, arguments=dict(said.arguments), error=problem)


def as_call(move: Move, thought: str) -> str:
    """A reference turn in that agent's form."""
    return calls.write(move.name, move.arguments, thought) if move.kind == "tool" else calls.answer(move.text, thought)


class Form(NamedTuple):
    """How one kind of agent writes the reference's turns, and how its own are read."""

    write: Callable[[Move, str], str]
    read: Callable[[str, bool, Sequence[ToolSpec]], Move]


FORMS: Mapping[str, Form] = {"code": Form(as_code, read_code), "calls-1": Form(as_call, read_call)}
"""By dialect; "code" stands for all that write Python."""


def form(dialect: str) -> Form:
    """The form that goes with a dialect."""
    return FORMS.get(dialect, FORMS["code"])


def _call(node: ast.Call, tool: ToolSpec) -> Move:
    names = [parameter.name for parameter in tool.parameters]
    if len(node.args) > len(names):
        return Move(kind="tool", name=tool.name, error=f"{tool.name} takes {len(names)} arguments")
    given: dict[str, ast.expr] = dict(zip(names, node.args, strict=False))
    given.update({keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None})
    values, unknown = _values(given)
    problem = f"not written out: {', '.join(unknown)}" if unknown else None
    return Move(kind="tool", name=tool.name, arguments=values, error=problem)


def _answer(node: ast.Call) -> Move:
    values, unknown = _values({"answer": node.args[0]} if node.args else {})
    if unknown:
        return Move(kind="answer", error="the answer is not written out")
    return Move(kind="answer", text=answer_text(values.get("answer")))


def _values(given: Mapping[str, ast.expr]) -> tuple[dict[str, Json], list[str]]:
    values, unknown = {}, []
    for name, node in given.items():
        try:
            values[name] = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            unknown.append(name)
    return values, unknown
