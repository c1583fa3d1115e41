"""Bytes to pixels and back, for every tool that looks at pictures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL.Image

from sport.errors import ToolError
from sport.tools.base import FileBytes
from sport.tools.guard import PICTURES

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def pixels(file: FileBytes) -> Pixels:
    """An RGB picture (height, width, 3), uint8; what is transparent stands on white, an animation is its first frame.

    An orientation noted in the file is not applied: boxes are in the pixels that any other reader finds.

    Raises:
        ToolError: this is no picture, or a damaged one.
    """
    return np.asarray(picture(file))


def png(picture: Pixels) -> bytes:
    """An RGB picture (height, width, 3) as PNG; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(picture, "RGB").save(buffer, "PNG")
    return buffer.getvalue()


def picture(file: FileBytes) -> PIL.Image.Image:
    """The same as Pillow has it. Raises ToolError as :func:`pixels`."""
    try:
        with PIL.Image.open(io.BytesIO(file.data), formats=PICTURES) as opened:
            if not opened.has_transparency_data:
                return opened.convert("RGB")
            above = opened.convert("RGBA")
    except PIL.UnidentifiedImageError as error:
        raise ToolError(f"not a picture ({', '.join(PICTURES)} can be read)") from error
    except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
        raise ToolError(f"a damaged picture ({error})") from error
    white = PIL.Image.new("RGBA", above.size, "white")
    return PIL.Image.alpha_composite(white, above).convert("RGB")
