"""What the scripted run does not come to: tuning, and a disk that fills up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sport.store import Store

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def sport(*words: str | Path, place: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")} | ({"CRASH_AT": place} if place else {})
    line = [sys.executable, "-m", "sport.cli", *map(str, words)]
    return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)


def dump(folder: Path) -> list[str]:
    with Store.view(folder) as store:
        return list(store.dump())


def test_killed_when_tuning_has_left_its_adapter(tmp_path: Path) -> None:
    small = ("run", "configs/small.toml", "--set", "explore.temperature=1.8", "--set", "pairs.failed=true")
    assert sport(*small, "--out", tmp_path / "whole").returncode == 0
    killed = sport(*small, "--out", tmp_path / "killed", place="after_adapter")
    assert killed.returncode == -9, killed.stderr
    again = sport("run", "--resume", tmp_path / "killed", place="after_stage:2")  # tune, then eval
    assert again.returncode == -9, again.stderr
    done = sport("run", "--resume", tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    assert dump(tmp_path / "killed") == dump(tmp_path / "whole")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 260 KB: room for the tables, and for a few steps."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=260k", "tmpfs", folder]).returncode:
        pytest.skip("this machine does not let this user mount a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up_is_one_message_and_with_more_room_the_run_goes_on(tmp_path: Path, disk: Path) -> None:
    assert sport("run", "configs/tiny.toml", "--out", tmp_path / "whole").returncode == 0
    full = sport("run", "configs/tiny.toml", "--out", disk / "run")
    assert full.returncode == 2, full.stderr
    assert "disk full" in full.stderr
    assert "Traceback" not in full.stderr
    subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
    done = sport("run", "--resume", disk / "run")
    assert done.returncode == 0, done.stderr
    assert dump(disk / "run") == dump(tmp_path / "whole")


def test_a_place_that_does_not_exist_is_one_message(tmp_path: Path) -> None:
    done = sport("run", "configs/tiny.toml", "--out", tmp_path / "run", place="after_lunch")
    assert done.returncode == 2
    assert "CRASH_AT=after_lunch: no such place; expected one of" in done.stderr
