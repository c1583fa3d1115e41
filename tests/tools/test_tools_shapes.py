from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from conformance.tools import ToolSuite
from scenes import COLOURS, copies, file, scene
from sport.errors import ToolError
from sport.tools.count import Count
from sport.tools.locate import Locate
from sport.tools.shapes import FORMS, Wanted, find, wanted

SCENE = [
    ("red", "circle", 300, 60, 30, 0),
    ("red", "circle", 80, 70, 20, 0),
    ("blue", "square", 200, 220, 34, 20),
    ("red", "star", 90, 330, 36, 11),
    ("yellow", "triangle", 330, 340, 40, 75),
]


class TestLocate(ToolSuite):
    factory = Locate

    @pytest.fixture(scope="class")
    @classmethod
    def arguments(cls):
        return {"image": file(scene(SCENE)), "what": "red circles"}

    def test_it_answers_in_reading_order(self, tool, arguments):
        assert [found["center"][0] < 200 for found in tool.call(**arguments)] == [True, False]
        labels = [found["label"] for found in tool.call(arguments["image"], "shapes")]
        assert labels == ["red circle", "red circle", "blue square", "red star", "yellow triangle"]

    def test_boxes_are_right_to_two_pixels(self, tool, arguments):
        for found, (_, _, x, y, radius, _) in zip(tool.call(**arguments), (SCENE[1], SCENE[0]), strict=True):
            assert found["box"] == pytest.approx([x - radius, y - radius, x + radius, y + radius], abs=2)
            assert found["center"] == pytest.approx([x, y], abs=2)

    def test_a_re_encoded_copy_says_the_same(self, tool):
        assert len({str(tool.call(copy, "shapes")) for copy in copies(scene(SCENE, noise=6))}) == 1


class TestCount(ToolSuite):
    factory = Count

    @pytest.fixture(scope="class")
    @classmethod
    def arguments(cls):
        return {"image": file(scene(SCENE)), "what": "red circle"}

    @pytest.mark.parametrize(
        ("what", "number"),
        [
            ("red circles", 2),
            ("red shapes", 3),
            ("the Red objects", 3),
            ("circle", 2),
            ("green squares", 0),
            ("shape", 5),
        ],
    )
    def test_colour_form_or_both(self, tool, arguments, what, number):
        assert tool.call(arguments["image"], what) == number

    def test_a_re_encoded_copy_says_the_same(self, tool):
        assert {tool.call(copy, "shapes") for copy in copies(scene(SCENE, noise=6))} == {5}

    def test_an_empty_picture_holds_nothing(self, tool):
        assert tool.call(file(PIL.Image.new("RGB", (448, 448), (240, 240, 235))), "shapes") == 0

    @pytest.mark.parametrize("what", ["", "42", "dogs", "red dogs", "red blue circles", "circles and squares"])
    def test_words_it_does_not_know_are_refused_with_those_it_knows(self, tool, arguments, what):
        with pytest.raises(ToolError, match=r"orange.*triangle"):
            tool.call(arguments["image"], what)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("colour", COLOURS)
def test_every_kind_is_known_at_any_size_turn_and_noise(colour, form):
    random = np.random.default_rng(7)
    for seed, radius in enumerate((18, 24, 40)):
        turn, noise = float(random.uniform(0, 360)), float(random.uniform(0, 8))
        x, y = random.uniform(60, 388, 2)
        picture = scene([(colour, form, float(x), float(y), radius, turn)], noise, seed)
        assert [(s.colour, s.form) for s in find(np.asarray(picture), Wanted(None, None))] == [(colour, form)]


@pytest.mark.parametrize("background", [(225, 225, 225), (252, 246, 228), (255, 255, 255), (208, 206, 200)])
def test_the_background_may_be_any_light_one(background):
    kinds = [
        (colour, "square", 60 + 90 * i, 200, 30, 15) for i, colour in enumerate(("yellow", "grey", "black", "orange"))
    ]
    found = find(np.asarray(scene(kinds, 8, background=background)), Wanted(None, None))
    assert [shape.colour for shape in found] == ["yellow", "grey", "black", "orange"]


def test_a_tight_cut_around_a_shape_still_shows_it():
    picture = np.asarray(scene([("blue", "square", 200, 200, 40, 45)]))[173:228, 173:228]
    assert [(s.colour, s.form) for s in find(picture, wanted("shapes"))] == [("blue", "square")]
