"""Three ways with the same kernels, head and reference: the tree, one row per step, and pair by pair."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from contenders.limit import limit, operations
from contenders.measure import Gradients, Measured, measured
from contenders.problem import SEED, Problem, small_one
from sport.checkpoint import quiet
from sport.config import Tune
from sport.tune import pack
from sport.tune.arguments import arguments
from sport.tune.batch import collate
from sport.tune.forward import Scorer, installed
from sport.tune.loss import preference_loss
from sport.tune.row import Row
from sport.tune.trainer import TreeDPOTrainer
from sport.tune.tree import Fork, Tree

LONGEST = 10**6


def tree(problem: Problem, epochs: int) -> Measured:
    """One trajectory is one row."""
    return _train(problem, epochs, _rows(problem, problem.trees))


def group(problem: Problem, epochs: int) -> Measured:
    """One row per step with all its candidates; the history is encoded anew at every step."""
    return _train(problem, epochs, _rows(problem, [step for one in problem.trees for step in _steps(one)]))


def pairs(problem: Problem, epochs: int) -> Measured:
    """Chosen and rejected of every pair, each with its whole history: what preference trainers do."""
    singles = [
        [
            _rows(problem, [Tree(f"{step.name} {i} {turn.candidate}", step.opening, (Fork(0, turn),))])[0]
            for turn in both
        ]
        for one in problem.trees
        for i, step in enumerate(_steps(one))
        for both in ((step.forks[0].trunk, rejected) for rejected in step.forks[0].rejected)
    ]
    with _ready(problem) as (tuned, scorer):
        optimiser = torch.optim.AdamW([w for w in tuned.parameters() if w.requires_grad], lr=1e-6)
        gradients = Gradients()
        with measured(problem.model.device) as found:
            with torch.no_grad():
                reference = [scorer(collate(rows, scorer.device)) for rows in singles]
            for _ in range(epochs):
                for rows, before in zip(singles, reference, strict=True):
                    scores = scorer(collate(rows, scorer.device))
                    loss = preference_loss(scores[:1], scores[1:], before[:1], before[1:], beta=0.1).losses
                    (loss.sum() / len(singles)).backward()
                torch.nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
                gradients.keep(tuned)
                optimiser.step()
                optimiser.zero_grad()
    return found.done(gradients.vector)


def share_of_limit(problem: Problem, seconds: float) -> float:
    """Which part of the speed of plain matrix products a pass over all trees (reference and epoch) has reached."""
    device, dtype = problem.model.device, problem.model.dtype
    return operations(problem, _rows(problem, problem.trees)) / seconds / limit(device, dtype)


# ------------------------------------------------------------------------------------------------ details


def _steps(one: Tree) -> Iterator[Tree]:
    """Every step as a trajectory of its own, with its history as the prompt."""
    for place, fork in enumerate(one.forks):
        yield Tree(f"{one.name}.{place}", tuple(one.history(place)), (Fork(0, fork.trunk, fork.rejected),))


def _rows(problem: Problem, trees: list[Tree]) -> list[Row]:
    rows, lost = pack.lay_out(trees, problem.renderer, LONGEST)
    assert not lost, lost
    return rows


def _train(problem: Problem, epochs: int, rows: list[Row]) -> Measured:
    with _ready(problem) as (_, scorer):
        gradients = Gradients()
        found = _run(scorer, rows, epochs, gradients)
    return found.done(gradients.vector)


@contextmanager
def _ready(problem: Problem) -> Iterator[tuple[Any, Scorer]]:
    """The model under its adapter, after a small trajectory went through it."""
    with problem.adapted() as tuned, installed(problem.model), quiet():
        scorer = Scorer(tuned, problem.renderer.picture)
        state = {name: weight.detach().clone() for name, weight in tuned.named_parameters() if weight.requires_grad}
        small = small_one(problem)
        _run(scorer, _rows(small, small.trees), 1, Gradients())
        for name, weight in tuned.named_parameters():
            if name in state:
                weight.data.copy_(state[name])
        yield tuned, scorer


def _run(scorer: Scorer, rows: list[Row], epochs: int, gradients: Gradients) -> Any:
    """All rows in one optimiser step, reference included."""
    settings = Tune(
        epochs=epochs, rows_per_step=len(rows), max_row_tokens=LONGEST, batch_tokens=max(map(len, rows)),
        reference="previous", learning_rate=1e-6, save_steps=10**6,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        args = arguments(settings, Path(folder), scorer.device, SEED, scorer.model.dtype)
        trainer = TreeDPOTrainer(scorer, rows, settings, args, callbacks=[gradients])
        with measured(scorer.device) as found:
            trainer.train()
    return found
