"""General conversations among agent trajectories, by weight: they keep a controller from forgetting how to talk."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sport.errors import InputError
from sport.seeds import derive
from sport.tune.readers.pictures import Pictures
from sport.tune.readers.read import Data, read
from sport.tune.readers.records import Source, count
from sport.tune.tree import Tree


@dataclass(frozen=True)
class Share:
    """A data set of conversations, and how many of it go with every trajectory: 0.5 is one for two."""

    source: Source
    weight: float


def share(text: str, where: str) -> Share:
    """``general.jsonl=0.3`` as a share; ``where`` names the option or key in the message. Raises InputError."""
    path, sign, weight = text.rpartition("=")
    try:
        if sign and path:
            return Share(path, float(weight))
    except ValueError:
        pass  # told below
    raise InputError(f"{where} {text}: expected PATH=WEIGHT, for example general.jsonl=0.3")


def draw(share: Share, trajectories: int, seed: int, pictures: Pictures) -> Data:
    """``weight`` x ``trajectories`` conversations of a set, drawn without looking at the others.

    Which ones depends on ``seed`` and the size of the set alone. Where more are asked for than there are, all of them
    come before any comes again.

    Raises:
        InputError: a weight that is not positive; also as :func:`~sport.tune.readers.read.read`.
    """
    if not share.weight > 0:
        raise InputError(f"{share.source}: a weight of {share.weight}; expected a number above 0, e.g. 0.5")
    numbers = _numbers(count(share.source), round(share.weight * trajectories), seed)
    times = Counter(numbers)
    data = read(share.source, pictures=pictures, wanted=times).imitation()
    again = [
        _named(tree, turn)
        for number, tree in zip(sorted(times), data.trees, strict=True)
        for turn in range(times[number])
    ]
    return replace(data, trees=tuple(again), counts=Counter(records=len(times), trees=len(again)))


def _numbers(size: int, wanted: int, seed: int) -> Sequence[int]:
    if size == 0 or wanted == 0:
        raise InputError(f"nothing to mix in: {size} conversations there, {wanted} asked for; raise the weight")
    out: list[int] = []
    while len(out) < wanted:
        whole = list(range(size))
        random.Random(derive(seed, "mixing", len(out) // size)).shuffle(whole)
        out += whole[: wanted - len(out)]
    return out


def _named(tree: Tree, turn: int) -> Tree:
    return replace(tree, name=f"{tree.name} ({turn + 1})") if turn else tree
