"""Small pictures and files, drawn where a test needs them."""

from __future__ import annotations

import io
import math
import zipfile

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import PIL.PngImagePlugin

from sport.tools.base import FileBytes

COLOURS = {
    "red": (214, 45, 40),
    "orange": (245, 135, 30),
    "yellow": (243, 208, 46),
    "green": (46, 160, 67),
    "blue": (45, 95, 210),
    "purple": (132, 60, 165),
    "black": (30, 30, 34),
    "grey": (125, 125, 125),
}
Placed = tuple[str, str, float, float, float, float]  # colour, form, x, y, radius, turn in degrees


def file(picture: PIL.Image.Image, kind: str = "PNG", **options) -> FileBytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return FileBytes(buffer.getvalue(), f"image/{kind.lower()}")


def scene(shapes: list[Placed], noise: float = 0.0, seed: int = 0, background=(236, 233, 225)) -> PIL.Image.Image:
    """A 448 x 448 scene, drawn at four times its size and scaled down so that edges blend."""
    big = PIL.Image.new("RGB", (4 * 448, 4 * 448), background)
    draw = PIL.ImageDraw.Draw(big)
    for colour, form, x, y, radius, turn in shapes:
        draw.polygon([(4 * px, 4 * py) for px, py in corners(form, x, y, radius, turn)], fill=COLOURS[colour])
    pixels = np.asarray(big.resize((448, 448), PIL.Image.Resampling.LANCZOS)).astype(float)
    pixels += np.random.default_rng(seed).normal(0, noise, pixels.shape) if noise else 0
    return PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGB")


def corners(form: str, x: float, y: float, radius: float, turn: float) -> list[tuple[float, float]]:
    count = {"circle": 90, "square": 4, "triangle": 3, "star": 10}[form]
    points = []
    for i in range(count):
        length = radius * (0.45 if form == "star" and i % 2 else 1.0)
        angle = math.radians(turn) + 2 * math.pi * i / count
        points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
    return points


def label(rows: list[tuple[str, str]], size: int = 26) -> PIL.Image.Image:
    """Names on the left and values on the right of one row each."""
    picture = PIL.Image.new("RGB", (448, 448), "white")
    draw, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(size)
    for i, (left, right) in enumerate(rows):
        draw.text((24, 30 + 56 * i), left, fill="black", font=font)
        draw.text((320, 30 + 56 * i), right, fill="black", font=font)
    return picture


def copies(picture: PIL.Image.Image) -> list[FileBytes]:
    """The same pixels in other bytes."""
    notes = PIL.PngImagePlugin.PngInfo()
    notes.add_text("Title", "what this shows is none of your business")
    return [file(picture, compress_level=1), file(picture, compress_level=9, pnginfo=notes), file(picture, "BMP")]


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return buffer.getvalue()
