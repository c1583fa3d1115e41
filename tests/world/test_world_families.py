"""All families: pure functions of a seed, splits that never meet, questions that leave the tool open, no leaks."""

import io
import re
import time
from itertools import product
from random import Random

import pytest
from PIL import Image

from drafts import draw, kinds
from sport.world import (
    chart,
    corpus,
    document,
    label,
    lookup,
    menu,
    paper,
    parcel,
    receipt,
    scene,
    scoreboard,
    timetable,
    weather,
)
from sport.world.asking import NUMBER
from sport.world.base import fits
from sport.world.families import ALL, DEPTHS, KIN, SEEN, UNSEEN, strangers

NAMES = {
    *label.NUTRIENTS, *label.UNITS.values(), *paper.GOODS, *receipt.GOODS, *menu.DISHES, *timetable.VEHICLES,
    *(name for _, names in chart.THEMES.values() for name in names), *corpus.values("town"), *corpus.values("currency"),
    *scene.COLOURS, *scene.SHAPES, "left", "right", "top", "bottom", *scoreboard.TEAMS, "Bears", "Eagles",
    *weather.DAYS,
}  # fmt: skip
MASK = re.compile(rf"\b({'|'.join(sorted((n.lower() for n in NAMES), key=len, reverse=True))})s?\b|\d[\d:]*")
SCENE_WORDS = {core for cores in scene.CORES.values() for core in cores}


def masked(query: str) -> str:
    return MASK.sub("_", query.lower())


def is_twin(wording: str) -> bool:
    return any(core in wording for core in SCENE_WORDS)


@pytest.mark.parametrize("name", ALL)
def test_equal_seeds_give_equal_bytes_whatever_the_clock_says(name: str) -> None:
    split = "unseen" if name in UNSEEN else "explore"
    first = [ALL[name].paint(split, Random(seed)) for seed in range(9)]
    time.sleep(1.1)  # documents and archives know seconds
    assert [ALL[name].paint(split, Random(seed)) for seed in range(9)] == first


@pytest.fixture(scope="module")
def splits():
    sizes = {"warm": 150, "explore": 150, "dev": 80, "heldout": 200, "unseen": 90}
    return {split: draw(split, number) for split, number in sizes.items()}


@pytest.mark.parametrize(("mine", "theirs"), [
    ("heldout", "warm"), ("heldout", "explore"), ("heldout", "dev"),
    ("unseen", "warm"), ("unseen", "explore"), ("unseen", "dev"), ("unseen", "heldout"),
])  # fmt: skip
@pytest.mark.parametrize("mark", [
    pytest.param(lambda d: masked(d.question.query), id="masked question"),
    pytest.param(lambda d: d.question.wording, id="wording"),
    pytest.param(lambda d: d.piece.layout, id="layout"),
    pytest.param(lambda d: str(d.piece.facts.get("values") or d.piece.facts), id="values"),
])  # fmt: skip
def test_splits_share_no_question_layout_or_set_of_values(splits, mine, theirs, mark) -> None:
    assert not {mark(d) for d in splits[mine]} & {mark(d) for d in splits[theirs]}


def test_masking_leaves_no_name_that_was_filled_in(splits) -> None:
    for drawn in (d for some in splits.values() for d in some):
        filled = [str(drawn.question.slots.get(slot) or "") for slot in "abchv"]
        left = [name for name in filled if name and re.search(rf"\b{name}\b", masked(drawn.question.query), re.I)]
        assert not left, drawn.question.query


def test_at_least_a_third_of_the_tasks_leaves_the_tool_to_the_picture(splits) -> None:
    for split in ("explore", "heldout"):
        pictures = [d for d in splits[split] if d.piece.name.endswith(".png")]
        twins = [d for d in pictures if is_twin(d.question.wording)]
        assert len(twins) >= len(splits[split]) / 3
        assert len({need.tool for d in twins for need in d.question.needs}) == 3  # ocr, count, locate


