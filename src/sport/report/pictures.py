"""Pictures small enough for a page, each inlined once and drawn wherever its class is named."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image

from sport.errors import RunError
from sport.types import File, ReadFile

SIDE = 320  # pixels
_MOST_PIXELS = 50_000_000  # a file made by a model's code may claim any size


@dataclass(frozen=True)
class Picture:
    """A picture's CSS class, its size on the page in pixels, and its data URI."""

    css: str
    width: int
    height: int
    uri: str


class Gallery:
    """Shrinks pictures and remembers them by content. One that cannot be drawn is None, and the page says so."""

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
        try:
            with Image.open(io.BytesIO(self._read(file)), formats=("PNG", "JPEG", "GIF", "BMP", "WEBP")) as opened:
                if opened.width * opened.height > _MOST_PIXELS:
                    return None
                image = opened.convert("RGB")
        except (OSError, ValueError, SyntaxError, RunError):  # what Pillow says of damaged bytes; a lost file
            return None
        image.thumbnail((SIDE, SIDE))
        uri = min((_encode(image, kind) for kind in ("JPEG", "PNG")), key=len)
        return Picture(f"p-{file.sha256[:16]}", image.width, image.height, uri)


def _encode(image: Image.Image, kind: str) -> str:
    out = io.BytesIO()
    image.save(out, kind, optimize=True, **({"quality": 78} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
