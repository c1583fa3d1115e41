"""Arguments of a call: checked against the spec, completed with its defaults, and named by a hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from sport.errors import ToolError
from sport.tools.base import FileBytes
from sport.types import Json, Parameter, ToolSpec

KEY_FORMAT = 1  # changes with the meaning of a key or the layout of a cached answer
TEXT_LIMIT = 1 << 20  # characters of JSON, files not counted


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


FITS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": _whole,
    "number": _number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
    "file": lambda value: isinstance(value, FileBytes),
    "any": lambda value: not isinstance(value, FileBytes),
}


def bind(spec: ToolSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments in the order of the spec, optional ones filled in: equal calls get equal keys.

    Raises:
        ToolError: an argument that is missing, unknown or of the wrong type, in words for whoever called.
    """
    unknown = sorted(set(arguments) - {parameter.name for parameter in spec.parameters})
    if unknown:
        raise ToolError(f"{spec.name}() takes no argument {unknown[0]!r}; call it as {usage(spec)}")
    return {parameter.name: _value(spec, parameter, arguments) for parameter in spec.parameters}


def usage(spec: ToolSpec) -> str:
    """How to call a tool, in one line: ``crop(image: file, box: array)``."""
    inside = (f"{p.name}: {p.type}" + ("" if p.required else f" = {p.default!r}") for p in spec.parameters)
    return f"{spec.name}({', '.join(inside)})"


def key(spec: ToolSpec, bound: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over tool, version and arguments, with each file replaced by its own hash and media type.

    Raises:
        ToolError: an argument that JSON cannot hold, or too much of it.
    """
    named = {name: _named(value) for name, value in bound.items()}
    try:
        text = json.dumps([KEY_FORMAT, spec.name, spec.version, named], sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f"{spec.name}(): an argument is not plain data ({error})") from error
    if len(text) > TEXT_LIMIT:
        raise ToolError(f"{spec.name}(): the arguments have {len(text)} characters; at most {TEXT_LIMIT} are taken")
    return hashlib.sha256(text.encode()).hexdigest()


def _value(spec: ToolSpec, parameter: Parameter, arguments: Mapping[str, Any]) -> Any:
    if parameter.name not in arguments:
        if parameter.required:
            raise ToolError(f"{spec.name}() needs {parameter.name!r}; call it as {usage(spec)}")
        return parameter.default
    value = arguments[parameter.name]
    left_out = value is None and parameter.default is None and not parameter.required
    if not left_out and not FITS[parameter.type](value):
        raise ToolError(f"{spec.name}(): {parameter.name!r} must be {parameter.type}, not {type(value).__name__}")
    return value


def _named(value: Any) -> Json:
    if isinstance(value, FileBytes):
        return {"file": hashlib.sha256(value.data).hexdigest(), "media_type": value.media_type}
    return value
