"""Which candidate the rules prefer, blind and informed."""

from __future__ import annotations

import pytest

from sport.types import Key, Need, Task
from sport.verify.rules import RuleCritic
from steps import KEY, LINES, SHEET, TASK, chosen, count, guess, look, made, ocr, times, unparsed, used

BLIND, INFORMED = RuleCritic(), RuleCritic(keys=lambda task_id: KEY)
BOTH = pytest.mark.parametrize("critic", [BLIND, INFORMED], ids=lambda critic: critic.name)
LOOKED = [chosen(0, look())]


async def best(critic, history, *candidates, task=TASK):
    verdict = await critic.judge(task, history, candidates, 0)
    return None if verdict.best is None else (verdict.best, *verdict.tied)


@BOTH
async def test_a_right_answer_without_evidence_loses_to_a_candidate_that_looked(critic):
    assert await best(critic, [], guess(0, 36), look(1)) == (1,)


@BOTH
async def test_it_loses_even_to_one_that_looked_and_then_failed(critic):
    failed = made(1, 'text = ocr("image_1.png")\ntext["sugar"]', calls=[ocr()], outcome="error")
    assert await best(critic, [], guess(0, 36), failed) == (1,)


@BOTH
async def test_an_answer_from_observations_beats_one_more_look(critic):
    again = made(1, 'print(count("image_1.png", "sugar"))', calls=[count("sugar", 4)], stdout="4")
    assert await best(critic, LOOKED, times(0), again) == (0,)


@BOTH
async def test_looking_and_answering_at_once_counts_as_looking(critic):
    code = 'text = ocr("image_1.png")\nfinal_answer(int(text.split("Sugar ")[1].split()[0]) * 3)'
    at_once = made(1, code, calls=[ocr()], answer=36)
    assert await best(critic, [], look(0), at_once) == (1,)


@BOTH
async def test_what_ran_beats_what_failed_beats_what_could_not_be_read(critic):
    ran, failed = made(2, "print(3)", stdout="3"), made(1, "boom", outcome="error")
    assert await best(critic, [], unparsed(0), failed, ran) == (2,)
    assert await best(critic, [], unparsed(0), failed) == (1,)


@BOTH
async def test_only_unreadable_candidates_give_no_verdict(critic):
    assert await best(critic, [], unparsed(0), unparsed(1)) is None


@BOTH
async def test_equals_tie_under_the_lowest_number(critic):
    assert await best(critic, [], look(3), look(1), guess(0)) == (1, 3)


@BOTH
async def test_a_new_look_beats_the_same_look_again(critic):
    assert await best(
        critic, LOOKED, look(0), made(1, 'print(count("image_1.png", "sugars"))', calls=[count("sugars", 2)])
    ) == (1,)


@BOTH
async def test_invented_content_loses(critic):
    invented = made(0, "sugar = 12.5\nfinal_answer(sugar * 3)", answer=37.5)
    assert await best(critic, LOOKED, invented, times(1)) == (1,)


async def test_a_number_worked_out_in_the_head_loses_to_one_computed():
    assert await best(BLIND, LOOKED, guess(0, 36), times(1)) == (1,)


async def test_numbers_from_observations_may_be_retyped():
    retyped = made(0, "final_answer(12 * 3)", answer=36)
    assert await best(BLIND, LOOKED, retyped, guess(1, 36)) == (0,)


