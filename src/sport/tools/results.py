"""What a tool of somebody else's returns, as a JSON value and files."""

from __future__ import annotations

import dataclasses
import io
import pathlib
from typing import Any

import PIL.Image
from pydantic import BaseModel

from sport.tools.base import ToolOutput


def output(value: Any) -> ToolOutput:
    """Pictures, bytes and paths become files, models and arrays become JSON; anything else is left as it is.

    A list or tuple of files alone becomes as many files, numbered. Whether the rest is JSON the worker finds out.
    """
    if isinstance(value, ToolOutput):
        return value
    if (made := _file(value, "")) is not None:
        return ToolOutput(files=dict([made]))
    if isinstance(value, list | tuple) and value:
        files = [_file(one, f"_{number}") for number, one in enumerate(value, 1)]
        if all(file is not None for file in files):
            return ToolOutput(files=dict(file for file in files if file is not None))
    return ToolOutput(value=plain(value))


def plain(value: Any) -> Any:
    """Models, dataclasses, sets and numpy's numbers and arrays as JSON values, inside lists and dicts as well."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _file(value: Any, number: str) -> tuple[str, bytes] | None:
    if isinstance(value, PIL.Image.Image):
        buffer = io.BytesIO()
        value.convert("RGBA" if value.has_transparency_data else "RGB").save(buffer, "PNG")
        return f"image{number}.png", buffer.getvalue()
    if isinstance(value, bytes):
        return f"result{number}.bin", value
    if isinstance(value, pathlib.Path):
        return value.name, value.read_bytes()
    return None
