"""A run that an older sport made is brought up to date when it is opened; ``data/schema-N`` are such runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sport import database
from sport.database import MIGRATIONS, SCHEMA_VERSION
from sport.errors import RunError
from sport.store import Store

DATA = Path(__file__).parent / "data"
OLD = sorted(DATA.glob("schema-*"))


@pytest.fixture
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "run", ignore=shutil.ignore_patterns("dump.jsonl")))


every_old_run = pytest.mark.parametrize("old", OLD, indirect=True, ids=lambda path: path.name)


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "run.db")) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def tables(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Columns by table, as SQLite has them."""
    with closing(sqlite3.connect(folder / "run.db")) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in sorted(names)}


def test_an_old_run_of_every_schema_is_kept() -> None:
    assert [f"schema-{number}" for number in sorted(MIGRATIONS)] == [path.name for path in OLD]
    assert sorted(MIGRATIONS) == list(range(min(MIGRATIONS), SCHEMA_VERSION))


@every_old_run
@pytest.mark.parametrize("way", [Store.open, Store.view])
def test_it_holds_what_it_held(old: Path, way) -> None:
    before = version(old)
    with way(old) as store:
        assert "\n".join(store.dump()) + "\n" == (DATA / f"schema-{before}" / "dump.jsonl").read_text()
    assert version(old) == SCHEMA_VERSION > before


@every_old_run
def test_its_tables_are_those_of_a_new_run(old: Path, tmp_path: Path) -> None:
    with Store.open(old) as store:
        Store.create(tmp_path / "new", store.config).close()
    assert tables(old) == tables(tmp_path / "new")


@pytest.mark.parametrize("old", [DATA / "schema-1"], indirect=True)
def test_what_was_around_the_code_has_moved(old: Path) -> None:
    with Store.view(old) as store:
        assert store.walls("t") == [{"seccomp": "active"}, {"seccomp": "active", "landlock": "active"}]
        assert store.walls("explore.1.explore-1-1") == []
        assert store.repeated_asks() == 1


@every_old_run
def test_it_can_be_gone_on_with(old: Path) -> None:
    with Store.open(old) as store:
        assert store.partial("t") is not None
        store.set_walls({"seccomp": "active"})
        store.begin("t", "explore-1-9", "explore", 1, 9)
        assert store.walls("t")[-1] == {"seccomp": "active"}


@every_old_run
def test_killed_in_the_middle_it_is_the_old_one_and_is_migrated_again(old: Path) -> None:
    before = version(old)
    code = f"import pathlib, sport.store; sport.store.Store.open(pathlib.Path({str(old)!r}))"
    source = str(Path(database.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "CRASH_AT": "before_commit"}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == -9
    assert version(old) == before
    with Store.open(old) as store:
        assert len(list(store.dump())) > 20


@every_old_run
def test_another_writer_is_left_alone(old: Path) -> None:
    from sport.database import Lock

    lock = Lock(old)
    with pytest.raises(RunError, match="is working on this run"):
        Store.view(old)
    lock.release()
    assert version(old) < SCHEMA_VERSION


@every_old_run
def test_one_that_cannot_be_written_says_what_to_do(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anything, whatever the mode says
    with pytest.raises(RunError, match=r"older sport \(schema .*copy the run"):
        Store.view(old)
