"""The embedded world: pure functions of a seed, splits that never meet, keys that leak nowhere."""

import io
import re
import time

import pytest
from openpyxl import load_workbook
from PIL import Image

from sport.config import Synth
from sport.errors import ConfigError
from sport.world.base import fits
from sport.world.make import make
from sport.world.spoil import DEFECTS

ALL = Synth().families


def some(split: str, number: int, **options: object):
    return [make(split, ordinal, families=ALL, **options) for ordinal in range(number)]  # type: ignore[arg-type]


def test_the_same_arguments_give_the_same_bytes_whatever_the_clock_says() -> None:
    first = some("explore", 6, seed=3, iteration=2)
    time.sleep(2.1)  # zip archives store seconds in steps of two
    assert some("explore", 6, seed=3, iteration=2) == first


def test_heldout_does_not_depend_on_the_runs_seed_and_explore_does() -> None:
    assert some("heldout", 3, seed=0) == some("heldout", 3, seed=9)
    assert some("explore", 3, seed=0) != some("explore", 3, seed=9)
    assert some("explore", 3, seed=0) != some("explore", 3, seed=0, iteration=1)


def test_no_wording_layout_or_set_of_values_of_heldout_occurs_in_explore_or_dev() -> None:
    heldout, explore, dev = some("heldout", 90), some("explore", 120, seed=5), some("dev", 60)
    for mark in (
        lambda m: m.key.wording,
        lambda m: m.key.layout,
        lambda m: str(m.key.facts.get("values", m.key.facts)),
    ):
        theirs = {mark(m) for m in heldout}
        assert not theirs & {mark(m) for m in explore}
        assert not theirs & {mark(m) for m in dev}


@pytest.mark.parametrize("split", ["warm", "explore"])
def test_warm_and_explore_own_buckets_that_no_evaluation_split_owns(split: str) -> None:
    texts = [f"wording {i}" for i in range(500)]
    assert not [
        t for t in texts if fits(split, "wording", t) and (fits("heldout", "wording", t) or fits("dev", "wording", t))
    ]


def test_numbers_and_names_masked_questions_of_heldout_are_new() -> None:
    painted = "sugar fat protein fibre starch salt iron calcium potassium magnesium grams milligrams red green blue"
    painted += (
        " yellow orange purple circle square triangle star lamps chairs kettles blankets mirrors clocks vases ladders"
    )
    names = "|".join(f"{painted} buckets brooms left right top bottom".split())
    mask = lambda q: re.sub(rf"\b({names})s?\b|\d+", "_", q.lower())  # noqa: E731
    assert not {mask(m.query) for m in some("heldout", 90)} & {mask(m.query) for m in some("explore", 200)}


def test_a_label_shows_its_values_and_its_answer_follows_from_them() -> None:
    for made in (make("explore", i, families=("label",)) for i in range(20)):
        values, slots, kind = made.key.facts["values"], made.key.facts["slots"], made.key.facts["kind"]
        a, b, k = values[slots["a"]], values.get(slots["b"], 0), slots["k"]
        expected = {"label.one": a, "label.times": a * k, "label.more": a - b, "label.sum": a + b}[kind]
        assert made.key.answer == str(expected)
        assert int(made.key.answer) >= 0


def test_pictures_are_448_pixels_wide_and_documents_open() -> None:
    for made in some("explore", 12):
        for name, data in made.files.items():
            if name.endswith(".png"):
                assert Image.open(io.BytesIO(data)).size == (448, 448)
            elif name.endswith(".xlsx"):
                assert load_workbook(io.BytesIO(data)).active is not None


def test_about_a_quarter_is_spoilt_and_in_all_four_ways() -> None:
    made = some("explore", 160, defects=0.25)
    spoilt = [m.key.defect for m in made if m.key.defect]
    assert 25 <= len(spoilt) <= 56
    assert set(spoilt) == set(DEFECTS)
    assert all(m.key.answer == "" and not m.key.needs for m in made if m.key.defect)


def test_nothing_that_a_tool_or_model_sees_holds_the_key() -> None:
    for made in some("heldout", 30):
        assert set(made.files) <= {"image_1.png", "file_1.xlsx", "file_1.pdf", "file_1.csv", "file_1.txt"}
        assert made.key.family not in made.key.task_id
        assert made.key.answer not in made.key.task_id.split("-")[:2]


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'labels'.*chart, document, label"):
        make("explore", 0, families=("labels",))
