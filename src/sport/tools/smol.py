"""smolagents tools: classes with ``name``, ``description``, ``inputs`` and ``forward``, and functions under ``@tool``.

Nothing here imports smolagents: whoever hands such a tool in has done so.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from sport.errors import ConfigError
from sport.tools.base import FileBytes, ToolOutput
from sport.tools.pictures import picture
from sport.tools.results import output
from sport.tools.schema import parameter
from sport.types import Json, Parameter, ToolSpec

FILES = ("image", "audio")
LIBRARY = "smolagents"


class SmolTool:
    """One of them. An image arrives as Pillow's, audio as the path or bytes that smolagents' own type makes of it."""

    def __init__(self, tool: Any) -> None:
        self._tool = tool
        self.spec = spec(tool, type(tool).__name__)

    def call(self, **arguments: Any) -> ToolOutput:
        """Set it up when it is first called, as smolagents does, and call it. Raises what it raises, and ToolError."""
        left_out = {name for name, one in _defaults(self._tool).items() if one is None}
        given = {
            name: self._opened(name, value)
            for name, value in arguments.items()
            if value is not None or name not in left_out
        }
        result = self._tool(**given)
        return output(result.to_raw() if hasattr(result, "to_raw") else result)

    def _opened(self, name: str, value: Any) -> Any:
        if not isinstance(value, FileBytes):
            return value
        return picture(value) if self._tool.inputs[name]["type"] == "image" else value.data


def is_tool(found: Any) -> bool:
    """Whether this is a tool of that library, or a class of such tools."""
    library = sys.modules.get(LIBRARY)
    if library is None:
        return False
    return issubclass(found, library.Tool) if isinstance(found, type) else isinstance(found, library.Tool)


def spec(tool: Any, source: str) -> ToolSpec:
    """From its class attributes, without making it.

    Raises:
        ConfigError: attributes that smolagents itself would refuse.
    """
    try:
        defaults = _defaults(tool)
        parameters = tuple(_parameter(name, one, defaults) for name, one in tool.inputs.items())
        return ToolSpec(
            name=tool.name, description=tool.description, parameters=parameters, returns=str(tool.output_type)
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{source}: not a whole smolagents tool: {error}") from error


def _parameter(name: str, said: Mapping[str, Any], defaults: Mapping[str, Any]) -> Parameter:
    required = not said.get("nullable", False) and name not in defaults
    if said["type"] in FILES:
        return Parameter(name=name, type="file", description=said["description"], required=required)
    schema = {key: value for key, value in said.items() if key not in ("nullable", "description")}
    default: Json = defaults.get(name)
    return parameter(name, schema, required=required, default=default, description=said["description"])


def _defaults(tool: Any) -> dict[str, Any]:
    signature = inspect.signature(tool.forward)
    return {one.name: one.default for one in signature.parameters.values() if one.default is not one.empty}
