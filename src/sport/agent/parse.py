"""From a model's text to an action: forgiving about form, exact about what will run.

The code is that of the **first** Python block. Whatever follows it - a second block, an "Observation:" that the model
made up - was written before the world had answered, so joining it on would run a plan on invented results. Code is
never evaluated here: it is parsed to a syntax tree at most, to find out where a block ends. A block with a syntax error
is still an action; the sandbox reports the error with its line.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

from sport.types import Action

_FENCE = re.compile(r"`{3,}")
_LANGUAGE = re.compile(r"[ \t]*([A-Za-z0-9_+#.-]*)[ \t]*(?=\n|$)")
_PYTHON_INLINE = re.compile(r"[ \t]*(?:python3?|py3?)[ \t]+", re.IGNORECASE)
_PYTHON = frozenset({"", "py", "py3", "python", "python3"})
_END_LINE = re.compile(r"^[ \t]*(?:`{3,}|<end_action>|Observation:)", re.MULTILINE)
_END_INLINE = re.compile(r"`{3,}|<end_action>")
_TRIES = 16  # ends of a block that are tried before the first is taken: keeps hostile texts linear

_SHAPE = "Write 'Thought: ...', then 'Code:', then Python between ```py and ```."
NO_CODE = f"There is no code in this answer. {_SHAPE} To answer, call final_answer(...) in the code."
EMPTY = f"The code block is empty. {_SHAPE}"


def parse(text: str, finished: bool, max_new_tokens: int = 512) -> Action:
    """Read thought and code out of a text; ``raw`` keeps the text exactly as it came.

    Accepted: fences marked py, python or nothing, in any case; code on the fence's own line; a missing closing fence;
    ``Code:`` with or without a line break, ``<end_action>`` after it, CRLF, indentation, no thought. When nothing can
    run, ``code`` is None and ``problem`` tells the model what to change.

    Args:
        text: the model's text, without its end-of-turn token.
        finished: False when the text was cut at the token limit.
        max_new_tokens: that limit, for the message.
    """
    flat = text.replace("\r\n", "\n").replace("\r", "\n")
    start, code_at, other = _opening(flat)
    thought = _thought(flat[:start])
    if code_at is None:
        problem = _cut(max_new_tokens) if not finished else _no_python(other)
        return Action(raw=text, thought=thought, problem=problem, finished=finished)
    end = _closing(flat[code_at:], finished)
    if end is None:
        return Action(raw=text, thought=thought, problem=_cut(max_new_tokens), finished=finished)
    code = _tidy(flat[code_at : code_at + end])
    if not code:
        return Action(raw=text, thought=thought, problem=EMPTY, finished=finished)
    return Action(raw=text, thought=thought, code=code, finished=finished)


def same_action(left: Action, right: Action) -> bool:
    """Whether two actions are equal after normalising.

    Thoughts are compared up to white space; code up to trailing white space (indentation is meaning). Texts without
    code are compared whole, up to white space.
    """
    return _essence(left) == _essence(right)


def _essence(action: Action) -> tuple[str, str]:
    if action.code is None:
        return "", " ".join(action.raw.split())
    lines = [line.rstrip() for line in action.code.strip().split("\n")]
    return "\n".join(lines), " ".join(action.thought.split())


def _opening(text: str) -> tuple[int, int | None, str]:
    """Where the first Python fence starts, where its code starts, and the mark of a block in another language."""
    other, at = "", 0
    while fence := _FENCE.search(text, at):
        if inline := _PYTHON_INLINE.match(text, fence.end()):
            return fence.start(), inline.end(), other
        mark = _LANGUAGE.match(text, fence.end())
        if mark is None:  # words follow on the fence's line: code without a mark
            return fence.start(), fence.end(), other
        if mark[1].lower() in _PYTHON:
            return fence.start(), mark.end(), other
        other = other or mark[1]
        closing = _FENCE.search(text, mark.end())
        if closing is None:
            break
        at = closing.end()
    return len(text), None, other


def _closing(block: str, finished: bool) -> int | None:
    """The offset where the code ends; None when the text was cut inside it.

    An end on a line of its own beats one inside a line, and one that leaves whole Python beats one that does not: so
    fences in strings and comments do no harm.
    """
    lines = [match.start() for match, _ in zip(_END_LINE.finditer(block), range(_TRIES), strict=False)]
    inline = [match.start() for match, _ in zip(_END_INLINE.finditer(block), range(_TRIES), strict=False)]
    for end in (*lines, *inline):
        if _compiles(_tidy(block[:end])):
            return end
    if lines:
        return lines[0]
    if not finished:
        return None
    return inline[0] if inline else len(block)


def _tidy(code: str) -> str:
    code = code.replace("\ufeff", "")
    first, newline, rest = code.partition("\n")
    if first.strip():  # the code began on the fence's own line
        code = first.lstrip() + newline + rest
    return textwrap.dedent(code).strip("\n").rstrip()


def _thought(text: str) -> str:
    return text.strip().removesuffix("Code:").removeprefix("Thought:").strip()


def _compiles(code: str) -> bool:
    """Whether the code is Python by its syntax. Nothing is run, folded or kept."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a string warns; the model's style is not ours to police
            ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # NUL bytes, endless nesting
        return False
    return True


def _cut(limit: int) -> str:
    return f"This answer was cut at the limit of {limit} tokens, before its code ended. Write shorter. {_SHAPE}"


def _no_python(other: str) -> str:
    return f"The code block is marked {other!r}; only Python runs. {_SHAPE}" if other else NO_CODE
