"""Runs of programs are shared by all tests of a configuration: the first that asks starts it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

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


class ByRun(LoadScopeScheduling):
    """One worker for all programs of a user and a tier: they share one. xdist's own groups do nothing in pytest 9."""

    def _split_scope(self, nodeid: str) -> str:
        found = re.search(r"::test_it_is_contained\[(\w+-\w+)-", nodeid)
        return found[1] if found else nodeid


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """In place of what ``--dist`` names, where the hostile programs are what is run."""
    return ByRun(config, log)
