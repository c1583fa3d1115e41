"""Position and length bias, worked by hand, and their place on the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runs import action, answered, make_task, record_step
from sport.config import Config
from sport.report import bias, build
from sport.store import Store
from sport.types import Candidate, End, Review, Step, Verdict


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "run", Config()) as made:
        yield made


def call(order: list[int], *best: int, **more: object) -> dict[str, object]:
    return {"order": order, "best": list(best) or None, **more}


def judged(store: Store, number: int, verdict: Verdict, lengths: tuple[int, ...]) -> str:
    """A trajectory of one step, whose candidates' thoughts have so many words."""
    task = make_task(store, number, "explore", 1)
    name = f"explore.1.{task.id}"
    store.begin(name, task.id, "explore", 1, number)
    found = [
        Candidate(index=i, action=action("word " * length, f"final_answer({i})"), observation=answered(i))
        for i, length in enumerate(lengths)
    ]
    end = {"continued_with": 0} if verdict.best is None else {}
    record_step(store, name, Step(index=0, candidates=tuple(found), verdict=verdict, **end))
    store.ended(name, End(state="answered", answer="0"))
    return name


def test_places_flips_and_lengths_by_hand(store: Store) -> None:
    swapped = {"votes": 1, "calls": [call([2, 0, 1], 2), call([1, 0, 2], 2)]}
    flipped = {"votes": 1, "calls": [call([0, 1, 2], 0), call([2, 1, 0], 2, repaired=True)]}
    single = {"votes": 2, "calls": [call([1, 0], 1), call([0, 1], problem="no answer")]}
    judged(store, 0, Verdict(best=2, critic="llm m", notes=swapped), (3, 5, 9))
    judged(store, 1, Verdict(best=None, critic="llm m", notes=flipped), (3, 5, 9))
    judged(store, 2, Verdict(best=1, tied=(), critic="llm m", notes=single), (4, 4))
    judged(
        store, 3, Verdict(best=0, tied=(1,), critic="llm m", notes={"votes": 1, "calls": [call([0, 1], 0, 1)]}), (1, 2)
    )
    found = bias.bias(store)
    assert found is not None
    assert (found.critics, found.verdicts, found.calls) == (("llm m",), 4, 7)
    assert (found.repaired, found.unread, found.abstained) == (1, 1, 0)
    first, second, third = found.places
    assert (first.chosen.value, first.chosen.n) == (4 / 5, 5)
    assert first.lot == pytest.approx((4 / 3 + 1 / 2) / 5)
    assert (second.chosen.value, third.chosen.value, third.chosen.n) == (0, 1 / 4, 4)
    assert found.flips is not None
    assert (found.flips.value, found.flips.n) == (1 / 2, 2)
    assert found.longer is not None
    assert (found.longer.value, found.longer.n) == (1, 2), "equal lengths and ties compare nothing"


def test_rules_are_shown_no_order(store: Store) -> None:
    judged(store, 0, Verdict(best=0, critic="rules-blind"), (9, 1))
    found = bias.bias(store)
    assert found is not None
    assert (found.places, found.flips, found.calls) == ((), None, 0)
    assert found.longer is not None


def test_nothing_judged_is_nothing_said(store: Store) -> None:
    assert bias.bias(store) is None
    assert bias.reviews(store) is None


def test_both_stand_on_the_page(store: Store, tmp_path: Path) -> None:
    said = {"reason": "It looked <i>first</i>.", "criteria": {"tool": "as it should be"}}
    notes = {"votes": 1, "calls": [call([1, 0], 1, **said), call([0, 1], 0, **said)]}
    name = judged(store, 0, Verdict(best=1, critic="llm m", notes=notes), (2, 7))
    other = judged(store, 1, Verdict(best=1, critic="llm m", notes=notes), (2, 7))
    store.add_review(name, Review(kept=True, reason="fine", critic="rules"))
    store.add_review(other, Review(kept=False, reason="x", notes={"faults": ["<b>tools"]}, critic="rules"))
    page = build(store, tmp_path / "report.html").read_text(encoding="utf-8")
    words = re.sub(r"<[^>]+>|\s+", " ", page)
    for wanted in (
        "The critic's leanings",
        "named another best candidate in 100.0 %",
        "Length: the best candidate",
        "1 trajectories kept, 1 rejected",
    ):
        assert wanted.replace("'", "'") in words.replace("&#39;", "'"), wanted
    assert "&lt;b&gt;tools" in page
    assert "Shown in the order 1, 0: best 1. It looked &lt;i&gt;first&lt;/i&gt;." in page
    assert "<b>tool</b>: as it should be" in page
