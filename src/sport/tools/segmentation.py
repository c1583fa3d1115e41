"""``segmentation``: the outline of what stands in given boxes or at given points, by SAM 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import PIL.Image

from sport.errors import ToolError
from sport.tools.base import FileBytes, ToolOutput
from sport.tools.pictures import Pixels, picture, png
from sport.types import Parameter, ToolSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as SAM 2 was trained
COLOURS = ((230, 25, 75), (0, 130, 200), (60, 180, 75), (255, 165, 0), (145, 30, 180), (0, 180, 180))
MOST = 64  # prompts; all of them go through the decoder in one batch


class Segmentation:
    """transformers' ``Sam2Model``. The picture is encoded once, all prompts are decoded in one batch.

    transformers' own image processor for SAM 2 needs torchvision; a picture is resized by Pillow (bilinear) and
    normalised by numpy here, which differs from it by rounding.

    Args:
        weights: directory of a SAM 2 or 2.1 checkpoint in transformers' layout.
        fingerprint: of those weights; it is part of the tool's version.
        device: "cpu", "cuda", "cuda:1", ...

    Not covered: video, finding everything without prompts beyond the whole picture as one box.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="segmentation",
        description="Cut out what stands in boxes of a picture: a mask each, and the picture with all masks drawn in.",
        parameters=(
            Parameter(name="image_path", type="file", description="a picture"),
            Parameter(
                name="prompt",
                type="array",
                description="boxes [x1, y1, x2, y2] or points [x, y] in pixels; left out: the whole picture",
                required=False,
            ),
        ),
        returns="a list of {'score', 'area', 'box', 'mask'}; masks and the drawn picture as files",
        version="1",
    )

    def __init__(self, weights: str, fingerprint: str = "", device: str = "cpu") -> None:
        import torch
        from transformers import Sam2Model

        self._torch = torch
        self._device = device
        model: Any = Sam2Model.from_pretrained(weights, local_files_only=True)
        self._model = model.to(device).eval()
        self._side = int(self._model.config.prompt_encoder_config.image_size)

    def call(self, image_path: FileBytes, prompt: Sequence[Any] | None = None) -> ToolOutput:
        """The masks. Raises ToolError for no picture, or prompts that are neither boxes nor points inside it."""
        opened = picture(image_path)
        wanted = _prompts(prompt, opened.width, opened.height)
        pixels = prepared(opened, self._side)
        scores, masks = self._masks(pixels, [self._scaled(one, opened) for one in wanted], opened)
        files = {f"mask_{i}.png": _mask_png(mask) for i, mask in enumerate(masks, 1)}
        files["segmented.png"] = png(drawn(np.asarray(opened), masks))
        value = [
            {"score": round(score, 4), "area": int(mask.sum()), "box": box(mask), "mask": f"mask_{i}.png"}
            for i, (score, mask) in enumerate(zip(scores, masks, strict=True), 1)
        ]
        return ToolOutput(value, files)

    def _scaled(self, numbers: Sequence[float], opened: PIL.Image.Image) -> list[float]:
        """Pixels of the picture as pixels of the square that the model sees."""
        return [
            number * self._side / (opened.height if place % 2 else opened.width) for place, number in enumerate(numbers)
        ]

    def _masks(
        self, pixels: np.ndarray[Any, Any], prompts: Sequence[Sequence[float]], opened: PIL.Image.Image
    ) -> tuple[list[float], list[np.ndarray[Any, Any]]]:
        torch = self._torch
        with torch.inference_mode():
            given = torch.tensor([prompts], dtype=torch.float32, device=self._device)  # (1, prompts, 4 or 2)
            prompt = (
                {"input_boxes": given}
                if given.shape[-1] == 4
                else {
                    "input_points": given.unsqueeze(2),  # (1, prompts, 1 point, 2)
                    "input_labels": torch.ones(1, given.shape[1], 1, dtype=torch.int64, device=self._device),
                }
            )
            seen = torch.from_numpy(pixels).unsqueeze(0).to(self._device)
            out = self._model(pixel_values=seen, multimask_output=False, **prompt)
            masks = torch.nn.functional.interpolate(
                out.pred_masks[0].float(), (opened.height, opened.width), mode="bilinear", align_corners=False
            )
            return out.iou_scores[0, :, 0].float().tolist(), list((masks[:, 0] > 0).cpu().numpy())


def prepared(opened: PIL.Image.Image, side: int) -> np.ndarray[Any, Any]:
    """A picture as SAM 2 sees it: (3, side, side) float32, stretched to a square and normalised by channel."""
    square = opened.resize((side, side), PIL.Image.Resampling.BILINEAR)
    values = (np.asarray(square, dtype=np.float32) / 255 - np.array(MEAN)) / np.array(STD)
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)


def drawn(pixels: Pixels, masks: Sequence[np.ndarray[Any, Any]]) -> Pixels:
    """The picture (height, width, 3) with every mask in a colour of its own, half transparent."""
    made = pixels.astype(np.float32)
    for number, mask in enumerate(masks):
        made[mask] = 0.5 * made[mask] + 0.5 * np.array(COLOURS[number % len(COLOURS)], dtype=np.float32)
    return made.round().astype(np.uint8)


def box(mask: np.ndarray[Any, Any]) -> list[int] | None:
    """[x1, y1, x2, y2] around a mask (height, width), the ends excluded; None for an empty one."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _prompts(given: Sequence[Any] | None, width: int, height: int) -> list[list[float]]:
    if given is None or len(given) == 0:
        return [[0.0, 0.0, float(width), float(height)]]
    one = all(isinstance(number, int | float) and not isinstance(number, bool) for number in given)
    prompts: list[Any] = [given] if one else list(given)
    sizes = {len(prompt) if isinstance(prompt, list | tuple) else 0 for prompt in prompts}
    if sizes not in ({4}, {2}) or len(prompts) > MOST:
        raise ToolError(f"prompt must be boxes [x1, y1, x2, y2] or points [x, y], all of one kind, at most {MOST}")
    for prompt in prompts:
        if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in prompt):
            raise ToolError("prompt must hold numbers")
        if not all(0 <= number <= (height if place % 2 else width) for place, number in enumerate(prompt)):
            raise ToolError(f"{list(prompt)} reaches beyond the picture, which has {width} x {height} pixels")
    return [[float(number) for number in prompt] for prompt in prompts]


def _mask_png(mask: np.ndarray[Any, Any]) -> bytes:
    return png(np.repeat(mask.astype(np.uint8)[:, :, None] * 255, 3, axis=2))
