"""Refusals that say why, full disks, and kills: what was committed is there, and nothing half."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runs import action
from sport.config import Config
from sport.errors import ConfigError, RunError
from sport.store import Store
from sport.types import Candidate, End, Observation, Step, Task


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "run", Config(name="toy")) as made:
        yield made


def test_no_run_directory(tmp_path: Path) -> None:
    for opener in (Store.open, Store.view):
        with pytest.raises(RunError, match="not a run directory"):
            opener(tmp_path)
        with pytest.raises(RunError, match="not a run directory"):
            opener(tmp_path / "nowhere")


def test_another_database_is_no_run(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "run.db")
    connection.execute("CREATE TABLE x (y)")
    connection.close()
    with pytest.raises(RunError, match="not a run directory"):
        Store.open(tmp_path)
    (tmp_path / "run.db").write_bytes(b"no database at all, but long enough to be read as one" * 20)
    with pytest.raises(RunError, match="cannot be read as a run"):
        Store.open(tmp_path)


def test_a_run_is_not_made_twice(tmp_path: Path) -> None:
    Store.create(tmp_path, Config()).close()
    with pytest.raises(RunError, match="holds a run already"):
        Store.create(tmp_path, Config())


def test_newer_schema(tmp_path: Path) -> None:
    Store.create(tmp_path, Config()).close()
    connection = sqlite3.connect(tmp_path / "run.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    (tmp_path / "config.json").write_text('{"key_of_tomorrow": 1}')
    for opener in (Store.open, Store.view):
        with pytest.raises(RunError, match="made by a newer sport"):
            opener(tmp_path)


def test_a_broken_configuration_is_named(tmp_path: Path) -> None:
    Store.create(tmp_path, Config()).close()
    (tmp_path / "config.json").write_text('{"sed": 1}')
    with pytest.raises(ConfigError, match="unknown key 'sed'"):
        Store.open(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="configuration cannot be read"):
        Store.open(tmp_path)


def test_unwritable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made a run directory"):
        Store.create(tmp_path / "file" / "run", Config())


def test_a_second_writer_is_told_the_pid(store: Store) -> None:
    code = "import sys, pathlib; from sport.store import Store; Store.open(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(store.folder)], capture_output=True, text=True, env=_env())
    assert f"process {os.getpid()} is working on this run" in done.stderr
    with pytest.raises(RunError, match=f"process {os.getpid()} "):
        Store.open(store.folder)


def test_a_reader_cannot_write(store: Store) -> None:
    with Store.view(store.folder) as reader, pytest.raises(RunError, match="opened for reading"):
        reader.set_state("done")


def test_the_lock_is_free_after_closing(tmp_path: Path) -> None:
    Store.create(tmp_path, Config()).close()
    Store.open(tmp_path).close()
    Store.open(tmp_path).close()


# ---------------------------------------------------------------------------------------- full disks and kills

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@needs_mount
def test_full_disk_keeps_what_was_committed(small_disk: Path) -> None:
    written = 0
    with (
        pytest.raises(RunError, match=r"disk full.*sport run --resume"),
        Store.create(small_disk / "r", Config()) as store,
    ):
        for number in range(10_000):
            task = Task(id=f"t{number}", query="x" * 4000)
            store.add_task(task, None, split="dev", iteration=0, ordinal=number)
            written += 1
    assert written > 10
    with Store.view(small_disk / "r") as reader:
        assert len(reader.tasks("dev")) == written


@needs_mount
def test_full_disk_leaves_no_half_file(small_disk: Path) -> None:
    with Store.create(small_disk / "r", Config()) as store:
        kept = store.put("small.txt", b"small")
        with pytest.raises(RunError, match="disk full"):
            store.put("big.bin", os.urandom(4_000_000))
        assert [p.name for p in (store.folder / "files").rglob("*") if p.is_file()] == [kept.sha256]
        store.set_state("stopped")  # there is room again


@needs_mount
def test_a_read_only_file_system(small_disk: Path) -> None:
    Store.create(small_disk / "r", Config(name="kept")).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RunError, match="cannot be made a run directory"):
        Store.create(small_disk / "new", Config())
    with pytest.raises(RunError, match="cannot be written"):
        Store.open(small_disk / "r")
    with Store.view(small_disk / "r") as reader:
        assert reader.config.name == "kept"


WRITER = """
import sys, pathlib
sys.path[:0] = [sys.argv[2]]
from runs import explore, make_task
from sport.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
start = len(store.outlines("explore"))
for number in range(start + 1, 10_000):
    task = make_task(store, number, "explore", 1)
    explore(store, task, number, 1)
    print(number, flush=True)
"""


def test_kill_9_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Store.create(folder, Config()).close()
    for delay in (3, 8):
        command = [sys.executable, "-c", WRITER, str(folder), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_env()) as writer:
            assert writer.stdout is not None
            reported = [int(writer.stdout.readline()) for _ in range(delay)]
            writer.kill()
        with Store.view(folder) as seen:
            whole = [t for t in seen.trajectories("explore") if t.end is not None]
        with Store.open(folder) as store:
            assert [t.id for t in store.trajectories("explore") if t.end is not None] == [t.id for t in whole]
            assert len(whole) >= reported[-1]
            assert all(len(t.steps) == 2 for t in whole)
            for task in store.tasks("explore"):
                store.read(task.files[0])
            _finish(store)


def _finish(store: Store) -> None:
    """Close what the kill left open, as a resumed run would."""
    for trajectory in list(store.trajectories("explore")):
        if trajectory.end is None:
            partial = store.partial(trajectory.id)
            if partial is not None:
                assert len(partial.candidates) == 3  # all texts of a step or none
            store.ended(trajectory.id, End(state="failed"))
            for index in range(len(trajectory.steps), 2):
                done = Candidate(index=0, action=action("x", "y"), observation=Observation(outcome="ok"))
                step = partial or Step(index=index, candidates=(done,))
                if partial is None:
                    store.sampled(trajectory.id, index, step.candidates)
                store.decided(trajectory.id, step.model_copy(update={"continued_with": 0, "why": "killed"}))
                partial = None


def _env() -> dict[str, str]:
    source = str(Path(__file__).parent.parent / "src")
    return {**os.environ, "PYTHONPATH": source}
