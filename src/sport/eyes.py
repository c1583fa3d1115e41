"""How a picture becomes numbers for a vision tower, and how many placeholder tokens stand for it.

Two kinds of processor are known: the image processor of the Qwen-VL family, which cuts patches, and a whole processor
of transformers (tokenizer and image processor in one), which any other model brings. Both with Pillow behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import PIL.Image

Numbers = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Picture:
    """A picture as a vision tower takes it.

    Attributes:
        pixels: Of the Qwen-VL family patches (P, C), float32; of others what their processor makes.
        grid: Patches by (time, height, width), of the Qwen-VL family; otherwise None.
        tokens: What stands for it among a conversation's tokens: one placeholder per vector of the tower, and with some
            models separators between them.
        more: Further inputs of other models, by name (``image_sizes``, ...).
    """

    pixels: Numbers
    grid: tuple[int, int, int] | None
    tokens: tuple[int, ...] = ()
    more: Mapping[str, Numbers] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.pixels.nbytes) + sum(int(a.nbytes) for a in self.more.values())


class Eyes(Protocol):
    """A processor for single pictures. ``image_id`` is the placeholder's token id."""

    image_id: int

    def look(self, picture: PIL.Image.Image) -> Picture:
        """Raises ValueError for a picture that the processor will not take."""
        ...

    def grid(self, picture: Picture) -> tuple[int, int, int] | None:
        """Vectors by (time, height, width), where positions count along a picture's axes; else None."""
        ...


class QwenEyes:
    """The image processor of Qwen2-VL and its successors."""

    def __init__(self, processor: Any, image_id: int) -> None:
        self._processor, self.image_id = processor, image_id
        self._merge = int(processor.merge_size)

    def look(self, picture: PIL.Image.Image) -> Picture:
        """See :class:`Eyes`."""
        out = self._processor(images=[picture], return_tensors="np")
        t, h, w = (int(x) for x in out["image_grid_thw"][0])
        vectors = t * h * w // self._merge**2
        return Picture(np.asarray(out["pixel_values"], dtype=np.float32), (t, h, w), (self.image_id,) * vectors)

    def grid(self, picture: Picture) -> tuple[int, int, int] | None:
        """See :class:`Eyes`: the tower merges squares of patches into one vector."""
        assert picture.grid is not None
        t, h, w = picture.grid
        return t, h // self._merge, w // self._merge


class OtherEyes:
    """A whole processor: it is asked for the expansion of one placeholder, picture by picture."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.image_id = int(processor.image_token_id)

    def look(self, picture: PIL.Image.Image) -> Picture:
        """See :class:`Eyes`."""
        out = self._processor(
            text=[self._processor.image_token], images=[picture], return_tensors="np", add_special_tokens=False
        )
        words = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
        more = {name: np.asarray(value) for name, value in out.items() if name not in (*words, "pixel_values")}
        tokens = tuple(int(i) for i in np.asarray(out["input_ids"])[0])
        return Picture(np.asarray(out["pixel_values"], dtype=np.float32), None, tokens, more)

    def grid(self, picture: Picture) -> tuple[int, int, int] | None:
        """See :class:`Eyes`."""
        return None


def eyes(processor: Any | None, tokenizer: Any) -> Eyes | None:
    """The right kind for a processor; None for a model that cannot see."""
    if processor is None:
        return None
    if hasattr(processor, "tokenizer"):
        return OtherEyes(processor)
    image_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    return QwenEyes(processor, -1 if image_id is None else int(image_id))
