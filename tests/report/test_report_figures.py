"""The figures behind the page, against runs worked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runs import action, answered, broke, evaluate, explore, looked, make_run, make_task, record_step
from sport import causes
from sport.config import Config
from sport.report import checking, exploring, figures, mistakes
from sport.report.choose import choose, every
from sport.report.mistakes import Graded
from sport.stats import wilson
from sport.store import Store
from sport.types import Candidate, End, Key, Pair, Step, Task, Verdict


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "run", Config(iterations=1)) as made:
        yield made


def one(task: str, iteration: int, cause: str | None, depth: int | None = None) -> Graded:
    return Graded(f"eval.{iteration}.{task}", task, "heldout", iteration, cause, "label", None, depth)


# --------------------------------------------------------------------------------------------- evaluation


def test_errors_are_counted_once_in_the_order_of_their_definitions() -> None:
    told = [
        one("a", 0, causes.WRONG_WORK), one("b", 0, causes.FAILED), one("c", 0, causes.WRONG_WORK), one("d", 0, None),
        one("a", 1, causes.WRONG_WORK), one("b", 1, None), one("c", 1, None), one("d", 1, None),
    ]  # fmt: skip
    found = mistakes.mistakes(told)
    assert found is not None
    assert found.iterations == (0, 1)
    assert [(name, [cell.count for cell in cells]) for name, _, cells in found.rows] == [
        (causes.FAILED, [1, 0]),
        (causes.WRONG_WORK, [2, 1]),
    ]
    assert [(cell.count, cell.n, cell.share) for cell in found.all] == [(3, 4, 0.75), (1, 4, 0.25)]
    assert mistakes.mistakes([one("d", 0, None)]) is None


def test_groups_that_the_keys_do_not_tell_apart_are_no_table() -> None:
    told = [one("a", 0, None, 1), one("b", 0, causes.FAILED, 3), one("a", 1, None, 1)]
    family, depth = mistakes.groups(told)
    assert (family.name, [group for group, _ in family.rows]) == ("family", ["label"])
    assert depth.rows == (("1", (wilson(1, 1), wilson(1, 1))), ("3", (wilson(0, 1), None)))


def test_habits_are_those_that_the_checkpoint_tells_of(tmp_path: Path, store: Store) -> None:
    assert set(figures.habits(store)) == {"guess", "half"}
    other = Config.model_validate({"controller": {"checkpoint": str(tmp_path)}})
    with Store.create(tmp_path / "other", other) as silent:
        assert figures.habits(silent) == {}


def test_a_gain_is_paired_over_the_tasks_of_both_times() -> None:
    told = [one("a", 0, causes.FAILED), one("b", 0, None), one("x", 0, None), one("a", 1, None), one("b", 1, None)]
    difference, tasks = mistakes.gain(told, 0) or (None, 0)
    assert difference is not None
    assert (difference.value, tasks) == (0.5, 2)
    assert mistakes.gain(told[:3], 0) is None


def test_every_measured_split_has_its_own_figures(store: Store) -> None:
    for number in range(1, 5):
        for split, rights in (("heldout", (False, True)), ("unseen", (False, False))):
            task = make_task(store, number, split)
            for iteration, right in enumerate(rights):
                evaluate(store, task, number, iteration, right)
    for iteration in (0, 1):
        for split in ("unseen", "heldout"):
            store.add_metrics(iteration, split, {"AnsAcc": wilson(4 * iteration * (split == "heldout"), 4)})
    heldout, unseen = figures.splits(store, mistakes.graded(store))
    assert (heldout.name, unseen.name) == ("heldout", "unseen")
    assert heldout.gain is not None
    assert unseen.gain is not None
    assert (heldout.gain.value, unseen.gain.value, unseen.tasks) == (1.0, 0.0, 4)
    assert heldout.mistakes is not None
    assert [cell.count for cell in heldout.mistakes.all] == [4, 0]
    head = figures.headline(store, [heldout, unseen])
    assert head is not None
    assert head.split is heldout


def test_a_score_that_knows_more_than_the_rules_is_believed(store: Store) -> None:
    task = make_task(store, 1, "heldout")
    name = evaluate(store, task, 1, 0, right=True)
    store.add_scores(name, {"right": False})
    [told] = mistakes.graded(store)
    assert (told.cause, told.family, told.split) == (mistakes.OTHER, "label", "heldout")


# -------------------------------------------------------------------------------------------- exploration


def test_chosen_and_rejected_count_each_candidate_once(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", tasks=6) as store:
        [found] = exploring.explorations(store)
    assert found.sides is not None
    chosen, rejected = found.sides
    assert (chosen.n, chosen.failed.value, chosen.tools) == (5, 0.0, {"ocr": 1.0})
    assert (rejected.n, rejected.failed.value, rejected.tools) == (5, 1.0, {})
    assert (chosen.words.value, rejected.words.value) == (13.0, 7.0)
    assert found.steps is not None
    assert (found.steps.value, found.failed, found.candidates) == (2.0, 10, 30)
    assert exploring.dropped([found]) == [
        ("identical", exploring.FILTERS["identical"], (10,)),
        ("tied", exploring.FILTERS["tied"], (5,)),
    ]


def test_what_tuning_left_out_is_dropped_too(store: Store) -> None:
    explore(store, make_task(store, 1, "explore", 1), 1, 1)
    store.finish_stage(1, "tune", 1.0, {"too_long": 3, "steps": 4})
    assert [(name, counts) for name, _, counts in exploring.dropped(exploring.explorations(store))] == [
        ("too_long", (3,))
    ]


def decide(store: Store, number: int, answers: tuple[int | None, ...], best: int | None) -> None:
    """An explored trajectory of one step whose candidates answer so; None is a candidate that broke."""
    task = make_task(store, number, "explore", 1)
    name = f"x{number}"
    store.begin(name, task.id, "explore", 1, number)
    tried = tuple(
        Candidate(index=i, action=action("So.", f"x = {i}"), observation=broke("no") if a is None else answered(a))
        for i, a in enumerate(answers)
    )
    verdict = Verdict(best=best)
    went = 0 if best is None else None
    record_step(store, name, Step(index=0, candidates=tried, verdict=verdict, continued_with=went))
    store.ended(name, End(state="answered", answer=str(answers[best or 0])))


def test_the_critic_agrees_with_the_key_where_its_best_answered(store: Store) -> None:
    decide(store, 1, (7, 8, 8, None), best=0)  # right, by lot 1 of 3
    decide(store, 2, (14, 15), best=1)  # wrong, by lot 1 of 2
    decide(store, 4, (28, 28), best=0)  # nothing to choose
    decide(store, 5, (35, 1), best=None)  # no verdict
    decide(store, 3, (21, 1), best=0)  # a spoilt query has no right answer
    [found] = exploring.explorations(store)
    assert found.agreement.best == wilson(2, 3)
    assert found.agreement.choice == wilson(1, 2)
    assert found.agreement.chance == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert found.right == wilson(3, 4)


# ------------------------------------------------------------------------------------------ the query check


def test_precision_and_recall_over_all_iterations(store: Store) -> None:
    for iteration in (1, 2):
        for number in range(1, 5):
            task = make_task(store, number, "explore", iteration)
            lost = number == 3 or (number == 4 and iteration == 2)
            store.add_check(task.id, not lost, f"'word{number}{iteration}' is not in the files" if lost else "fine", {})
        explore(store, task, number, iteration)
    found = checking.checks(store)
    assert found is not None
    first, second, whole = found.rows
    assert (first.precision, second.precision) == (wilson(1, 1), wilson(1, 2))
    assert (whole.iteration, whole.written, whole.kept) == (None, 8, 5)
    assert (whole.precision, whole.recall) == (wilson(2, 3), wilson(2, 2))
    assert found.reasons == (("… is not in the files", 3),)
    assert found.defects == (("unreadable", 2, 2), ("sound", 1, 6))


def test_rare_reasons_are_counted_together(store: Store) -> None:
    for number in range(20):
        task = Task(id=f"t{number}", query="?")
        store.add_task(task, None, split="explore", iteration=1, ordinal=number)
        store.add_check(task.id, False, f"reason {number}", {})
        store.begin(f"x{number}", task.id, "explore", 1, number)
    found = checking.checks(store)
    assert found is not None
    assert len(found.reasons) == 13
    assert found.reasons[-1] == ("8 other reasons", 8)
    assert found.defects == ()


# ---------------------------------------------------------------------------------------- what is shown


def test_rare_causes_are_not_crowded_out(store: Store) -> None:
    told: dict[str, str | None] = {}
    for number in range(101, 117):
        task = make_task(store, number, "heldout")
        for iteration in (0, 1):
            told[evaluate(store, task, number, iteration, right=False)] = "rare" if number > 114 else "frequent"
    shown = choose(store, told, limit=12).evaluated
    assert sum(told[pick.outline.id] == "rare" for pick in shown) == 4
    assert len(shown) == 12


def test_explored_ones_that_went_wrong_are_shown_too(store: Store) -> None:
    names = [explore(store, make_task(store, number, "explore", 1), number, 1) for number in range(1, 15)]
    store.add_pairs(1, [Pair(trajectory=name, step=0, chosen=0, rejected=2) for name in names], {})
    task = make_task(store, 100, "explore", 1)
    store.begin("wrong", task.id, "explore", 1, 100)
    record_step(
        store,
        "wrong",
        Step(
            index=0,
            candidates=(Candidate(index=0, action=action("", ""), observation=looked(task.files[0], "")),),
            continued_with=0,
        ),
    )
    store.ended("wrong", End(state="step_limit"))
    explored = choose(store, limit=6).explored
    assert len(explored) == 6
    assert explored[-1].outline.id == "wrong"
    assert explored[-1].outcome == "wrong"


def test_every_trajectory_comes_with_its_change(store: Store) -> None:
    task = make_task(store, 1, "heldout")
    for iteration, right in enumerate((False, False, True)):
        evaluate(store, task, 1, iteration, right)
    explore(store, make_task(store, 2, "explore", 1), 2, 1)
    assert [(pick.outline.purpose, pick.change) for pick in every(store)] == [("eval", "gained")] * 3 + [
        ("explore", "")
    ]


def test_a_spoilt_query_has_no_cause(store: Store) -> None:
    task = Task(id="t", query="?")
    store.add_task(task, Key(task_id="t", answer="", defect="absent"), split="explore", iteration=1, ordinal=0)
    store.begin("x", "t", "explore", 1, 0)
    store.ended("x", End(state="answered", answer="3"))
    assert mistakes.why_wrong(store.trajectory("x"), store.key("t"), None) is None
    assert every(store)[0].outcome == "answered"
