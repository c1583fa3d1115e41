"""Runs of programs are shared by all tests of a configuration: the first that asks starts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from hostile.session import Run

Runs = Callable[[Sequence[str], Mapping[str, Any], int | None], Run]


@pytest.fixture(scope="session")
def runs() -> Iterator[Runs]:
    """``runs(names, settings, user)``: the run of these programs, one for equal arguments."""
    made: dict[str, Run] = {}

    def get(names: Sequence[str], settings: Mapping[str, Any], user: int | None) -> Run:
        key = f"{sorted(names)} {sorted(settings.items())} {user}"
        if key not in made:
            made[key] = Run(list(names), settings, user)
        return made[key]

    yield get
    for run in made.values():
        run.stop()
