"""``facedetection``: where faces are, by OpenCV's YuNet detector."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from sport.errors import ToolError
from sport.tools.base import FileBytes
from sport.tools.pictures import pixels
from sport.types import Json, Parameter, ToolSpec

NAMES = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")


class FaceDetection:
    """OpenCV's ``FaceDetectorYN``, on the CPU, with the user's YuNet file. It says where faces are, not whose.

    The papers use DSFD; YuNet is smaller, maintained, and its weights (MIT) lie in OpenCV Zoo, folder
    ``models/face_detection_yunet``.

    Args:
        weights: the .onnx file.
        fingerprint: of it; it is part of the tool's version.
        threshold: least score of a face.
        largest: a picture with a longer side is looked at scaled down to this, in pixels.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="facedetection",
        description="Find faces in a picture.",
        parameters=(Parameter(name="image_path", type="file", description="a picture"),),
        returns="a list of {'score', 'box': [x1, y1, x2, y2], 'marks': {'nose': [x, y], ...}} in pixels, best first",
        version="1",
    )

    def __init__(self, weights: str, fingerprint: str = "", threshold: float = 0.6, largest: int = 1280) -> None:
        import cv2

        self._cv2: Any = cv2
        self._detector = cv2.FaceDetectorYN.create(weights, "", (320, 320), threshold)
        self._largest = largest

    def call(self, image_path: FileBytes) -> Json:
        """The faces. Raises ToolError for no picture."""
        seen = pixels(image_path)[:, :, ::-1]  # it expects BGR
        height, width = seen.shape[:2]
        scale = min(1.0, self._largest / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = self._cv2.resize(seen, size, interpolation=self._cv2.INTER_AREA) if scale < 1 else seen
        try:
            self._detector.setInputSize(size)
            _, found = self._detector.detect(np.ascontiguousarray(small))
        except self._cv2.error as error:
            raise ToolError(f"the detector cannot look at this picture ({error})") from error
        rows = () if found is None else found
        faces = [_face(row, (width / size[0], height / size[1]), (width, height)) for row in rows]
        return sorted(faces, key=lambda face: -face["score"])


def _face(row: Any, scale: tuple[float, float], size: tuple[int, int]) -> dict[str, Any]:
    """A row of YuNet (x, y, width, height, five marks, score), in pixels of the picture and cut off at its edge."""
    x, y, width, height = (float(number) for number in row[:4])
    corners = (x, y, x + width, y + height)
    return {
        "score": round(float(row[14]), 4),
        "box": [round(min(max(number * scale[i % 2], 0), size[i % 2])) for i, number in enumerate(corners)],
        "marks": {
            name: [round(float(row[4 + 2 * i]) * scale[0]), round(float(row[5 + 2 * i]) * scale[1])]
            for i, name in enumerate(NAMES)
        },
    }
