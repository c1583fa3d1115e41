"""``objectlocation``: where things that are named in words are, by zero-shot detection (OWLv2, Grounding DINO, ...)."""

from __future__ import annotations

from typing import Any, ClassVar

from sport.errors import ToolError
from sport.tools.base import FileBytes
from sport.tools.pictures import picture
from sport.types import Json, Parameter, ToolSpec


class ObjectLocation:
    """transformers' zero-shot-object-detection pipeline over a local checkpoint. Several names go in one batch.

    Args:
        weights: directory of a checkpoint that the pipeline takes.
        fingerprint: of those weights; it is part of the tool's version.
        device: "cpu", "cuda", "cuda:1", ...
        threshold: least score of a box (the papers: 0.1).
        most: boxes at most, best first.

    Not covered: boxes of one thing that overlap are not merged.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="objectlocation",
        description="Find things in a picture by their names.",
        parameters=(
            Parameter(name="object", type="string", description="what to find; several names separated by commas"),
            Parameter(name="image_path", type="file", description="a picture"),
        ),
        returns="a list of {'label', 'score', 'box': [x1, y1, x2, y2]} in pixels, best first; empty when none is seen",
        version="1",
    )

    def __init__(
        self, weights: str, fingerprint: str = "", device: str = "cpu", threshold: float = 0.1, most: int = 50
    ) -> None:
        import transformers

        self._pipeline: Any = transformers.pipeline(
            "zero-shot-object-detection", model=weights, device=device, local_files_only=True
        )
        self._threshold = threshold
        self._most = most

    def call(self, object: str, image_path: FileBytes) -> Json:
        """The boxes. Raises ToolError for no picture, or no name."""
        names = [name.strip() for name in object.split(",") if name.strip()]
        if not names:
            raise ToolError("nothing to look for: name a thing")
        found = self._pipeline(
            picture(image_path), candidate_labels=names, threshold=self._threshold, batch_size=len(names)
        )
        return [
            {
                "label": one["label"],
                "score": round(one["score"], 4),
                "box": [one["box"][corner] for corner in ("xmin", "ymin", "xmax", "ymax")],
            }
            for one in found[: self._most]
        ]
