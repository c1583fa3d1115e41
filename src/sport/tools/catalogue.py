"""Every tool that comes with the package: where it is, what it works with, and what a user has to get for it.

Licences are those of the weights that the page of a tool recommends, as their owners state them; a tool runs any
weights of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sport.tools.entry import BUILTIN

GPU = ("CUDA_VISIBLE_DEVICES", "HF_HOME", "HOME")
"""Variables of the environment that a tool with a model gets."""


@dataclass(frozen=True)
class More:
    """What a tool does beyond its card where ``option`` names ``weights`` for it; ``description`` is its new one.

    It has processes of its own then, with ``env`` of the environment.
    """

    option: str
    description: str
    weights: str
    licence: str
    distributions: tuple[str, ...]
    env: tuple[str, ...] = GPU


@dataclass(frozen=True)
class Card:
    """One tool. ``weights`` says what to get, ``licence`` under which terms; ``model`` tools ask a model of the run.

    ``alone``: it has processes of its own. ``env`` is what those get of the environment. ``options`` are those that are
    not parameters of the factory. ``more`` is what it can do with weights that it does not need.
    """

    factory: str
    distributions: tuple[str, ...] = ()
    extra: str = "tools"
    weights: str = ""
    licence: str = ""
    model: bool = False
    alone: bool = False
    env: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    more: More | None = None


CARDS: Mapping[str, Card] = {
    **{name: Card(factory, distributions) for name, (factory, distributions) in BUILTIN.items()},
    "inspect_file_as_text": Card(
        *BUILTIN["inspect_file_as_text"],
        more=More(
            "speech",
            "Read a document (CSV, XLSX, PDF, DOCX, PPTX, HTML, text) as Markdown text, or an audio file (WAV, FLAC, "
            "OGG, MP3) as the words that are said in it.",
            weights="openai/whisper-base",
            licence="Apache-2.0",
            distributions=("transformers", "torch", "soundfile", "scipy"),
        ),
    ),
    "web_search": Card("sport.tools.web_search:WebSearch", ("ddgs",), extra="web", alone=True),
    "visit": Card("sport.tools.visit:Visit", ("trafilatura", "httpx2"), extra="web", alone=True),
    "visualizer": Card("sport.tools.visualizer:Visualizer", model=True, options=("checkpoint",)),
    "ask_search_agent": Card("sport.tools.search_agent:SearchAgent", model=True),
    "image_generator": Card(
        "sport.tools.painting:ImageGenerator", model=True, options=("model", "size", "ask_base64", "device", "steps")
    ),
    "image_edit": Card("sport.tools.painting:ImageEdit", model=True),
    "objectlocation": Card(
        "sport.tools.objectlocation:ObjectLocation",
        ("transformers", "torch"),
        extra="local",
        weights="google/owlv2-base-patch16-ensemble, or IDEA-Research/grounding-dino-tiny",
        licence="Apache-2.0",
        alone=True,
        env=GPU,
    ),
    "segmentation": Card(
        "sport.tools.segmentation:Segmentation",
        ("transformers", "torch"),
        extra="local",
        weights="facebook/sam2.1-hiera-small",
        licence="Apache-2.0",
        alone=True,
        env=GPU,
    ),
    "facedetection": Card(
        "sport.tools.facedetection:FaceDetection",
        ("opencv-python-headless",),
        weights="face_detection_yunet_2023mar.onnx of OpenCV Zoo",
        licence="MIT",
        alone=True,
    ),
}
"""By name. ``web_search`` is what ``search`` becomes when it is given a provider."""
