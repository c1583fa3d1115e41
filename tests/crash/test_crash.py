"""Killed anywhere, a run goes on to what it would have come to undisturbed: nothing twice, half, or left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from suite import PLACES, every, moments, places
from trial import Outcome, apart

from sport.crash import POINTS

SAMPLE = ("after_blob_fsync", "before_commit", "after_sampled", "after_stage")
JOBS = os.cpu_count() or 1

pytestmark = [pytest.mark.timeout(3600), pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome = apart(tmp_path_factory.mktemp("undisturbed") / "trial")
    assert outcome.left == []
    return outcome


def faults(folder: Path, whole: Outcome, wanted: dict) -> dict[str, list[str]]:
    done = dict(every(folder, list(wanted.items()), JOBS))
    assert sum(outcome.kills for outcome in done.values()) >= len(done) // 2
    return {name: found for name, outcome in done.items() if (found := outcome.faults(whole.digest))}


def test_a_sample_of_kills(tmp_path: Path, whole: Outcome) -> None:
    named = dict(places())
    wanted = {**dict(moments(6, whole.wall_s)), **{place: named[place] for place in SAMPLE}}
    assert len(wanted) == 10
    assert faults(tmp_path, whole, wanted) == {}


@pytest.mark.slow
def test_a_hundred_random_moments(tmp_path: Path, whole: Outcome) -> None:
    assert faults(tmp_path, whole, dict(moments(100, whole.wall_s))) == {}


@pytest.mark.slow
def test_every_named_place(tmp_path: Path, whole: Outcome) -> None:
    done = dict(every(tmp_path, list(places()), JOBS))
    assert {name: found for name, one in done.items() if (found := one.faults(whole.digest))} == {}
    assert [name for name, one in done.items() if one.kills == 0] == []
    assert {*PLACES, "after_adapter"} == set(POINTS)
