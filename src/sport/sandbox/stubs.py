"""Inside: tools as plain functions. Arguments are checked here, the work is done by the host. Standard library only."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sport.sandbox.values import as_file

_dumps, _loads = json.dumps, json.loads  # the code may replace those in json
CallHost = Callable[[str, dict[str, Any]], Any]
"""``call(name, arguments)``: crosses to the host and returns the value, or raises ToolError."""

_ANNOTATIONS = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict, "file": str,
}  # fmt: skip
_TYPES: dict[str, tuple[Any, str]] = {
    "string": (str, "a string"),
    "integer": (int, "an integer"),
    "number": ((int, float), "a number"),
    "boolean": (bool, "True or False"),
    "array": (list, "a list"),
    "object": (dict, "a dict"),
    "file": (str, "a file name, a picture, a figure or a table"),
}


def make_stub(spec: Mapping[str, Any], call: CallHost, work: str) -> Callable[..., Any]:
    """A function with the tool's name, signature and docstring. ``work`` is the working directory's path.

    It raises TypeError for a missing, unknown or ill-typed argument, before anything crosses.
    """
    parameters = {p["name"]: p for p in spec["parameters"]}
    signature = _signature(spec["parameters"])

    def stub(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{spec['name']}{signature}: {error}") from None
        given = bound.arguments.items()
        return call(spec["name"], {name: checked(spec["name"], parameters[name], v, work) for name, v in given})

    stub.__name__ = stub.__qualname__ = spec["name"]
    stub.__doc__ = _doc(spec)
    stub.__module__ = "__main__"
    stub.__signature__ = signature  # type: ignore[attr-defined]
    return stub


def checked(tool: str, parameter: Mapping[str, Any], value: Any, work: str) -> Any:
    """``value`` as JSON, if it fits ``parameter``; a file becomes a path relative to the working directory.

    Raises:
        TypeError: it does not fit, or JSON cannot hold it.
        OSError: a picture, figure or table cannot be written for the tool.
    """
    name, kind = parameter["name"], parameter["type"]
    if value is None and not parameter["required"] and parameter["default"] is None:
        return None
    if kind == "file" and not isinstance(value, str | os.PathLike):
        value = as_file(value, work) or value
    try:
        plain = _loads(_dumps(value, default=_plain, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{tool}: argument {name!r} cannot cross to the tool ({error})") from None
    if kind in _TYPES:
        wanted, words = _TYPES[kind]
        if not isinstance(plain, wanted) or (isinstance(plain, bool) and kind in ("integer", "number")):
            raise TypeError(f"{tool}: argument {name!r} must be {words}, not {type(value).__name__}")
    return os.path.relpath(os.path.abspath(plain), work) if kind == "file" else plain


def _plain(value: Any) -> Any:
    """What numpy, pathlib and tuples-like things mean in JSON."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON; save it to a file and pass the file's name")


def _signature(parameters: Sequence[Mapping[str, Any]]) -> inspect.Signature:
    made, optional_seen, by_name = [], False, False
    for p in parameters:
        optional_seen |= not p["required"]
        by_name |= optional_seen and p["required"]  # Python allows it behind an optional one only by name
        kind = inspect.Parameter.KEYWORD_ONLY if by_name else inspect.Parameter.POSITIONAL_OR_KEYWORD
        default = inspect.Parameter.empty if p["required"] else p["default"]
        annotation = _ANNOTATIONS.get(p["type"], inspect.Parameter.empty)
        made.append(inspect.Parameter(p["name"], kind, default=default, annotation=annotation))
    return inspect.Signature(made)


def _doc(spec: Mapping[str, Any]) -> str:
    lines = [spec["description"], ""]
    lines += [f"{p['name']} ({p['type']}): {p['description']}" for p in spec["parameters"]]
    if spec["returns"]:
        lines.append(f"Returns: {spec['returns']}")
    return "\n".join(lines).strip()
