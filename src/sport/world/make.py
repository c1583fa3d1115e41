"""One task of the embedded world from (split, seed, iteration, ordinal): a query, a file, and the key.

A share of the queries is spoilt on purpose, in the four ways of :mod:`sport.world.spoil`, so that the query-file check
has something to find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from sport.errors import ConfigError
from sport.seeds import derive
from sport.types import Key
from sport.world.families import ALL, DEPTHS, SEEN, UNSEEN, strangers
from sport.world.spoil import DEFECTS, spoil


@dataclass(frozen=True)
class Made:
    """A task before the store has given it a file: ``key.task_id`` is the task's id."""

    query: str
    files: Mapping[str, bytes]
    key: Key


def make(
    split: str, ordinal: int, *, families: Sequence[str], defects: float = 0.0, seed: int = 0, iteration: int = 0
) -> Made:
    """The task with this number in its split; families take turns, and ``unseen`` has its own.

    ``seed`` and ``iteration`` matter to ``explore`` alone, so that the evaluation splits are the same for every run.

    Raises:
        ConfigError: a family that does not exist, or that only ``unseen`` may have.
    """
    if unknown := sorted(set(families) - set(SEEN)):
        raise ConfigError(f"synth.families: unknown {unknown[0]!r}; expected some of {', '.join(sorted(SEEN))}")
    names = UNSEEN if split == "unseen" else families
    stream = (seed, iteration) if split == "explore" else (0, 0)
    rng = Random(derive("world", split, *stream, ordinal))
    family = ALL[names[ordinal % len(names)]]
    defect = rng.choice(DEFECTS) if rng.random() < defects else None
    piece, question = spoil(family, defect, strangers(family.name), split, rng)
    facts = {"kind": question.kind, "depth": DEPTHS[question.kind], "slots": dict(question.slots)}
    key = Key(
        task_id=f"{split}-{stream[1]:02d}-{ordinal:04d}",
        answer=question.answer,
        facts={**piece.facts, **facts},
        needs=question.needs,
        family=family.name,
        wording=question.wording,
        layout=piece.layout,
        defect=defect,
    )
    return Made(question.query, {piece.name: piece.data}, key)
