"""ReAct with JSON tool calls: "Thought, Action, Action Input", or "Final Answer" (as Lagent's ReAct agent for GTA).

A call becomes one line of code, ``print(tool(argument=...))``, and an answer ``final_answer(...)``. So everything that
holds for the code agent (forks, journal, files, resuming, exploration) holds for this one, and it can do nothing else:
all values are written out as Python literals. The **first** call or answer counts; what a model writes after it, it
wrote before the world had answered.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from typing import NamedTuple

from sport.types import Action, Json

_MARK = re.compile(r"^[ \t*]*(Action|Final Answer)[ \t*]*:", re.IGNORECASE | re.MULTILINE)
_INPUT = re.compile(r"^[ \t*]*(?:Action Input|Arguments)[ \t*]*:", re.IGNORECASE | re.MULTILINE)
_END = re.compile(r"^[ \t]*(?:Observation|Response|Thought)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_NAMES, _ARGUMENTS = ("name", "tool", "action"), ("arguments", "parameters", "action_input", "input")
_ANSWERS = frozenset({"final_answer", "finishaction", "finish"})

_SHAPE = (
    "Write 'Thought: ...', then 'Action: ' and the name of a tool, then 'Action Input: ' and one JSON object. "
    "To answer, write 'Final Answer: ' and the answer."
)
NO_CALL = f"There is neither an action nor a final answer here. {_SHAPE}"


class Said(NamedTuple):
    """A turn as it was read: a call (``name``), an answer, or a ``problem``, in words for whoever wrote it."""

    thought: str = ""
    name: str | None = None
    arguments: Mapping[str, Json] = {}
    answer: str | None = None
    problem: str | None = None


def read(text: str, finished: bool = True, max_new_tokens: int = 512) -> Said:
    """The first call or answer of a text.

    Accepted: marks in any case and in bold, JSON on the next line or in a fence, one JSON object with name and
    arguments in place of a name, no thought, no input for a tool without parameters.
    """
    flat = text.replace("\r\n", "\n")
    mark = _MARK.search(flat)
    if mark is None:
        return Said(_thought(flat), problem=NO_CALL if finished else _cut(max_new_tokens))
    thought, rest = _thought(flat[: mark.start()]), flat[mark.end() :]
    if mark[1].lower() == "final answer":
        if not finished:
            return Said(thought, problem=_cut(max_new_tokens))
        end = _END.search(rest)
        return Said(thought, answer=(rest[: end.start()] if end else rest).strip(" \t\n*"))
    name, arguments, problem = _call(rest)
    if problem and not finished:
        problem = _cut(max_new_tokens)
    if problem:
        return Said(thought, problem=problem)
    if name.lower() in _ANSWERS:
        return Said(thought, answer=str(next(iter(arguments.values()), "")))
    return Said(thought, name=name, arguments=arguments)


def parse(text: str, finished: bool, max_new_tokens: int = 512) -> Action:
    r"""A text as an action; ``raw`` keeps it exactly as it came, ``code`` is the call or the answer as Python.

    >>> parse('Action: ocr\nAction Input: {"image": "a.png"}', True).code
    "print(ocr(image='a.png'))"
    """
    said = read(text, finished, max_new_tokens)
    if said.answer is not None:
        code: str | None = f"final_answer({said.answer!r})"
    elif said.name is not None:
        code = f"print({said.name}({', '.join(f'{key}={value!r}' for key, value in said.arguments.items())}))"
    else:
        code = None
    return Action(raw=text, thought=said.thought, code=code, problem=said.problem, finished=finished)


def write(name: str, arguments: Mapping[str, Json], thought: str) -> str:
    """A call as this agent writes it."""
    return f"Thought: {_line(thought)}\nAction: {name}\nAction Input: {json.dumps(dict(arguments), ensure_ascii=False)}"


def answer(text: str, thought: str) -> str:
    """An answer as this agent writes it."""
    return f"Thought: {_line(thought)}\nFinal Answer: {text}"


def _call(rest: str) -> tuple[str, Mapping[str, Json], str | None]:
    given = _INPUT.search(rest)
    head = rest[: given.start()] if given else rest
    end = _END.search(head)
    head = (head[: end.start()] if end else head).strip(" \t\n*`")
    arguments: Mapping[str, Json]
    if head.startswith(("{", "json")):
        whole, problem = _object(head)
        name = next((whole[key] for key in _NAMES if isinstance(whole.get(key), str)), "")
        arguments = next((whole[key] for key in _ARGUMENTS if isinstance(whole.get(key), dict)), {})
    else:
        name, problem = head.split("\n")[0].strip(" \t*`'\"()"), None
        arguments, problem = _object(rest[given.end() :]) if given else ({}, None)
    wrong = [key for key in (name, *arguments) if not key.isidentifier() or keyword.iskeyword(key)]
    if problem is None and wrong:
        problem = f"{wrong[0]!r} is no name of a tool or a parameter. {_SHAPE}"
    return name, arguments, problem


def _object(text: str) -> tuple[dict[str, Json], str | None]:
    """The first JSON object in a text, or what is wrong with it."""
    end = _END.search(text)
    text = text[: end.start()] if end and "{" not in text[end.start() :] else text
    start = text.find("{")
    if start < 0:
        plain = text.strip(" \t\n*`")
        return {}, f"The action's input is no JSON object. {_SHAPE}" if plain not in ("", "None", "null") else None
    try:
        found, _ = json.JSONDecoder(parse_constant=_refuse, strict=False).raw_decode(text[start:])
    except (ValueError, RecursionError) as error:
        return {}, f"The action's input is no JSON ({error}). {_SHAPE}"
    return found, None


def _refuse(word: str) -> Json:
    raise ValueError(f"{word} is no JSON")


def _thought(text: str) -> str:
    return text.strip().removeprefix("Thought:").strip()


def _line(text: str) -> str:
    return " ".join(text.split())


def _cut(limit: int) -> str:
    return f"This answer was cut at the limit of {limit} tokens. Write shorter. {_SHAPE}"
