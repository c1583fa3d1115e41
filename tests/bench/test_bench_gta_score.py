"""GTA's figures on turns made by hand; and the reference replayed against itself."""

import math
from pathlib import Path

import pytest

from sport.bench import gta
from sport.bench.gta_score import (
    CATEGORIES,
    answer_scores,
    category_counts,
    f1,
    image_score,
    paper_tool_score,
    step_scores,
)
from sport.bench.moves import Move, as_code, read_code

DATA = Path(__file__).parents[1] / "data" / "gta"


def tool(name: str, error: str | None = None, **arguments: object) -> Move:
    return Move(kind="tool", name=name, arguments=arguments, error=error)


def says(text: str) -> Move:
    return Move(kind="answer", text=text)


def overlap(a: str, b: str) -> float:
    return 1.0 if a == b else -0.5 if "not" in a else 0.25


OBJECTIVE = {"whitelist": [["7"]], "blacklist": None}
WANTED = (tool("OCR", image="a.jpg"), tool("Calculator", expression="3+4"), says("It is 7."))


def test_step_by_step_counts_of_a_controller_that_slips() -> None:
    said = (tool("OCR", image="b.jpg"), says("5"), says("It is 7"))
    found = step_scores(said, WANTED, OBJECTIVE, None)
    assert (found["inst"], found["inst_of"]) == (2, 3)  # the second turn is of the wrong kind
    assert (found["tool"], found["arg"], found["tools"]) == (1, 0, 2)
    assert found["summ official"] == 1.0


def test_a_turn_with_an_error_is_of_no_use_although_its_tool_is_named() -> None:
    found = step_scores((tool("OCR", error="x", image="a.jpg"), *WANTED[1:]), WANTED, OBJECTIVE, None)
    assert (found["inst"], found["tool"], found["arg"]) == (2, 2, 1)


def test_arguments_are_equal_as_dicts_or_wrong() -> None:
    more = tool("OCR", image="a.jpg", k=1)
    assert step_scores((more, *WANTED[1:]), WANTED, OBJECTIVE, None)["arg"] == 1
    turned = (tool("F", a=1, b=2),)
    assert step_scores((tool("F", b=2, a=1),), turned, None, None)["arg"] == 1


def test_an_answer_nobody_scores_lifts_instacc_above_one() -> None:
    found = step_scores(WANTED, WANTED, None, None)
    assert (found["inst"], found["inst_of"]) == (3, 2)


def test_subjective_answers_take_the_best_cosine_never_below_nothing_and_are_absent_without_one() -> None:
    assert answer_scores("a", ["b", "a"], overlap) == {"subjective": 1.0}
    assert answer_scores("not", ["b"], overlap) == {"subjective": 0.0}
    assert answer_scores(None, ["b"], overlap) == {"subjective": 0.0}
    assert answer_scores("a", ["b", "a"], None) == {} == answer_scores("a", None, overlap)


def test_image_generation_multiplies_cosines_of_the_last_calls_and_wants_every_tool() -> None:
    wanted = (tool("OCR", image="a"), tool("DrawBox", bbox="1"), tool("AddText", text="x"))
    assert image_score(wanted, wanted, overlap) == 1.0
    late = (tool("DrawBox", bbox="2"), tool("AddText", text="y"), tool("DrawBox", bbox="1"))
    assert image_score(late, wanted, overlap) == 0.25
    assert image_score(late[:1], wanted, overlap) == 0.0


def test_f1_of_tool_choice() -> None:
    wanted = (tool("OCR"), tool("OCR"), tool("Calculator"), tool("Plot"))
    counts = category_counts((tool("OCR"), tool("Calculator"), tool("Solver")), wanted)
    assert (counts["P hit"], counts["P called"], counts["P wanted"]) == (2, 1, 2)
    assert (counts["L hit"], counts["L called"], counts["L wanted"]) == (1, 2, 2)
    assert f1(1, 2, 2) == pytest.approx(0.5, abs=1e-4)
    assert f1(0, 0, 3) == 0.0 == f1(0, 2, 0)
    assert 0.9999 < f1(4, 4, 4) < 1


def test_the_categories_are_the_fourteen_tools() -> None:
    names = [name for tools in CATEGORIES.values() for name in tools]
    assert len(names) == len(set(names)) == 14


def test_tool_accuracy_of_the_papers_by_our_definition() -> None:
    assert paper_tool_score(["ocr"], ["OCR", "OCR"], ran=False) == 1.0
    assert paper_tool_score(["OCR"], ["OCR", "Calculator"], ran=True) == 1.0
    assert paper_tool_score(["OCR"], ["OCR", "Calculator"], ran=False) == 0.0
    assert paper_tool_score([], ["GoogleSearch"], ran=True) == 0.0


def test_the_reference_replayed_as_code_is_perfect_on_this_part() -> None:
    totals: dict[str, float] = {}
    for item in gta.load(DATA):
        wanted = [turn.move for turn in item.turns]
        said = [read_code(as_code(turn.move, turn.thought), True, item.tools) for turn in item.turns]
        for name, value in step_scores(said, wanted, item.reference, None).items():
            totals[name] = totals.get(name, 0.0) + value
    assert (totals["tool"], totals["arg"], totals["tools"]) == (161, 161, 161)
    assert (totals["inst"], totals["inst_of"]) == (210, 210)


@pytest.mark.parametrize(
    ("code", "kind", "arguments"),
    [
        ("x = OCR('a.jpg')", "tool", {"image": "a.jpg"}),
        ("print(OCR(image='a.jpg'))\nfinal_answer('7')", "tool", {"image": "a.jpg"}),
        ("final_answer(7)", "answer", {}),
        ("x = 3 + 4", None, {}),
        ("x = (", None, {}),
    ],
)
def test_code_is_read_without_running_it(code: str, kind: str | None, arguments: dict) -> None:
    tools = gta.load(DATA)[0].tools
    move = read_code(f"Thought: t\nCode:\n```py\n{code}\n```", True, tools)
    assert (move.kind, move.arguments) == (kind, arguments)
    assert (move.error is None) is (kind is not None)
    assert kind != "answer" or move.text == "7"


def test_an_argument_that_is_not_written_out_is_unknown() -> None:
    move = read_code("Code:\n```py\nOCR(name)\n```", True, gta.load(DATA)[0].tools)
    assert (move.kind, move.arguments) == ("tool", {})
    assert move.error is not None and "image" in move.error
    assert not math.isnan(step_scores((move, *WANTED[1:]), WANTED, OBJECTIVE, None)["arg"])
