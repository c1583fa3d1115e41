"""A user's pictures with captions: a folder, a JSONL, or the JSON of ShareGPT4V's layout. Pictures are opened late."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sport.config import SynthImages
from sport.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Entry:
    """One picture. ``caption`` is None where nobody has said yet what it shows."""

    path: Path
    caption: str | None = None


def load(settings: SynthImages) -> list[Entry]:
    """The entries in their order (a folder's: by path). No picture is opened.

    Raises:
        InputError: no such library, one without pictures, or a broken line; the message names it.
    """
    place = Path(settings.library)
    if not settings.library or not place.exists():
        raise InputError(
            f"synth.images.library: {settings.library or '(not set)'}: not there; expected a folder of pictures, a "
            "JSONL of image and caption, or a JSON of ShareGPT4V's layout"
        )
    if place.is_dir():
        paths = sorted(path for path in place.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
        entries = [Entry(path) for path in paths]
    else:
        root = Path(settings.root) if settings.root else place.parent
        entries = _listed(place, root)
    if not entries:
        raise InputError(f"synth.images.library: {place}: holds no picture; expected some of {', '.join(ENDINGS)}")
    return entries


def _listed(place: Path, root: Path) -> list[Entry]:
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"synth.images.library: {place}: cannot be read ({error})") from error
    if text.lstrip().startswith("["):
        try:
            return [_shared(place, i, item, root) for i, item in enumerate(json.loads(text))]
        except json.JSONDecodeError as error:
            raise InputError(f"synth.images.library: {place}: not JSON ({error.msg}, line {error.lineno})") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return [_line(place, number, line, root) for number, line in lines]


def _line(place: Path, number: int, line: str, root: Path) -> Entry:
    try:
        data: Any = json.loads(line)
    except json.JSONDecodeError:
        data = None
    image = data.get("image") if isinstance(data, dict) else None
    caption = data.get("caption") if isinstance(data, dict) else None
    if not isinstance(image, str) or not isinstance(caption, str | None):
        raise InputError(
            f"synth.images.library: {place}: line {number}: expected "
            '{"image": "a/path.jpg", "caption": "what it shows"}; the caption may be missing'
        )
    return Entry(root / image, caption or None)


def _shared(place: Path, number: int, item: Any, root: Path) -> Entry:
    """ShareGPT4V: ``{"image": path, "conversations": [{"from": "human", ...}, {"from": "gpt", "value": caption}]}``."""
    try:
        turns: Sequence[Any] = item["conversations"]
        caption = next(turn["value"] for turn in turns if turn["from"] == "gpt")
        return Entry(root / item["image"], str(caption) or None)
    except (KeyError, TypeError, StopIteration):
        raise InputError(
            f"synth.images.library: {place}: item {number}: expected ShareGPT4V's layout, "
            '{"image": "a/path.jpg", "conversations": [{"from": "human", ...}, {"from": "gpt", "value": "a caption"}]}'
        ) from None
