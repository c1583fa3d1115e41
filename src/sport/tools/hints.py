"""A typed Python function as a tool: its spec from hints and docstring, its arguments made into what it asks for.

A parameter that is annotated ``bytes``, ``pathlib.Path``, ``PIL.Image.Image`` or :class:`FileBytes` takes a file; every
other hint is pydantic's affair, so that ``list[int]``, ``Literal["a", "b"]``, ``Annotated[int, Field(ge=0)]``,
dataclasses and pydantic models work.
"""

from __future__ import annotations

import inspect
import mimetypes
import pathlib
import tempfile
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import PIL.Image
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from sport.errors import ConfigError, ToolError
from sport.tools.base import FileBytes
from sport.tools.pictures import picture
from sport.tools.schema import parameter
from sport.types import Json, Parameter, ToolSpec

PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
FILES: tuple[type, ...] = (FileBytes, bytes, pathlib.Path, PIL.Image.Image)
KNOWN = (
    "str, int, float, bool, list, dict, Literal, Any, a dataclass or pydantic model, "
    "and for a file bytes, pathlib.Path or PIL.Image.Image"
)


@dataclass(frozen=True)
class Signature:
    """What a function takes: its spec, and how each JSON argument becomes what the hint says."""

    spec: ToolSpec
    hints: Mapping[str, TypeAdapter[Any] | type] = field(repr=False)

    def convert(self, arguments: Mapping[str, Any], folder: pathlib.Path) -> dict[str, Any]:
        """Arguments for the function itself. Files that it wants as paths are written into ``folder``.

        Raises:
            ToolError: a value that its hint refuses, or a picture that cannot be opened.
        """
        return {name: self._one(name, value, folder) for name, value in arguments.items()}

    def _one(self, name: str, value: Any, folder: pathlib.Path) -> Any:
        hint = self.hints[name]
        if value is None and not self._required(name):
            return None
        if not isinstance(hint, TypeAdapter):
            return _opened(hint, name, value, folder)
        try:
            return hint.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            inside = "".join(f"[{part!r}]" for part in first["loc"])
            raise ToolError(f"{name}{inside}: {first['msg']}") from error

    def _required(self, name: str) -> bool:
        return next(one.required for one in self.spec.parameters if one.name == name)


def read(function: Callable[..., Any], name: str, origin: str, words: str = "") -> Signature:
    """The signature of a function (``self`` of a method left out) under a tool's name; ``origin`` is for messages.

    ``words`` stand for a docstring where the function has none.

    Raises:
        ConfigError: no docstring; a parameter without a hint, with one that no JSON value fits, or with a default that
            is not JSON; ``*args`` or ``**kwargs``.
    """
    where = f"tool {name!r} ({origin})"
    told = _docstring(function.__doc__ or words, where)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where}: a type hint cannot be resolved: {error}") from error
    parameters, adapters = [], {}
    for one in inspect.signature(function).parameters.values():
        if one.name == "self":
            continue
        if one.kind not in PLAIN:
            raise ConfigError(f"{where}: {one} cannot be described to a model; give every parameter a name")
        if one.name not in hints:
            raise ConfigError(f"{where}: parameter {one.name!r} has no type hint; expected {KNOWN}")
        adapters[one.name] = _adapter(hints[one.name], f"{where}: parameter {one.name!r}")
        parameters.append(_parameter(one, adapters[one.name], told.parameters.get(one.name, ""), where))
    returns = told.returns or ("" if "return" not in hints else _named(hints["return"]))
    spec = ToolSpec(name=name, description=told.text, parameters=tuple(parameters), returns=returns)
    return Signature(spec, adapters)


@dataclass(frozen=True)
class _Told:
    text: str
    parameters: Mapping[str, str]
    returns: str


def _docstring(text: str, where: str) -> _Told:
    import docstring_parser

    text = inspect.cleandoc(text)
    if not text:
        raise ConfigError(f"{where}: has no docstring, and a model knows of a tool only what that says")
    found = docstring_parser.parse(text)
    parts = (part for part in (found.short_description, found.long_description) if part)
    described = {one.arg_name: " ".join((one.description or "").split()) for one in found.params}
    returns = " ".join((found.returns.description or "").split()) if found.returns else ""
    return _Told("\n\n".join(parts) or text, described, returns)


def _adapter(hint: Any, where: str) -> TypeAdapter[Any] | type:
    bare = _without_none(hint)
    if isinstance(bare, type) and issubclass(bare, FILES):
        return bare
    try:
        adapter = TypeAdapter(hint)
        adapter.json_schema()
    except PydanticUserError as error:
        raise ConfigError(f"{where} is annotated {_named(hint)}, which no JSON value fits; expected {KNOWN}") from error
    return adapter


def _parameter(one: inspect.Parameter, hint: TypeAdapter[Any] | type, described: str, where: str) -> Parameter:
    required = one.default is inspect.Parameter.empty
    if not isinstance(hint, TypeAdapter):
        if not required and one.default is not None:
            raise ConfigError(f"{where}: parameter {one.name!r} is a file; the only default that it can have is None")
        return Parameter(name=one.name, type="file", description=described, required=required)
    default: Json = None
    if not required:
        try:
            default = hint.dump_python(one.default, mode="json", warnings=False)
        except ValueError as error:
            raise ConfigError(f"{where}: the default of {one.name!r} is not JSON ({error})") from error
    return parameter(one.name, hint.json_schema(), required=required, default=default, description=described)


def _opened(hint: type, name: str, value: FileBytes, folder: pathlib.Path) -> Any:
    if issubclass(hint, FileBytes):
        return value
    if issubclass(hint, bytes):
        return value.data
    if issubclass(hint, PIL.Image.Image):
        return picture(value)
    ending = mimetypes.guess_extension(value.media_type.partition(";")[0]) or ""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{name}-", suffix=ending, delete=False) as file:
        file.write(value.data)
    return pathlib.Path(file.name)


def _without_none(hint: Any) -> Any:
    """``bytes | None`` is a file that may be left out, ``Annotated[bytes, ...]`` is one with a note."""
    if typing.get_origin(hint) is typing.Annotated:
        return _without_none(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
        return _without_none(parts[0]) if len(parts) == 1 else hint
    return hint


def _named(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)
