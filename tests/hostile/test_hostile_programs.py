"""Every program is contained: as root and as an ordinary user, with all layers and in each tier that lacks one."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from hostile.catalogue import CATALOGUE, SAMPLE
from hostile.conftest import Runs
from hostile.settings import TIERS, USERS

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the forking sandbox is for Linux"),
    pytest.mark.timeout(300),  # the first of a run boots it
]

ALL = [
    pytest.param(user, tier, name, id=f"{user}-{tier}-{name}")
    for user in USERS
    for tier in TIERS
    for place, name in enumerate(CATALOGUE)
    if tier == "full" or list(USERS)[place % len(USERS)] == user
]
"""With all layers every program as either user; in each lesser tier every program once, the users in turn."""


def test_there_are_at_least_110_of_every_kind() -> None:
    kinds = Counter(case.category for case in CATALOGUE.values())
    assert len(CATALOGUE) >= 110 and min(kinds.values()) >= 5, kinds
    assert {CATALOGUE[name].category for name in SAMPLE} >= kinds.keys() - {"toolfiles"}


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize("user", USERS)
def test_a_sample_is_contained(runs: Runs, user: str, name: str) -> None:
    result = runs(SAMPLE, TIERS["full"], USERS[user]).result(name)
    assert result["complaints"] == [], result


@pytest.mark.hostile
@pytest.mark.parametrize(("user", "tier", "name"), ALL)
def test_it_is_contained(runs: Runs, request: pytest.FixtureRequest, user: str, tier: str, name: str) -> None:
    chosen = {item.callspec.params["name"] for item in request.session.items if _belongs(item, user, tier)}
    run = runs([each for each in CATALOGUE if each in chosen], TIERS[tier], USERS[user])
    result = run.result(name)
    assert result["complaints"] == [], result


def _belongs(item: pytest.Item, user: str, tier: str) -> bool:
    params = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
    return bool(params) and params.get("user") == user and params.get("tier") == tier and "name" in params
