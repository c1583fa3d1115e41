"""Pictures for a page: shrunk and inlined once, or as files beside it."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sport.errors import RunError
from sport.types import File, ReadFile

SIDE = 320  # pixels
_MOST_PIXELS = 50_000_000  # a file made by a model's code may claim any size
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
_DAMAGED = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, RunError)  # Pillow's words; a lost file


@dataclass(frozen=True)
class Picture:
    """A picture's size on the page in pixels and its address; ``css`` is the class that draws it, "" for a file."""

    css: str
    width: int
    height: int
    uri: str


class Gallery:
    """Shrinks pictures and remembers them by content; each is inlined once, and drawn wherever its class is named.

    One that cannot be drawn is None, and the page says so.
    """

    def __init__(self, read: ReadFile) -> None:
        self._read = read
        self._pictures: dict[str, Picture | None] = {}

    def picture(self, file: File) -> Picture | None:
        """The picture of a file; None when it is none, damaged, or larger than any screen."""
        if not file.is_image:
            return None
        if file.sha256 not in self._pictures:
            self._pictures[file.sha256] = self._shrink(file)
        return self._pictures[file.sha256]

    @property
    def css(self) -> str:
        """One rule per picture. It holds hexadecimal names and base64 only: nothing a model wrote."""
        shown = [picture for picture in self._pictures.values() if picture]
        return "\n".join(f".{p.css}{{background-image:url({p.uri})}}" for p in shown)

    @property
    def size(self) -> int:
        """Bytes that the pictures take on the page."""
        return sum(len(picture.uri) for picture in self._pictures.values() if picture)

    def _shrink(self, file: File) -> Picture | None:
        opened = _open(file, self._read)
        if opened is None:
            return None
        _, _, image = opened
        image.thumbnail((SIDE, SIDE))
        uri = min((_encode(image, kind) for kind in ("JPEG", "PNG")), key=len)
        return Picture(f"p-{file.sha256[:16]}", image.width, image.height, uri)


class Shelf:
    """Puts pictures as they are into a folder, named by content; ``address`` is that folder as a page sees it."""

    def __init__(self, read: ReadFile, folder: Path, address: str) -> None:
        self._read = read
        self._folder = folder
        self._address = address
        self._pictures: dict[str, Picture | None] = {}

    def picture(self, file: File) -> Picture | None:
        """As :meth:`Gallery.picture`. Raises RunError when the folder cannot be written."""
        if not file.is_image:
            return None
        if file.sha256 not in self._pictures:
            self._pictures[file.sha256] = self._place(file)
        return self._pictures[file.sha256]

    def _place(self, file: File) -> Picture | None:
        opened = _open(file, self._read)
        if opened is None:
            return None
        data, kind, image = opened
        name = f"{file.sha256[:16]}.{kind.lower()}"
        try:
            (self._folder / name).write_bytes(data)
        except OSError as error:
            raise RunError(f"{self._folder / name}: cannot be written ({error.strerror})") from error
        return Picture("", image.width, image.height, f"{self._address}/{name}")


def _open(file: File, read: ReadFile) -> tuple[bytes, str, Image.Image] | None:
    """A picture's bytes, format and pixels; None for one that cannot be shown."""
    try:
        data = read(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is looked at here
            with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
                if opened.width * opened.height > _MOST_PIXELS:
                    return None
                return data, str(opened.format), opened.convert("RGB")
    except _DAMAGED:
        return None


def _encode(image: Image.Image, kind: str) -> str:
    out = io.BytesIO()
    image.save(out, kind, optimize=True, **({"quality": 78} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
