"""Exploration on a real store and a real sandbox: equal dumps at any concurrency and after any kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import killable
from sport.store import Store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder and dump of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, killable.main(folder, 0, 2)


def test_every_task_is_answered_from_what_was_observed(whole):
    with Store.view(whole[0]) as store:
        trees = list(store.trajectories("explore", 0))
    assert [tree.id for tree in trees] == [f"explore.0.t{i}" for i in range(killable.NUMBER)]
    assert [tree.end.answer for tree in trees] == [str(3 * (12 + i)) for i in range(killable.NUMBER)]
    assert [step.verdict.best for step in trees[0].steps] == [0, 0, 0]
    assert all(step.verdict.critic == "rules-blind" for tree in trees for step in tree.steps)


@pytest.mark.parametrize("in_flight", [1, 4])
def test_concurrency_changes_nothing(whole, tmp_path, in_flight):
    assert killable.main(tmp_path / "run", 0, in_flight) == whole[1]


@pytest.mark.parametrize("lives", [(1, 2, 3), (5, 8), (13,), (27, 1)])
def test_a_kill_changes_nothing(whole, tmp_path, lives):
    folder = tmp_path / "run"
    for commits in lives:
        words = [sys.executable, killable.__file__, str(folder), str(commits), "2"]
        environment = {"PYTHONPATH": str(Path(killable.__file__).parent.parent / "src"), "PATH": ""}
        ended = subprocess.run(words, env=environment, timeout=60, capture_output=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert killable.main(folder, 0, 2) == whole[1]


def test_going_on_with_what_has_ended_does_nothing(whole):
    assert killable.main(whole[0], 1, 2) == whole[1]  # its first commit would have killed this test
