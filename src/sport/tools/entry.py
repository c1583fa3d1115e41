"""What the driver knows of a tool without running it: its spec, and where a worker finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from sport.errors import ConfigError
from sport.types import Json, ToolSpec


@dataclass(frozen=True)
class ToolEntry:
    """A tool by import path. ``factory(**options)`` is called in a worker, once, before the first call.

    ``factory`` is ``"package.module:Name"``; ``options`` are JSON. Everything that ``options`` change about results
    must be in ``spec.version``, since only that is part of the cache's key.
    """

    spec: ToolSpec
    factory: str
    options: Mapping[str, Json] = field(default_factory=dict)


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
