"""Pairs: the best against each worse candidate, and a name for everything that is left out."""

from __future__ import annotations

import doctest
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sport import config, pairs
from sport.types import Action, Candidate, End, Observation, Pair, Step, Task, Trajectory, Verdict


def step(
    raws: list[str], best: int | None, tied: tuple[int, ...] = (), index: int = 0, same: dict[int, int] | None = None
) -> Step:
    candidates = tuple(
        Candidate(index=i, action=Action(raw=raw), observation=Observation(outcome="ok"), same_as=(same or {}).get(i))
        for i, raw in enumerate(raws)
    )
    verdict = Verdict(best=best, tied=tied)
    return Step(index=index, candidates=candidates, verdict=verdict, continued_with=0 if best is None else None)


def tree(*steps: Step, end: End | None = None) -> Trajectory:
    return Trajectory(id="t", task=Task(id="q", query="?"), purpose="explore", iteration=0, steps=steps, end=end)


def losers(trajectory: Trajectory, **filters: float) -> list[tuple[int, int, int]]:
    found, _ = pairs.read(trajectory, config.Pairs(**filters))
    return [(p.step, p.chosen, p.rejected) for p in found]


def test_the_best_stands_against_every_other() -> None:
    assert losers(tree(step(["a", "b", "c"], best=1))) == [(0, 1, 0), (0, 1, 2)]


def test_a_pair_names_its_candidates_by_identity() -> None:
    found, dropped = pairs.read(tree(step(["a", "b"], best=1, index=4)))
    assert found == [Pair(trajectory="t", step=4, chosen=1, rejected=0)]
    assert not dropped


def test_a_tie_forms_no_pair_and_is_counted() -> None:
    found, dropped = pairs.read(tree(step(["a", "b", "c", "d"], best=0, tied=(2,))))
    assert [p.rejected for p in found] == [1, 3]
    assert dropped == Counter(tied=1)


def test_a_step_without_verdict_gives_nothing_and_is_counted() -> None:
    silent = Step(index=1, candidates=step(["a", "b"], best=0).candidates, continued_with=0)
    found, dropped = pairs.read(tree(step(["a", "b"], best=None), silent))
    assert not found
    assert dropped == Counter(no_verdict=2)


def test_equal_candidates_count_as_one() -> None:
    found, dropped = pairs.read(tree(step(["a  b", "c", "a b", "c\n\n", "d"], best=0, same={3: 1})))
    assert [p.rejected for p in found] == [1, 4]
    assert dropped == Counter(identical=2)


def test_a_twin_of_a_tied_candidate_is_no_loser() -> None:
    found, _ = pairs.read(tree(step(["a", "b", "b", "c"], best=0, tied=(1,))))
    assert [p.rejected for p in found] == [3]


def test_indentation_is_a_difference() -> None:
    raws = ["for x in y:\n    f(x)\n    g()", "for x in y:\n    f(x)\ng()"]
    assert losers(tree(step(raws, best=0))) == [(0, 0, 1)]


def test_similarity_is_measured_on_words_and_off_by_default() -> None:
    near = tree(step(["read the label of the can", "read the label of the tin", "draw"], best=0))
    assert len(losers(near)) == 2
    assert losers(near, too_similar=0.8) == [(0, 0, 2)]
    assert pairs.read(near, config.Pairs(too_similar=0.8))[1] == Counter(too_similar=1)
    letters = tree(step(["abcdefgh", "abcdefgi"], best=0))
    assert len(losers(letters, too_similar=0.5)) == 1


def test_unparsed_failed_and_unanswered_still_teach() -> None:
    broken = step(["a", "b", "c"], best=0)
    data = broken.model_dump()
    data["candidates"][1]["observation"] = {"outcome": "unparsed", "error": "no code"}
    data["candidates"][2]["observation"] = {"outcome": "error", "error": "NameError"}
    assert len(losers(tree(Step.model_validate(data), end=End(state="step_limit")))) == 2


@given(st.lists(st.text(max_size=4), min_size=1, max_size=8), st.data())
def test_every_candidate_is_chosen_rejected_or_counted(raws: list[str], data: st.DataObject) -> None:
    best = data.draw(st.integers(0, len(raws) - 1))
    tied = tuple(data.draw(st.sets(st.integers(0, len(raws) - 1).filter(lambda i: i != best))) if len(raws) > 1 else ())
    found, dropped = pairs.read(tree(step(raws, best, tied)), config.Pairs(too_similar=0.7))
    assert 1 + len(found) + dropped.total() == len(raws)
    assert not {p.rejected for p in found} & {best, *tied}


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(pairs).failed == 0


def test_the_least_bad_of_failures_gives_no_pair_unless_asked_for() -> None:
    failures = (Observation(outcome="error", error="x"), Observation(outcome="timeout"))
    candidates = tuple(
        Candidate(index=i, action=Action(raw=f"Thought {i}", code=f"x = {i}"), observation=seen)
        for i, seen in enumerate(failures)
    )
    trajectory = tree(Step(index=0, candidates=candidates, verdict=Verdict(best=0)))
    assert pairs.read(trajectory) == ([], Counter({"failed": 1}))
    assert len(pairs.read(trajectory, config.Pairs(failed=True))[0]) == 1


def test_a_failed_loser_gives_a_pair_unless_it_is_filtered() -> None:
    seen = (Observation(outcome="ok"), Observation(outcome="error", error="x"), None)
    candidates = tuple(
        Candidate(index=i, action=Action(raw=f"Thought {i}", code=f"x = {i}" if found else None), observation=found)
        for i, found in enumerate(seen)
    )
    trajectory = tree(Step(index=0, candidates=candidates, verdict=Verdict(best=0)))
    assert losers(trajectory) == [(0, 0, 1), (0, 0, 2)]
    assert pairs.read(trajectory, config.Pairs(broken=False)) == ([], Counter({"broken": 2}))