@pytest.mark.parametrize(
    ("worse", "why"),
    [
        (times(0, nutrient="Fat", answer=21), "precise"),
        (times(0, factor="* 1", answer=12), "numbers"),
        (times(0, factor="", answer=12), "numbers"),
        (made(0, "final_answer(text)", answer=LINES), "form"),
        (made(0, "final_answer(None)", answer=None), "form"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_doubtful_answers_lose_to_a_sound_one_and_say_why(worse, why):
    verdict = await BLIND.judge(TASK, LOOKED, [worse, times(1)], 0)
    assert (verdict.best, verdict.tied) == (1, ())
    assert why in verdict.notes["0"]["is"]


def search(index: int, words: str, found: str):
    code = f'found = search("{words}")\nprint(found)'
    return made(index, code, calls=[used("search", {"query": words}, found)], stdout=found)


LIMIT = "Sugar: It sweetens food. The daily limit of sugar is 60 g."


@BOTH
async def test_looking_up_what_nobody_asked_for_loses_to_taking_what_was(critic):
    taken = made(1, 'import re\na = int(re.search(r"Sugar\\D*(\\d+)", text)[1])\nprint(a)', stdout="12")
    assert await best(critic, LOOKED, search(0, "daily limit of sugar", LIMIT), taken) == (1,)


async def test_looking_up_what_was_asked_for_wins():
    task = TASK.model_copy(update={"query": "What share of the daily limit of sugar is in a serving?"})
    taken = made(1, 'import re\na = int(re.search(r"Sugar\\D*(\\d+)", text)[1])\nprint(a)', stdout="12")
    assert await best(BLIND, LOOKED, search(0, "daily limit of sugar", LIMIT), taken, task=task) == (0,)


async def test_a_useless_search_does_not_cast_doubt_on_an_answer():
    task = TASK.model_copy(update={"query": "Which one is nearest the top side?"})
    answer = made(1, 'final_answer(text.split("\\n")[2])', answer="Sugar 12 g")
    assert await best(BLIND, LOOKED, search(0, "litre of top", "Veltrite: A dark stone."), answer, task=task) == (1,)


async def test_words_of_a_text_that_was_looked_up_may_be_looked_for():
    task = TASK.model_copy(update={"query": "How many days of the limit of sugar are in 3 servings?"})
    history = [chosen(0, look()), chosen(1, search(0, "limit of sugar", "Sugar: One is advised to eat 60 g."))]
    code = 'import re\na = int(re.search(r"advised to eat (\\d+)", found)[1])\nfinal_answer(a * 3)'
    verdict = await BLIND.judge(task, history, [made(0, code, answer=180)], 0)
    assert verdict.notes["0"]["precise"] == 1


async def test_a_number_in_a_unit_that_nothing_has_shown_is_doubted():
    task = TASK.model_copy(update={"query": "How many kilograms are 3 litres of sugar?"})
    verdict = await BLIND.judge(task, LOOKED, [times(0)], 0)
    assert "unit" in verdict.notes["0"]["is"]


async def test_nine_servings_add_up_by_a_product():
    task = TASK.model_copy(update={"query": "How much sugar do 3 servings add up to, in grams?"})
    verdict = await BLIND.judge(task, LOOKED, [times(0)], 0)
    assert verdict.notes["0"]["is"] == "answered from what was observed"


@pytest.mark.parametrize(("asked", "code", "doubted"), [
    ("highest", "min", True), ("highest", "max", False), ("cheapest", "max", True), ("cheapest", "min", False),
])  # fmt: skip
async def test_the_least_is_no_answer_to_the_most(asked, code, doubted):
    task = TASK.model_copy(update={"query": f"Which nutrient is the {asked}?"})
    candidate = made(0, f"final_answer({code}(rows, key=lambda r: r[1])[0])", answer="Salt")
    verdict = await BLIND.judge(task, LOOKED, [candidate], 0)
    assert ("operation" in verdict.notes["0"]["is"]) is doubted


async def test_a_time_is_no_number_of_minutes():
    task = TASK.model_copy(update={"query": "How long is the ride with sugar, in minutes?"})
    verdict = await BLIND.judge(task, LOOKED, [made(0, 'final_answer("12:07")', answer="12:07")], 0)
    assert "form" in verdict.notes["0"]["is"]


async def test_the_operation_must_fit_the_question():
    task = TASK.model_copy(update={"query": "How many more grams of sugar than fat are in a serving?"})
    code = (
        'a = int(text.split("Sugar ")[1].split()[0])\nb = int(text.split("Fat ")[1].split()[0])\nfinal_answer(a {} b)'
    )
    plus, minus = made(0, code.format("+"), answer=19), made(1, code.format("-"), answer=5)
    assert await best(BLIND, LOOKED, plus, minus, task=task) == (1,)


async def test_an_answer_that_forgets_half_of_the_question_loses_to_the_step_that_does_not():
    task = TASK.model_copy(update={"query": "How many red circles and blue stars are there together?"})
    first = chosen(0, made(0, 'a = count("image_1.png", "red circle")', calls=[count("red circle", 4)], stdout="4"))
    early = made(0, "final_answer(a)", answer=4)
    goes_on = made(1, 'b = count("image_1.png", "blue star")\nprint(b)', calls=[count("blue star", 3)], stdout="3")
    assert await best(BLIND, [first], early, goes_on, task=task) == (1,)


async def test_the_fitting_tool_wins():
    task = Task(id="t", query="How many lamps are in stock?", files=(SHEET,))
    picture = made(0, 'print(ocr("file_1.xlsx"))', calls=[ocr(SHEET, "")], stdout="")
    reading = used("inspect_file_as_text", {"file": {"file": SHEET.sha256, "name": SHEET.name}}, "Lamps | 4 | 9")
    document = made(1, 'print(inspect_file_as_text("file_1.xlsx"))', calls=[reading], stdout="Lamps | 4 | 9")
    assert await best(BLIND, [], picture, document, task=task) == (1,)


async def test_an_empty_result_is_worth_less_than_one_that_speaks_of_the_question():
    empty = made(0, 'print(ocr("image_1.png"))', calls=[ocr(value="")])
    assert await best(BLIND, [], empty, look(1)) == (1,)


async def test_a_table_may_be_read_by_python_alone():
    task = Task(id="t", query="How many lamps?", files=(SHEET,))
    read = made(1, 'import pandas\nprint(pandas.read_excel("file_1.xlsx"))', stdout="Lamps 4")
    assert await best(BLIND, [], guess(0, 4), read, task=task) == (1,)
    assert await best(BLIND, [chosen(0, read)], made(0, "final_answer(4)", answer=4), read, task=task) == (0,)


async def test_among_equal_answers_the_majority_wins():
    minority = made(0, 'final_answer(int(text.split("Sugar ")[1][:1]) * 3)', answer=3)
    assert (await best(BLIND, LOOKED, minority, times(1), times(2)))[0] == 1


async def test_the_blind_critic_never_asks_for_a_key():
    def keys(task_id):
        raise AssertionError("looked at the key")

    blind = RuleCritic()
    assert (await best(blind, LOOKED, times(0), times(1, answer=35))) is not None
    with pytest.raises(AssertionError):
        await best(RuleCritic(keys=keys), LOOKED, times(0))


async def test_the_informed_critic_prefers_the_key():
    assert await best(INFORMED, LOOKED, times(0, answer=35), times(1, answer="36.0"), times(2, answer=21)) == (1,)


async def test_a_wrong_answer_loses_to_anything_that_runs():
    assert await best(INFORMED, LOOKED, times(0, answer=35), made(1, "y = 1")) == (1,)


async def test_without_an_answer_progress_counts():
    key = Key(
        task_id="t",
        answer="7",
        needs=tuple(Need(tool="count", arguments={"what": w}) for w in ("red circle", "blue star")),
    )
    critic = RuleCritic(keys=lambda task_id: key)
    first = chosen(0, made(0, "a = count(...)", calls=[count("red circle", 4)], stdout="4"))
    other = made(0, "c = count(...)", calls=[count("green circle", 3)], stdout="3")
    needed = made(1, "b = count(...)", calls=[count("Blue star", 3)], stdout="3")
    assert await best(critic, [first], other, needed) == (1,)


async def test_the_reason_reads_as_sentences():
    verdict = await BLIND.judge(TASK, LOOKED, [times(0), guess(1, 35), unparsed(2), unparsed(3)], 0)
    assert verdict.reason == (
        "Candidate 0 answered from what was observed. Candidate 1 answered, but in doubt by grounded, covering, "
        "numbers, with 35 that nothing has shown. Candidates 2 and 3 could not be parsed."
    )
