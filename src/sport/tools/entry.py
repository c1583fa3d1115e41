"""What the driver knows of a tool without running it: its spec, and where a worker finds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sport.errors import ConfigError
from sport.tools.base import ToolOutput
from sport.types import Json, ToolSpec


@dataclass(frozen=True)
class Limits:
    """What holds for the calls of one tool, or of all tools of one ``group``, which share their processes.

    Group "" is that of tools without limits of their own. ``concurrency`` counts processes, ``rate`` calls a minute,
    ``cost`` is what a call is charged with, ``env`` names variables of the environment that the processes get.
    """

    group: str = ""
    concurrency: int | None = None
    deadline_s: float | None = None
    memory_mb: int | None = None
    env: tuple[str, ...] = ()
    rate: float | None = None
    cost: float | None = None
    max_cost: float | None = None
    cache: bool = True


@dataclass(frozen=True)
class ToolEntry:
    """A tool by import path. ``factory(**options)`` is called in a worker, once, before the first call.

    ``factory`` is ``"package.module:Name"``; ``options`` are JSON. Everything that ``options`` change about results
    must be in ``spec.version``, since only that is part of the cache's key. ``origin`` is for people.
    What is not ``shown`` to models only other tools can call.
    """

    spec: ToolSpec
    factory: str
    options: Mapping[str, Json] = field(default_factory=dict)
    limits: Limits = Limits()
    origin: str = "built in"
    shown: bool = True


@dataclass(frozen=True)
class Hosted:
    """A tool that the driver runs itself, since it only asks a model or other tools: ``await call(arguments)``.

    ``call`` raises ToolError when it says no; a :class:`~sport.errors.FatalModelError` ends the run.
    """

    spec: ToolSpec
    call: Callable[[Mapping[str, Any]], Awaitable[Json | ToolOutput]]
    limits: Limits = Limits()
    origin: str = "built in"
    shown: bool = True


Entry = ToolEntry | Hosted


BUILTIN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ocr": ("sport.tools.ocr:Ocr", ("rapidocr", "onnxruntime")),
    "count": ("sport.tools.count:Count", ("opencv-python-headless",)),
    "locate": ("sport.tools.locate:Locate", ("opencv-python-headless",)),
    "crop": ("sport.tools.crop:Crop", ("pillow",)),
    "inspect_file_as_text": ("sport.tools.documents:InspectFileAsText", ("markitdown",)),
    "search": ("sport.tools.search:Search", ()),
    "OCR": ("sport.tools.gta.pictures:Ocr", ("rapidocr", "onnxruntime")),
    "DrawBox": ("sport.tools.gta.pictures:DrawBox", ("pillow",)),
    "AddText": ("sport.tools.gta.pictures:AddText", ("pillow",)),
}
"""Import path of each built-in tool, and the distributions whose versions are part of its own."""


def builtin(names: Sequence[str]) -> tuple[ToolEntry, ...]:
    """Entries of built-in tools, in the order of ``names``. No library that a tool works with is imported.

    Raises:
        ConfigError: an unknown name, or a tool whose library is not installed.
    """
    return tuple(_entry(name) for name in names)


def load(factory: str) -> type:
    """The class behind an import path.

    Raises:
        ImportError, AttributeError, ValueError: there is none.
    """
    module, _, name = factory.partition(":")
    found: type = getattr(import_module(module), name)
    return found


def _entry(name: str) -> ToolEntry:
    if name not in BUILTIN:
        raise ConfigError(f"tools.names: unknown tool {name!r}; known are {', '.join(BUILTIN)}")
    factory, distributions = BUILTIN[name]
    spec: ToolSpec = load(factory).spec  # type: ignore[attr-defined]
    try:
        behind = [f"{distribution}-{version(distribution)}" for distribution in distributions]
    except PackageNotFoundError as error:
        raise ConfigError(f"tools.names: {name} needs {error.name}; pip install 'sport[tools]'") from error
    return ToolEntry(spec.model_copy(update={"version": "+".join((spec.version, *behind))}), factory)
