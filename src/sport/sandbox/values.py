"""Inside: values that JSON cannot hold go to a tool as files - pictures, figures, tables. Standard library only.

Kinds are told by what an object can do and by its class's own module, so that no library is imported for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

FOLDER = ".tmp"
"""Files made for a tool lie here, out of the outputs' way."""
MAX_NAMES = 100_000


def as_file(value: Any, work: str) -> str | None:
    """Write ``value`` into a new file below ``work``: its path, or None where it is no picture, figure or table.

    A Pillow image, an array of 8-bit pixels (height, width[, 3 or 4]) and a matplotlib figure become PNG, a pandas
    table or column CSV (with its index, unless that only counts the rows).
    """
    found = _writer(value)
    if found is None:
        return None
    ending, write = found
    folder = os.path.join(work, FOLDER)
    os.makedirs(folder, exist_ok=True)
    names = (os.path.join(folder, f"sent_{number}{ending}") for number in range(1, MAX_NAMES))
    path = next(name for name in names if not os.path.lexists(name))
    write(path)
    return path


def _writer(value: Any) -> tuple[str, Callable[[str], Any]] | None:
    library = type(value).__module__.partition(".")[0]
    if callable(getattr(value, "savefig", None)):
        return ".png", value.savefig
    if library == "PIL" and callable(getattr(value, "save", None)):
        return ".png", lambda path: _picture(value).save(path)
    if library == "pandas" and callable(getattr(value, "to_csv", None)):
        counts = type(value.index).__name__ == "RangeIndex"
        return ".csv", lambda path: value.to_csv(path, index=not counts)
    if library == "numpy" and _is_pixels(value):
        from PIL import Image

        return ".png", lambda path: Image.fromarray(value).save(path)
    return None


def _picture(image: Any) -> Any:
    """The image in a mode that PNG has."""
    return image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16") else image.convert("RGB")


def _is_pixels(array: Any) -> bool:
    shape: tuple[int, ...] = array.shape if hasattr(array, "shape") else ()
    is_grey, is_colour = len(shape) == 2, len(shape) == 3 and shape[2] in (3, 4)
    return str(getattr(array, "dtype", "")) == "uint8" and (is_grey or is_colour)
