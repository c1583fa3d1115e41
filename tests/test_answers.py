"""When two answers say the same, and when a call is the needed one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sport.answers import answer_text, answers_match, as_number, call_meets
from sport.types import File, Need, ToolCall


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("12", "12.0", True),
        ("12", "+12", True),
        ("1,250", "1250", True),
        ("$12.50", "12.5", True),
        ("50%", "50", True),
        ("0.30000000000000004", "0.3", True),
        ("1e3", "1000", True),
        ("1", "10", False),
        ("10", "1", False),
        ("12 g", "12", False),
        ("1,25", "125", False),
        ("-3", "3", False),
        ("nan", "nan", True),
        ("nan", "inf", False),
        ("Red Circle", "red circle.", True),
        ("red  circle", "'red circle'", True),
        ("red circle", "circle red", False),
        ("ﬁbre", "fibre", True),
        ("", "", True),
        ("", "0", False),
        ("None", "0", False),
        ("9" * 500, "8" * 500, False),
    ],
)
def test_matching(left, right, same):
    assert answers_match(left, right) is same
    assert answers_match(right, left) is same


@pytest.mark.parametrize(
    ("value", "text"),
    [(12, "12"), (12.0, "12"), (12.5, "12.5"), (None, "None"), (True, "True"), ("  a ", "  a "), ([1.0, "a"], "1, a"),
     (-0.0, "0"), (1e300, "1e+300"), ({"a": 1}, "{'a': 1}"), (10**20, "1" + "0" * 20)],
)  # fmt: skip
def test_answers_as_text(value, text):
    assert answer_text(value) == text


@given(st.text(max_size=60))
def test_any_text_is_a_finite_number_or_none(text):
    number = as_number(text)
    assert number is None or abs(number) < float("inf")
    assert answers_match(text, text)


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_a_whole_number_matches_its_other_spellings(number):
    assert answers_match(str(number), f"{number:,}.0")
    assert not answers_match(str(number), str(number + 1))


def test_a_call_meets_a_need_by_tool_and_named_arguments():
    call = ToolCall(name="count", arguments={"image": {"file": "a" * 64, "name": "p.png"}, "what": "Red  circle"})
    assert call_meets(call, Need(tool="count"))
    assert call_meets(call, Need(tool="count", arguments={"image": "p.png", "what": "red circle"}))
    assert call_meets(call, Need(tool="count", arguments={"image": "a" * 64}))
    assert not call_meets(call, Need(tool="ocr"))
    assert not call_meets(call, Need(tool="count", arguments={"what": "blue star"}))
    assert not call_meets(call, Need(tool="count", arguments={"box": [1]}))


def test_a_file_is_its_content_where_the_tasks_files_are_known():
    files = (File(name="p.png", sha256="a" * 64, size=1, media_type="image/png"),)
    need = Need(tool="ocr", arguments={"image": "p.png"})
    renamed = ToolCall(name="ocr", arguments={"image": {"file": "a" * 64, "name": "copy.png"}})
    replaced = ToolCall(name="ocr", arguments={"image": {"file": "b" * 64, "name": "p.png"}})
    assert (call_meets(renamed, need), call_meets(replaced, need)) == (False, True)
    assert (call_meets(renamed, need, files), call_meets(replaced, need, files)) == (True, False)


def test_a_plural_is_its_singular():
    call = ToolCall(name="count", arguments={"what": "red circles"})
    assert call_meets(call, Need(tool="count", arguments={"what": "Red circle"}))
    assert not call_meets(
        ToolCall(name="count", arguments={"what": {"file": "x"}}), Need(tool="count", arguments={"what": [1]})
    )
