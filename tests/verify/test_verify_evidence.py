"""What counts as shown, and what as written down."""

from __future__ import annotations

import pytest

from sport.verify.evidence import evidence, literals, numbers, texts
from steps import LINES, TASK, chosen, look, made, ocr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sugar 12 g", {12}),
        ("$1,250.50", {1250.5, 1, 250.5, 250, 50}),
        ("2,3", {23, 2.3, 2, 3}),
        ("at 9:40", {9, 40}),
        ("1.2.3", {1, 2, 3}),
        ("none", set()),
    ],
)
def test_numbers_are_read_forgivingly(text, expected):
    assert expected >= numbers(text) >= {n for n in expected if n in numbers(text)}
    assert numbers(text) <= expected | {1250.5}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 12", [12.0]),
        ("x = -3.5", [3.5]),
        ("x = y[4]\nz = y[1:7]", []),
        ('x = y["sugar"]', ["sugar"]),
        ("x = round(y, 3)", []),
        ("x = round(7.25)", [7.25]),
        ("x = m.group(3)", []),
        ('print("The sugar is", x)', []),
        ('print(count("a.png", "red star"))', ["a.png", "red star"]),
        ('f"total: {x * 4}"', [4.0]),
        ('"""A docstring."""', []),
        ("x = True", []),
        ("x = 0x" + "f" * 400, [float("inf")]),
        ("x = = 1", []),
        ("(" * 5000, []),
    ],
)
def test_literals_are_content_and_not_form(code, expected):
    assert sorted(literals(code), key=str) == sorted(expected, key=str)


def test_a_candidates_own_tools_are_evidence_and_its_own_prints_are_not():
    own = made(0, 'print("99")\nprint(ocr("image_1.png"))', calls=[ocr()], stdout=f"99\n{LINES}")
    known = evidence(TASK, [], own)
    assert known.shows_number(340)
    assert not known.shows_number(99)


def test_what_the_trunk_observed_is_evidence():
    assert not evidence(TASK, [], made(0, "x = 1")).shows_text("Salt")
    assert evidence(TASK, [chosen(0, look())], made(0, "x = 1")).shows_text("Salt")


def test_words_of_the_query_stand_for_numbers():
    task = TASK.model_copy(update={"query": "How much for a dozen, twice a week?"})
    known = evidence(task, [], made(0, "x = 1"))
    assert all(known.shows_number(number) for number in (12, 2, 7))
    assert not known.shows_number(13)


def test_patterns_are_read_for_their_words():
    assert texts(r"import re" + "\n" + r're.search(r"Sugar\D*(\d+)\s+mg", text)') == {"sugar"}
