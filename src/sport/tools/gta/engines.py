"""GTA's tools that need a model: each is a question to one of ours, by name, and its answer in GTA's form.

Which engine stands behind ``visualizer``, ``objectlocation``, ``search``, ``image_generator`` and ``image_edit``
(weights, an endpoint, a provider) is the configuration's affair, under those names. A region is
cut out by ``crop`` first.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from sport.errors import ToolError
from sport.tools.base import Answered, CallTool, FileBytes, ToolOutput
from sport.tools.gta.pictures import as_file, box
from sport.types import Json, ToolSpec

ENGINES: Mapping[str, tuple[str, ...]] = {
    "ImageDescription": ("visualizer",),
    "RegionAttributeDescription": ("visualizer", "crop"),
    "CountGivenObject": ("visualizer", "crop"),
    "MathOCR": ("visualizer",),
    "TextToBbox": ("objectlocation",),
    "GoogleSearch": ("search",),
    "TextToImage": ("image_generator",),
    "ImageStylization": ("image_edit",),
}
"""What each works with."""

_DESCRIBE = "Describe this picture in at most four sentences: what it shows, how many of it, where, and any text."
_ATTRIBUTE = "This is a region of a picture. Describe in at most three sentences: {attribute}"
_COUNT = "How many of these are in the picture: {text}? Answer with one whole number in digits and nothing else."
_FORMULA = "Write the formula in this picture in LaTeX, without dollar signs, and nothing else."
_INTEGER = re.compile(r"\d+")


class Engines:
    """Our tools by name, asked with the parameters that their own specs have.

    Args:
        specs: of the engines, by name.
        call: how they are called.
    """

    def __init__(self, specs: Mapping[str, ToolSpec], call: CallTool) -> None:
        self._specs = specs
        self._call = call

    async def ask(self, name: str, image: FileBytes | None = None, text: str | None = None) -> Answered:
        """A call with a picture and a text, put where the engine's spec takes a file and a string.

        Raises:
            ToolError: the engine says no.
        """
        parameters = self._specs[name].parameters
        file = next((p.name for p in parameters if p.type == "file"), None)
        words = next((p.name for p in parameters if p.type == "string"), None)
        given: dict[str, Any] = {file: image} if file and image is not None else {}
        if words and text is not None:
            given[words] = text
        return await self._checked(name, given)

    async def cut(self, image: FileBytes, bbox: str) -> FileBytes:
        """A region as a picture. Raises ToolError."""
        made = await self._checked("crop", {"image": image, "box": list(box(bbox))})
        return replace(image, data=next(iter(made.files.values())), media_type="image/png")

    async def _checked(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        answered = await self._call(name, arguments)
        if answered.error is not None:
            raise ToolError(answered.error)
        return answered


async def describe(arguments: Mapping[str, Any], engines: Engines) -> str:
    """ImageDescription."""
    return _words(await engines.ask("visualizer", arguments["image"], _DESCRIBE))


async def describe_region(arguments: Mapping[str, Any], engines: Engines) -> str:
    """RegionAttributeDescription."""
    region = await engines.cut(arguments["image"], arguments["bbox"])
    question = _ATTRIBUTE.format(attribute=arguments["attribute"])
    return _words(await engines.ask("visualizer", region, question))


async def count(arguments: Mapping[str, Any], engines: Engines) -> int:
    """CountGivenObject."""
    image = arguments["image"]
    if arguments.get("bbox"):
        image = await engines.cut(image, arguments["bbox"])
    said = _words(await engines.ask("visualizer", image, _COUNT.format(text=arguments["text"])))
    number = _INTEGER.search(said)
    if number is None:
        raise ToolError(f"the model gave no number of {arguments['text']!r:.60}: {said:.120}")
    return int(number[0])


async def formula(arguments: Mapping[str, Any], engines: Engines) -> str:
    """MathOCR."""
    return _words(await engines.ask("visualizer", arguments["image"], _FORMULA)).strip("$ \n")


async def locate(arguments: Mapping[str, Any], engines: Engines) -> str:
    """TextToBbox."""
    found = _boxes((await engines.ask("objectlocation", arguments["image"], arguments["text"])).value)
    found = sorted(found, key=lambda one: -one[1])[: 1 if arguments.get("top1", True) else None]
    if not found:
        raise ToolError(f"nothing like {arguments['text']!r:.60} was found")
    lines = [f"({', '.join(str(round(edge)) for edge in edges)}), score {score * 100:.0f}" for edges, score in found]
    return "\n".join(lines)


async def search(arguments: Mapping[str, Any], engines: Engines) -> str:
    """GoogleSearch. Results are those of the configured provider, whoever that is."""
    found = (await engines.ask("search", text=arguments["query"])).value
    if not isinstance(found, list):
        raise ToolError("GoogleSearch needs a provider: set tools.settings.search.options.provider")
    chosen = found[: max(1, int(arguments.get("k") or 10))]
    return "\n\n".join(f"{i} - {one.get('title', '')}: {one.get('text', '')}" for i, one in enumerate(chosen, 1))


async def paint(arguments: Mapping[str, Any], engines: Engines) -> ToolOutput:
    """TextToImage."""
    return _picture("image", await engines.ask("image_generator", text=arguments["keywords"]))


async def stylise(arguments: Mapping[str, Any], engines: Engines) -> ToolOutput:
    """ImageStylization."""
    return _picture("edited", await engines.ask("image_edit", arguments["image"], arguments["instruction"]))


Work = Callable[[Mapping[str, Any], Engines], Awaitable[Json | ToolOutput]]

WORK: Mapping[str, Work] = {
    "ImageDescription": describe,
    "RegionAttributeDescription": describe_region,
    "CountGivenObject": count,
    "MathOCR": formula,
    "TextToBbox": locate,
    "GoogleSearch": search,
    "TextToImage": paint,
    "ImageStylization": stylise,
}


def _words(answered: Answered) -> str:
    return str(answered.value or "").strip()


def _boxes(value: Json) -> list[tuple[list[float], float]]:
    """Boxes with scores in [0, 1], of a list of {box or bbox, score}."""
    found = []
    for one in value if isinstance(value, list) else []:
        edges = one.get("box", one.get("bbox")) if isinstance(one, Mapping) else one
        score = one.get("score", 1.0) if isinstance(one, Mapping) else 1.0
        found.append(([float(edge) for edge in edges], float(score)))
    return found


def _picture(stem: str, answered: Answered) -> ToolOutput:
    if not answered.files:
        raise ToolError("the model made no picture")
    name, data = next(iter(answered.files.items()))
    return as_file(stem, name.rpartition(".")[2] or "png", data)
