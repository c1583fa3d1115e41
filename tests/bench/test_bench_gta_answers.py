"""GTA's answer rules, worked by hand, and what every rule shares."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sport.bench.gta_answers import RULES, mat_rule, mended, official, sport_rule


def ref(*groups: list[str], black: list[list[str]] | None = None) -> dict:
    return {"whitelist": list(groups), "blacklist": black}


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("The total is 12.", ref(["12"]), True),
        ("The total is 120.", ref(["12"]), False),
        ("PAY 12 DOLLARS", ref(["12 dollars"]), True),
        ("roll cake and milk pie", ref(["roll cake"], ["milk pie"]), True),
        ("roll cake", ref(["roll cake"], ["milk pie"]), False),
        ("sixteen", ref(["16", "sixteen"]), True),
        ("40HX, 90HX and 30HX", ref(["40HX"], ["90HX"], black=[["30HX"], ["50HX"]]), False),
        ("40HX, 90HX", ref(["40HX"], ["90HX"], black=[["30HX"], ["50HX"]]), True),
        ("x = -2", ref(["-2"]), False),  # the official rule's known gap
        ("3.14", ref(["3.14"]), True),
        ("3x14", ref(["3.14"]), False),  # an alias is no pattern
        (None, ref(["12"]), False),
        ("", ref(["12"]), False),
    ],
)
def test_the_official_rule(answer: str | None, reference: dict, right: bool) -> None:
    assert official(answer, reference) is right


@pytest.mark.parametrize(
    ("answer", "alias", "right"),
    [
        ("x = -2", "-2", True),
        ("40%", "40%", True),
        ("40% of it", "40%", True),
        ("it is $5.", "$5", True),
        ("it is $50.", "$5", False),
        ("x = -20", "-2", False),
        ("12", "1", False),
    ],
)
def test_the_mended_rule_finds_symbols_and_still_cuts_no_word(answer: str, alias: str, right: bool) -> None:
    assert mended(answer, ref([alias])) is right


@pytest.mark.parametrize(
    ("answer", "reference", "mat", "sport"),
    [
        ("102 cars", ref(["2"]), True, True),  # a substring is enough: the papers' rule
        ("30HX and 40HX", ref(["40HX"], black=[["30HX"]]), True, True),  # no blacklist
        ("there are three", ref(["3"]), False, True),
        ("1,234 dollars", ref(["1234"]), False, True),
        ("5 km away", ref(["5km"]), False, True),
        ("5km away", ref(["5 km"]), False, True),
        ("five", ref(["6"]), False, False),
        ("Nissan", ref(["nissan"], ["ford"]), False, False),
        (None, ref(["2"]), False, False),
    ],
)
def test_the_papers_rules(answer: str | None, reference: dict, mat: bool, sport: bool) -> None:
    assert (mat_rule(answer, reference), sport_rule(answer, reference)) == (mat, sport)


words = st.text(string.ascii_letters + string.digits, min_size=1, max_size=6)
groups = st.lists(st.lists(words, min_size=1, max_size=3), min_size=1, max_size=3)


@given(groups, st.randoms(use_true_random=False))
def test_neither_the_order_of_groups_and_aliases_nor_case_matters(found: list[list[str]], random) -> None:
    answer = " and ".join(group[0] for group in found)
    shuffled = [random.sample(group, len(group)) for group in random.sample(found, len(found))]
    for rule in RULES.values():
        assert rule(answer, ref(*found)) and rule(answer.swapcase(), ref(*shuffled))


@given(st.text(max_size=30), groups)
def test_each_rule_forgives_at_least_what_the_stricter_one_does(answer: str, found: list[list[str]]) -> None:
    reference = ref(*found)
    ladder = [RULES[name](answer, reference) for name in ("official", "mended", "MAT", "SPORT")]
    assert ladder == sorted(ladder)


@given(
    st.integers(0, 999),
    st.sampled_from(["km", "kg", "%", "minutes"]),
    st.sampled_from([" ", "  ", "\t", "\n"]),
    st.sampled_from([str.lower, str.upper, str.title]),
)
def test_case_and_white_space_before_units_do_not_matter_to_sports_rule(number, unit, space, case) -> None:
    reference = {"whitelist": [[f"{number}{unit}"]], "blacklist": None}
    assert sport_rule(case(f"about {number}{space}{unit} in all"), reference)
    assert sport_rule(f"{number}{unit}", {"whitelist": [[f"{number}{space}{unit}"]], "blacklist": None})


@given(st.integers(1000, 10**9))
def test_thousands_commas_do_not_matter_to_sports_rule_and_do_to_the_official_one(number: int) -> None:
    reference = {"whitelist": [[str(number)]], "blacklist": None}
    assert sport_rule(f"{number:,}", reference) and official(str(number), reference)
    assert not official(f"{number:,}", reference)
