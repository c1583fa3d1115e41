"""A function, a class or a smolagents tool of a user's as a :class:`~sport.tools.base.Tool`. Runs in workers only.

A source is ``"module:name"`` or ``"path/file.py:name"``. The file's folder can be imported from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from sport.errors import ConfigError
from sport.tools import smol
from sport.tools.base import Tool, ToolOutput
from sport.tools.hints import Signature, read
from sport.tools.results import output
from sport.types import Json, ToolSpec


class FunctionTool:
    """A callable with its signature. A file that it wants as a path lies in a folder that is gone afterwards."""

    def __init__(self, function: Callable[..., Any], signature: Signature) -> None:
        self._function = function
        self._signature = signature

    @property
    def spec(self) -> ToolSpec:
        """From hints and docstring."""
        return self._signature.spec

    def call(self, **arguments: Any) -> ToolOutput:
        """Convert, call, and bring the result into a form that can travel. Raises ToolError, and what it raises."""
        with tempfile.TemporaryDirectory(prefix="sport-tool-") as folder:
            return output(self._function(**self._signature.convert(arguments, pathlib.Path(folder))))


def make(source: str, options: Mapping[str, Json] | None = None) -> Tool:
    """The tool itself, ready to be called; a class is made with ``options``. Raises as :func:`describe`."""
    found, _ = _found(source)
    chosen = dict(options or {})
    if smol.is_tool(found):
        return smol.SmolTool(found(**chosen) if isinstance(found, type) else _bare(found, chosen, source))
    if not isinstance(found, type):
        bare = _bare(found, chosen, source)
        return cast(Tool, bare) if _is_ours(bare) else FunctionTool(bare, read(bare, _name(bare), source))
    try:
        made = found(**chosen)
    except TypeError as error:
        raise ConfigError(f"tool {_name(found)!r} ({source}): cannot be made with these options: {error}") from error
    if _is_ours(made):
        return cast(Tool, made)
    return FunctionTool(made, read(found.__call__, _name(found), source, found.__doc__ or ""))


def describe(source: str) -> ToolSpec:
    """What the driver needs to know; no class is made for it. The version is a hash of the source's file.

    Raises:
        ConfigError: there is nothing of that name, or nothing that can be a tool; see also :func:`hints.read`.
    """
    found, module = _found(source)
    if smol.is_tool(found):
        spec = smol.spec(found, source)
    elif _is_ours(found):
        spec = found.spec
    elif isinstance(found, type):
        if "__call__" not in dir(found) or found.__call__ is type.__call__:
            raise ConfigError(f"{source}: a class is a tool if it has spec and call, or a typed __call__")
        spec = read(found.__call__, _name(found), source, found.__doc__ or "").spec
    elif callable(found):
        spec = read(found, _name(found), source).spec
    else:
        raise ConfigError(f"{source}: neither a function nor a class, but {type(found).__name__}")
    return spec.model_copy(update={"version": f"{spec.version}+{_digest(module)}"})


def _found(source: str) -> tuple[Any, ModuleType]:
    place, _, name = source.rpartition(":")
    module = _file(place, source) if place.endswith(".py") else _module(place, source)
    if not hasattr(module, name):
        known = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        raise ConfigError(
            f"{source}: {place} has no {name!r}; it has {', '.join(known) or 'nothing that can be called'}"
        )
    return getattr(module, name), module


def _file(place: str, source: str) -> ModuleType:
    path = pathlib.Path(place)
    if not path.is_file():
        raise ConfigError(f"{source}: no such file; a path is relative to the directory that sport runs in")
    name = f"sport_tool_{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None and found.loader is not None  # a file that ends in .py has both
    module = importlib.util.module_from_spec(found)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module(place: str, source: str) -> ModuleType:
    try:
        return import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"{source}: no module {error.name!r} can be imported; install it, or name the file: path/file.py:function"
        ) from error


def _is_ours(found: Any) -> bool:
    return isinstance(getattr(found, "spec", None), ToolSpec) and callable(getattr(found, "call", None))


def _bare(found: Any, options: Mapping[str, Json], source: str) -> Any:
    if options:
        raise ConfigError(f"{source}: only a class takes options, and this is none; tools.settings has some for it")
    return found


def _name(found: Any) -> str:
    """A function's own; a class's as functions are named: ``UnitConverter`` is ``unit_converter``."""
    name = str(getattr(found, "__name__", type(found).__name__))
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() if isinstance(found, type) else name


def _digest(module: ModuleType) -> str:
    """Changes with the file that defines the tool; what it imports is not looked at."""
    path = getattr(module, "__file__", None)
    return hashlib.sha256(pathlib.Path(path).read_bytes() if path else b"").hexdigest()[:12]
