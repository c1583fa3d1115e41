"""The tools read what the painter painted: a task's answer can honestly be found."""

from __future__ import annotations

from random import Random

from sport.tools.base import FileBytes
from sport.tools.documents import InspectFileAsText
from sport.tools.locate import Locate
from sport.tools.ocr import Ocr
from sport.world.document import Documents
from sport.world.label import Labels
from sport.world.scene import Scenes


def test_locate_finds_every_shape_of_forty_scenes():
    for seed in range(40):
        piece = Scenes().paint("explore", Random(seed))
        found = Locate().call(FileBytes(piece.data, "image/png"), "shapes")
        assert sorted(f["label"] for f in found) == sorted(label for label, _, _ in piece.facts["spots"]), piece.layout


def test_ocr_reads_nearly_every_row_of_six_labels():
    ocr, read, there = Ocr(), 0, 0
    for seed in range(6):
        piece = Labels().paint("explore", Random(seed))
        lines = ocr.call(FileBytes(piece.data, "image/png")).splitlines()
        rows = [f"{name} {value}" for name, value in piece.facts["values"].items()]
        read, there = read + sum(any(line.startswith(row) for line in lines) for row in rows), there + len(rows)
    assert read >= 0.9 * there


def test_a_spreadsheet_shows_its_numbers():
    piece = Documents().paint("explore", Random(1))
    text = InspectFileAsText().call(FileBytes(piece.data, "application/octet-stream"))
    assert text.count("|") > 20