def test_every_kind_is_drawn_and_has_a_depth() -> None:
    assert {drawn.kind for drawn in kinds(1)} == set(DEPTHS)
    assert set(DEPTHS.values()) == {1, 2, 3, 4}


def test_some_kinds_need_two_tools(splits) -> None:
    tools = {frozenset(need.tool for need in d.question.needs) for d in splits["heldout"]}
    assert {frozenset({"ocr", "search"}), frozenset({"inspect_file_as_text", "search"})} <= tools


def test_answers_are_short_numbers_times_or_names(splits) -> None:
    for drawn in (d for some in splits.values() for d in some):
        assert re.fullmatch(r"\d+(\.\d{1,2})?|\d\d:\d\d|[A-Za-z]+( [a-z]+)?", drawn.question.answer), drawn.question


@pytest.mark.parametrize("family", [receipt, menu, timetable, chart, paper, lookup, scoreboard, weather, parcel])
def test_every_split_owns_several_wordings_of_every_kind(family) -> None:
    words = family.WORDS
    for kind, cores in words.cores.items():
        texts = ["".join(parts) for parts in product(words.openings, cores, words.closings.get(kind, NUMBER))]
        for split, least in (("warm", 40), ("heldout", 8), ("dev", 3)):
            assert sum(fits(split, "wording", text) for text in texts) >= least, (kind, split)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("defect", ["absent", "mismatch", "unreadable", "ambiguous"])
def test_a_spoilt_task_has_no_answer(name: str, defect: str, monkeypatch) -> None:
    monkeypatch.setattr("drafts.DEFECTS", (defect,))
    for drawn in draw("unseen" if name in UNSEEN else "explore", 4, (name,), defects=1.0):
        assert (drawn.defect, drawn.question.answer, drawn.question.needs) == (defect, "", ())
        assert drawn.kind in DEPTHS


def test_of_a_chart_that_shows_its_whole_theme_a_name_of_another_is_asked() -> None:
    pieces = (chart.Charts().paint("explore", Random(seed), "visits") for seed in range(200))
    whole = next(piece for piece in pieces if len(piece.facts["values"]) == 7)
    asked = chart.Charts().ask_absent(whole, "explore", Random(0))
    assert asked.slots["a"] not in whole.facts["values"]
    assert asked.answer == ""


def test_a_mismatched_file_is_of_a_family_that_cannot_answer() -> None:
    for name in ALL:
        names = {family.name for family in strangers(name)}
        assert names
        assert not any(name in group and names & group for group in KIN)
        assert not names & set(UNSEEN)


def test_ruined_files_show_nothing(splits) -> None:
    for drawn in draw("explore", 60, defects=1.0):
        if drawn.defect == "unreadable" and drawn.piece.name.endswith((".csv", ".txt")):
            assert not any(name.encode() in drawn.piece.data for name in drawn.piece.facts["values"])


def test_nothing_that_a_tool_or_model_sees_holds_the_key(splits) -> None:
    names = {d.piece.name for some in splits.values() for d in some}
    assert names == {"image_1.png", "file_1.csv", "file_1.pdf", "file_1.txt", "file_1.xlsx"}
    for drawn in (d for some in splits.values() for d in some):
        if drawn.piece.name.endswith(".png"):
            with Image.open(io.BytesIO(drawn.piece.data)) as picture:
                assert picture.size == (448, 448)
                assert not picture.info
        else:
            assert drawn.kind.encode() not in drawn.piece.data
            assert drawn.piece.layout.encode() not in drawn.piece.data


def test_unseen_families_are_new_and_seen_ones_complete() -> None:
    assert not set(SEEN) & set(UNSEEN)
    assert set(SEEN) | set(UNSEEN) == set(ALL)


def test_old_wordings_close_as_new_ones_do() -> None:
    assert set(document.CLOSINGS) <= set(NUMBER)
