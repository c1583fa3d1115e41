"""The rule check on what tools might have seen; and on real drafts with real tools."""

import pytest

from sport.synth.check import Seen, judge

LABEL = Seen(frozenset({"nutrition", "facts", "sugar", "fat", "oat", "bar"}), ())
SCENE = Seen(frozenset(), ("red circle", "blue star", "red star"))
EMPTY = Seen(frozenset(), ())


@pytest.mark.parametrize(
    ("query", "seen", "kept"),
    [
        ("How many grams of sugar are in 3 servings?", LABEL, True),
        ("How many grams of sugar are in 3 servings?", Seen(frozenset({"suger"}), ()), True),
        ("How many grams of protein are in 3 servings?", LABEL, False),
        ("By how many grams does fat exceed sugar?", LABEL, True),
        ("How many red circles do you see?", SCENE, True),
        ("How many red squares do you see?", SCENE, False),
        ("How many red circles do you see?", LABEL, False),
        ("How many grams of sugar are in 3 servings?", SCENE, False),
        ("Which shape is furthest to the left?", SCENE, True),
        ("Which shape is furthest to the left?", LABEL, False),
        ("How many are there?", SCENE, False),
        ("Which one is it?", LABEL, False),
        ("How many red circles do you see?", EMPTY, False),
    ],
)
def test_what_the_query_names_must_be_in_the_files(query: str, seen: Seen, kept: bool) -> None:
    assert judge(query, [seen]).kept is kept


def test_the_reason_names_what_is_missing() -> None:
    assert judge("How many grams of protein are in 3 servings?", [LABEL]).reason == "'protein' is not in the files"
    assert judge("How many blue circles are there?", [SCENE]).reason == "no blue circle in the picture"


def test_what_can_be_searched_may_be_missing_from_the_files() -> None:
    query = "What is the sugar in tal?"
    assert judge(query, [LABEL]).missing == ("tal",)
    assert judge(query, [LABEL], ["tal"]).kept


@pytest.mark.parametrize(("query", "kept"), [("What does the whole bill come to?", True), ("Which is it?", False)])
def test_a_query_that_names_nothing_must_ask_for_the_whole(query: str, kept: bool) -> None:
    assert judge(query, [LABEL]).kept is kept
