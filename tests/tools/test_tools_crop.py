from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from conformance.tools import ToolSuite
from scenes import copies, file, scene
from sport.errors import ToolError
from sport.tools.crop import Crop
from sport.tools.locate import Locate

PICTURE = scene([("green", "star", 150, 120, 30, 0)], noise=5)


def opened(output):
    return np.asarray(PIL.Image.open(io.BytesIO(output.files["crop.png"])))


class TestCrop(ToolSuite):
    factory = Crop

    @pytest.fixture(scope="class")
    @classmethod
    def arguments(cls):
        return {"image": file(PICTURE), "box": [10, 20, 60, 90]}

    def test_the_pixels_are_those_of_the_box(self, tool, arguments):
        assert (opened(tool.call(**arguments)) == np.asarray(PICTURE)[20:90, 10:60]).all()

    def test_what_reaches_beyond_is_cut_off(self, tool, arguments):
        assert opened(tool.call(arguments["image"], [-50, 400.5, 1e9, 1000])).shape == (48, 448, 3)

    def test_it_takes_a_box_from_locate(self, tool, arguments):
        [found] = Locate().call(arguments["image"], "star")
        assert opened(tool.call(arguments["image"], found["box"])).shape[0] > 40

    @pytest.mark.parametrize(
        "box",
        [[5, 5, 5, 9], [9, 9, 5, 5], [500, 0, 600, 9], [1, 2, 3], ["a", 1, 2, 3], [0, 0, float("nan"), 5], [[]] * 4],
    )
    def test_a_box_without_pixels_is_refused(self, tool, arguments, box):
        with pytest.raises(ToolError, match="box"):
            tool.call(arguments["image"], box)

    def test_a_re_encoded_copy_gives_the_same_bytes(self, tool):
        assert len({tool.call(copy, [0, 0, 99, 99]).files["crop.png"] for copy in copies(PICTURE)}) == 1
