"""Facts of the embedded corpus: invented towns, money, minerals, museums, and what a day's food may hold.

The articles are the lines of ``corpus/articles.jsonl`` in the package: data, fixed, and of no other origin. The tool
``search`` reads their titles and texts; the world's questions need their values too. No place or number is real, so
that no model knows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType


@dataclass(frozen=True)
class Article:
    """One article. ``value`` is the number that its text tells, None where no question is asked of it.

    Units by ``kind``: people (town), money bought by one crown (currency), grams or milligrams a day (limit),
    kilograms a litre (material), kilometres (road), minutes after midnight (museum).
    """

    kind: str
    name: str
    title: str
    text: str
    value: float | None


@cache
def articles() -> tuple[Article, ...]:
    """All of them, in the order of the file."""
    lines = (resources.files("sport") / "corpus" / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Article(**json.loads(line)) for line in lines)


@cache
def values(kind: str) -> Mapping[str, float]:
    """The values of one kind by name; a road's name is its two ends with a space between."""
    return MappingProxyType({a.name: a.value for a in articles() if a.kind == kind and a.value is not None})


def hubs() -> tuple[str, ...]:
    """The towns from which roads are described."""
    return tuple(dict.fromkeys(road.split()[0] for road in values("road")))


def reached(hub: str) -> tuple[str, ...]:
    """The towns to which a road from ``hub`` is described."""
    return tuple(road.split()[1] for road in values("road") if road.split()[0] == hub)
