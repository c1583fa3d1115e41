"""Which rows a step sees: every row once an epoch, as many pairs as asked, spread evenly over processes."""

from __future__ import annotations

import numpy as np
import pytest

from sport.tune.batch import split
from sport.tune.plan import Plan, share
from sport.tune.row import Completion, Row


def row(name: str, pairs: int, tokens: int = 10) -> Row:
    ids = np.arange(tokens)
    completions = tuple(Completion((name, 0, i), (0,), (1,)) for i in range(pairs + 1))
    return Row(name, ids, np.tile(ids, (3, 1)), 0 * ids, 0 * ids, completions, tuple((0, i + 1) for i in range(pairs)))


ROWS = [row(f"t{i}", pairs=1 + 7 * i % 20, tokens=20 + 13 * i % 90) for i in range(23)]


def plan(**changes: object) -> Plan:
    settings = {"rows_per_step": 4, "pairs_per_step": None, "budget": 150, "seed": 5}
    return Plan(ROWS, **{**settings, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{}, {"pairs_per_step": 30}, {"pairs_per_step": 1}, {"pairs_per_step": 10**6}])
def test_every_row_is_seen_once_an_epoch_in_another_order(settings: dict[str, int]) -> None:
    made = plan(**settings)
    epochs = [[r.trajectory for k in range(len(made)) for r in made.step(e * len(made) + k).rows] for e in range(3)]
    assert all(sorted(epoch) == sorted(r.trajectory for r in ROWS) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_step_has_about_as_many_pairs_as_asked() -> None:
    made = plan(pairs_per_step=40)
    seen = [made.step(k).pairs for k in range(3 * len(made))]
    assert sum(seen) == 3 * sum(len(r.pairs) for r in ROWS)
    assert np.mean(seen) == pytest.approx(40, rel=0.15)
    assert max(seen) < 40 + 20  # a row more at most: none has more than 20


def test_a_row_is_never_taken_apart() -> None:
    made = plan(pairs_per_step=2)
    assert len(made) == len(ROWS) and all(len(made.step(k).rows) == 1 for k in range(len(made)))


def test_rows_with_more_pairs_than_a_step_are_told() -> None:
    fullest = [len(r.pairs) for r in plan(pairs_per_step=15).crowded]
    assert fullest == sorted((len(r.pairs) for r in ROWS if len(r.pairs) > 15), reverse=True) and fullest
    assert not plan(pairs_per_step=20).crowded and not plan().crowded


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_processes_share_a_step_and_keep_in_step(world: int) -> None:
    whole = plan().step(2)
    parts = [plan(rank=rank, world=world).step(2) for rank in range(world)]
    counting = [r.trajectory for p in parts for group in p.groups[: len(p.groups) - p.idle] for r in group]
    assert sorted(counting) == sorted(r.trajectory for r in whole.rows)
    assert len({len(p.groups) for p in parts}) == 1
    assert all(p.rows == whole.rows and p.pairs == whole.pairs for p in parts)


def test_nobody_idles_while_there_are_rows_enough() -> None:
    parts = [share(ROWS, budget=10**6, rank=rank, world=2) for rank in range(2)]
    loads = [sum(len(r) for group in p.groups for r in group) for p in parts]
    assert not any(p.idle for p in parts)
    assert max(loads) < 1.2 * min(loads)


@pytest.mark.parametrize("budget", [1, 60, 150, 10**6])
def test_packs_keep_to_the_budget_and_lose_nothing(budget: int) -> None:
    packs = split(ROWS, budget)
    assert sorted(r.trajectory for pack in packs for r in pack) == sorted(r.trajectory for r in ROWS)
    assert all(len(pack) == 1 or sum(map(len, pack)) <= budget for pack in packs)
    assert len(packs) <= max(1, 1.5 * sum(map(len, ROWS)) / budget) or budget < 100
