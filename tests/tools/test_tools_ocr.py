from __future__ import annotations

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from conformance.tools import ToolSuite
from scenes import copies, file, label
from sport.tools.ocr import Ocr, without_leaders

ROWS = [("Energy", "540kJ"), ("Sugar", "12.5g"), ("Protein", "8g")]


class TestOcr(ToolSuite):
    factory = Ocr

    @pytest.fixture(scope="class")
    @classmethod
    def arguments(cls):
        return {"image": file(label(ROWS))}

    def test_a_name_and_its_value_stand_on_one_line(self, tool):
        assert tool.call(file(label(ROWS))).splitlines() == ["Energy 540kJ", "Sugar 12.5g", "Protein 8g"]

    def test_lines_come_top_to_bottom_also_from_larger_letters(self, tool):
        picture = label([("second", "2"), ("third", "3")])
        moved = PIL.Image.new("RGB", (448, 560), "white")
        moved.paste(picture, (0, 110))
        PIL.ImageDraw.Draw(moved).text((60, 20), "FIRST", fill="navy", font=PIL.ImageFont.load_default(60))
        assert tool.call(file(moved)).splitlines() == ["FIRST", "second 2", "third 3"]

    def test_a_re_encoded_copy_says_the_same(self, tool):
        assert len({tool.call(copy) for copy in copies(label(ROWS))}) == 1

    def test_red_text_and_blue_text_are_read(self, tool):
        picture = PIL.Image.new("RGB", (300, 200), (250, 245, 230))
        draw, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(32)
        draw.text((30, 30), "Lemonade", fill=(200, 20, 20), font=font)
        draw.text((30, 110), "Biscuits", fill=(20, 40, 180), font=font)
        assert tool.call(file(picture)).splitlines() == ["Lemonade", "Biscuits"]

    @pytest.mark.parametrize("size", [(448, 448), (1, 1), (3, 3000), (3000, 1)], ids=str)
    def test_nothing_to_read_is_no_error(self, tool, size):
        assert tool.call(file(PIL.Image.new("RGB", size, "white"))) == ""

    def test_transparent_paper_is_white(self, tool):
        picture = PIL.Image.new("RGBA", (240, 80), (0, 0, 0, 0))
        PIL.ImageDraw.Draw(picture).text((20, 20), "Harbour", fill=(0, 0, 0, 255), font=PIL.ImageFont.load_default(36))
        assert tool.call(file(picture)) == "Harbour"


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        ("Fat ....... 30 g\nSalt .2 g", "Fat 30 g\nSalt 2 g"),
        ("Fat....3g", "Fat 3g"),
        ("Iron .. . ..4 mg\nSoup 3.50", "Iron 4 mg\nSoup 3.50"),
        ("Salt . 199 mg", "Salt 199 mg"),
        ("Salt .5 g\nFat 3.5 g. Enjoy.", "Salt .5 g\nFat 3.5 g. Enjoy."),
    ],
)
def test_leaders_become_a_space_and_decimals_stay(seen, text):
    assert without_leaders(seen) == text
