"""Which rows an optimiser step sees, and which process reads them, as pure functions of the seed.

Every process knows the whole plan, so none has to be told how many pairs a step has in all: the mean is taken over the
pairs of all processes, whichever of them read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from sport.seeds import derive
from sport.tune.batch import split
from sport.tune.row import Row


@dataclass(frozen=True)
class Share:
    """What one process does of one step.

    Attributes:
        groups: Rows that go through the model together, one group after another. All processes have equally many.
        idle: How many of the last groups are only there to keep step with the others, and count for nothing.
        rows: All rows of the step, of all processes.
    """

    groups: tuple[tuple[Row, ...], ...]
    idle: int
    rows: tuple[Row, ...]

    @property
    def pairs(self) -> int:
        """Of all processes."""
        return sum(len(row.pairs) for row in self.rows)

    @property
    def targets(self) -> int:
        """Tokens that all processes learn."""
        return sum(row.targets for row in self.rows)


@dataclass(frozen=True)
class Plan:
    """The order of all steps of a stage.

    Attributes:
        rows: Every row is seen once an epoch, in an order of the epoch's own.
        rows_per_step: How many a step sees, or
        pairs_per_step: how many pairs, as nearly as whole rows allow; a row is never taken apart, so at least one.
        budget: Tokens that go through the model at once; a longer row goes alone.
        seed: Of the order.
        rank: Of this process among ``world``.
    """

    rows: Sequence[Row]
    rows_per_step: int
    pairs_per_step: int | None
    budget: int
    seed: int
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        """Steps of one epoch."""
        if self.pairs_per_step is None:
            return -(-len(self.rows) // self.rows_per_step)
        steps = round(sum(self._weights(self.rows)) / self.pairs_per_step)
        return min(max(1, steps), len(self.rows))

    @property
    def crowded(self) -> list[Row]:
        """Rows that alone hold more than ``pairs_per_step``, the fullest first; their steps see more than was asked."""
        if self.pairs_per_step is None:
            return []
        found = [(weight, row) for weight, row in zip(self._weights(self.rows), self.rows, strict=True)]
        return [row for weight, row in sorted(found, key=lambda one: -one[0]) if weight > self.pairs_per_step]

    def step(self, number: int) -> Share:
        """This process's share of a step; steps are counted through all epochs."""
        epoch, place = divmod(number, len(self))
        generator = torch.Generator().manual_seed(derive(self.seed, "order", epoch))
        rows = [self.rows[i] for i in torch.randperm(len(self.rows), generator=generator).tolist()]
        first, last = list(pairwise(self._ends(rows)))[place]
        return share(rows[first:last], self.budget, self.rank, self.world)

    def _ends(self, rows: Sequence[Row]) -> list[int]:
        """Where steps begin and end among shuffled rows; the number of steps is the same in every epoch."""
        if self.pairs_per_step is None:
            return [*range(0, len(rows), self.rows_per_step), len(rows)]
        steps, sums = len(self), np.cumsum(self._weights(rows))
        ends = [0]
        for k in range(1, steps):
            nearest = int(np.abs(sums - sums[-1] * k / steps).argmin()) + 1
            ends.append(min(max(nearest, ends[-1] + 1), len(rows) - (steps - k)))
        return [*ends, len(rows)]

    def _weights(self, rows: Sequence[Row]) -> list[int]:
        """Pairs, or for SFT completions, of which a pair has one to learn."""
        return [len(row.pairs) or len(row.completions) for row in rows]


def share(rows: Sequence[Row], budget: int, rank: int = 0, world: int = 1) -> Share:
    """Rows spread over processes so that all have about as many tokens, each in packs of at most ``budget`` tokens."""
    piles: list[list[Row]] = [[] for _ in range(world)]
    for row in sorted(rows, key=len, reverse=True):
        min(piles, key=lambda pile: sum(len(member) for member in pile)).append(row)
    packed = [split(pile, budget) for pile in piles]
    passes, mine = max(len(packs) for packs in packed), packed[rank]
    while len(mine) < passes and max(map(len, mine), default=0) > 1:  # who has fewer packs makes smaller ones
        largest = max(mine, key=len)
        mine += [largest[len(largest) // 2 :]]
        del largest[len(largest) // 2 :]
    idle = passes - len(mine)
    return Share((*map(tuple, mine), *((min(rows, key=len),),) * idle), idle, tuple(rows))
