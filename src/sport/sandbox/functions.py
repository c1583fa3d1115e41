"""Host: plain Python functions as tools."""

from __future__ import annotations

import asyncio
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from sport.errors import ConfigError, ToolError
from sport.sandbox.names import check_names
from sport.tools.base import Answered, FileBytes, ToolOutput
from sport.types import Parameter, ToolSpec

Kind = Literal["string", "integer", "number", "boolean", "array", "object", "file", "any"]
_KINDS: dict[Any, Kind] = {
    str: "string", int: "integer", float: "number", bool: "boolean", list: "array", tuple: "array", dict: "object",
    bytes: "file", FileBytes: "file",
}  # fmt: skip
_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Functions:
    """A :data:`~sport.tools.base.CallTool` over functions, called in this process (see :func:`describe`).

    A function may be ``async``; one that is not runs in a thread. What it returns is a JSON value or a
    :class:`~sport.tools.base.ToolOutput` with files; what it raises is raised where the code called it, as ToolError.
    What this does not do: limit, cache or isolate a tool. :class:`~sport.tools.toolbox.Toolbox` does.
    """

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self.specs = tuple(describe(function) for function in functions)
        check_names(spec.name for spec in self.specs)
        self._functions = {spec.name: function for spec, function in zip(self.specs, functions, strict=True)}

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        """Call one of them; it never raises for what a function does."""
        function = self._functions[name]
        wanted = _hints(function)
        given = {
            key: value.data if isinstance(value, FileBytes) and wanted.get(key) is bytes else value
            for key, value in arguments.items()
        }
        try:
            if inspect.iscoroutinefunction(function):
                output = await function(**given)
            else:
                output = await asyncio.to_thread(function, **given)
        except ToolError as error:
            return Answered(error=str(error))
        except Exception as error:
            return Answered(error=f"{name}() failed: {type(error).__name__}: {error}")
        if isinstance(output, ToolOutput):
            return Answered(output.value, output.files)
        return Answered(output)


def describe(function: Callable[..., Any]) -> ToolSpec:
    """What code inside is told of a function: its name, its parameters by their annotations, its docstring.

    ``bytes`` stands for a file: the code gives a file's name, a picture or a table, and the function gets the bytes.

    Raises:
        ConfigError: a parameter that is neither positional nor by keyword, or an annotation that JSON does not know.
    """
    name, hints = function.__name__, _hints(function)
    check_names([name])
    return ToolSpec(
        name=name,
        description=inspect.getdoc(function) or "",
        parameters=tuple(_parameter(name, one, hints) for one in inspect.signature(function).parameters.values()),
        returns="" if "return" not in hints else getattr(hints["return"], "__name__", str(hints["return"])),
    )


def _parameter(tool: str, one: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    if one.kind not in _PLAIN:
        raise ConfigError(f"tool {tool!r}: {one} cannot be described; give every parameter a name")
    hint = hints.get(one.name, Any)
    kind = _kind(hint)
    if kind is None:
        known = ", ".join(sorted(known.__name__ for known in _KINDS))
        raise ConfigError(f"tool {tool!r}: parameter {one.name!r} is annotated {hint!r}; expected one of {known}")
    required = one.default is inspect.Parameter.empty
    return Parameter(name=one.name, type=kind, required=required, default=None if required else one.default)


def _kind(hint: Any) -> Kind | None:
    if hint is Any:
        return "any"
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    parts = [part for part in (get_args(hint) if is_union else (hint,)) if part is not types.NoneType]
    kinds = {_KINDS.get(typing.get_origin(part) or part) for part in parts}
    return "number" if kinds == {"integer", "number"} else kinds.pop() if len(kinds) == 1 else None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(function)
