"""Drawing with Pillow: fonts from matplotlib's wheel (never the system's), papers, noise, blur, PNG bytes."""

from __future__ import annotations

import io
from importlib import resources
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 448
"""Pictures are SIDE x SIDE pixels."""

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono", "STIXGeneral")
PAPERS = {"white": (255, 255, 255), "cream": (252, 246, 228), "grey": (236, 236, 236), "mint": (232, 246, 238)}


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of :data:`FONTS` at ``size`` pixels."""
    path = resources.files("matplotlib") / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(io.BytesIO(path.read_bytes()), size)


def paper(colour: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty sheet and a brush."""
    sheet = Image.new("RGB", (SIDE, SIDE), PAPERS[colour])
    return sheet, ImageDraw.Draw(sheet)


def develop(sheet: Image.Image, rng: Random, *, noise: float = 4.0, blur: float = 0.0) -> bytes:
    """Grain (sigma in grey levels), blur (radius in pixels) and PNG."""
    if blur:
        sheet = sheet.filter(ImageFilter.GaussianBlur(blur))
    grain = np.random.default_rng(rng.getrandbits(63)).normal(0.0, noise, (SIDE, SIDE, 1))
    pixels = np.clip(np.asarray(sheet, dtype=np.float64) + grain, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=3)
    return out.getvalue()
