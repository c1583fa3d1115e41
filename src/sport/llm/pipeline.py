"""Pictures from words by a diffusers pipeline on this machine (extra ``painting``)."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import io
from pathlib import Path
from typing import Any

from sport.checkpoint import explained, quiet
from sport.config import SynthImages
from sport.errors import CheckpointError, ConfigError, ContentError

INDEX = "model_index.json"
TAKES = ("prompt", "width", "height", "num_inference_steps", "generator")
GET = "pip install 'sport[painting,local]'"


def installed() -> bool:
    """Whether the library is there; it is not imported."""
    return importlib.util.find_spec("diffusers") is not None


def check(folder: str, where: str) -> None:
    """Whether a pipeline lies in a directory; it is not loaded. Raises ConfigError, naming ``where`` it is set."""
    if not folder:
        raise ConfigError(f"{where}.model: name the directory of a diffusers pipeline")
    if not (Path(folder) / INDEX).is_file():
        raise ConfigError(f"{where}.model: no diffusers pipeline lies in {folder}: expected a directory with {INDEX}")


class DiffusersPainter:
    """One picture a call, one at a time, by a text-to-image pipeline in a local directory. Nothing is downloaded.

    It is loaded when it is first used.

    Args:
        settings: model, device, steps and size.
        where: their place in the configuration, for messages.

    Raises:
        ConfigError: the library is not installed, or no pipeline lies there.
    """

    def __init__(self, settings: SynthImages, where: str) -> None:
        if not installed():
            raise ConfigError(f"{where}.model: a pipeline needs diffusers; {GET}")
        check(settings.model, where)
        self.name = settings.model
        self._settings = settings
        self._where = where
        self._pipeline: Any = None
        self._one_at_a_time = asyncio.Lock()

    async def paint(self, words: str, seed: int) -> bytes:
        """The bytes of a PNG; equal arguments give equal pictures on one machine.

        Raises:
            CheckpointError: the pipeline cannot be loaded, or makes no pictures from words.
            ConfigError: a device that is not there, a size or steps that the pipeline refuses.
            ContentError: its safety checker withheld the picture.
        """
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._paint, words, seed)

    def _paint(self, words: str, seed: int) -> bytes:
        import diffusers
        import torch

        settings = self._settings
        width, height = map(int, settings.size.split("x"))
        with quiet(diffusers), quiet():
            self._pipeline = self._pipeline or self._load()
            try:
                made = self._pipeline(
                    prompt=words,
                    width=width,
                    height=height,
                    num_inference_steps=settings.steps,
                    generator=torch.Generator().manual_seed(seed),  # on the CPU: one picture on every device
                )
            except ValueError as error:  # how pipelines refuse what they are told
                raise ConfigError(
                    f"{self._where}: {settings.model} refuses size {settings.size} and {settings.steps} steps ({error})"
                ) from error
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            raise ContentError(f"{settings.model}: its safety checker withheld the picture")
        out = io.BytesIO()
        made.images[0].save(out, "PNG")
        return out.getvalue()

    def _load(self) -> Any:
        import diffusers

        folder = self._settings.model
        with explained(Path(folder), "cannot be loaded by diffusers"):
            kind: Any = diffusers.DiffusionPipeline
            pipeline = kind.from_pretrained(folder, local_files_only=True)
        lacks = [one for one in TAKES if one not in inspect.signature(pipeline.__call__).parameters]
        if lacks:
            name = type(pipeline).__name__
            raise CheckpointError(f"{folder}: {name} makes no pictures from words alone (it takes no {lacks[0]})")
        pipeline.set_progress_bar_config(disable=True)
        try:
            return pipeline.to(self._settings.device)
        except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"{self._where}.device: cannot use {self._settings.device!r} ({reason})") from error
