"""The SQLite file under the store: its tables, its commits, its lock, and what its errors mean to a person.

In WAL mode, so that readers never wait. A commit that returned survives a kill at once and, where it was asked to be
durable, a power cut. What was not asked for lasts from the next durable commit on: the log keeps its order, so that a
power cut takes away an end of it and never a part from the middle.
Records are JSON texts; what is searched or unique has a column of its own. Nothing is ever updated but ends of
trajectories, counters and figures that a stage writes anew when it is run again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sport import crash
from sport.errors import RunError
from sport.types import Record

R = TypeVar("R", bound=Record)

SCHEMA_VERSION = 2
_APPLICATION_ID = 0x53504F52  # "SPOR": tells a run from any other SQLite file

_SCHEMA = """
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE task (
    id TEXT PRIMARY KEY, split TEXT NOT NULL, iteration INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    record TEXT NOT NULL, UNIQUE (split, iteration, ordinal));
CREATE TABLE answer_key (task TEXT PRIMARY KEY REFERENCES task (id), record TEXT NOT NULL);
CREATE TABLE task_check (  -- no REFERENCES: a check may be written before its task, so that no task is seen unchecked
    task TEXT PRIMARY KEY, kept INTEGER NOT NULL, reason TEXT NOT NULL, notes TEXT NOT NULL);
CREATE TABLE trajectory (
    id TEXT PRIMARY KEY, task TEXT NOT NULL REFERENCES task (id), purpose TEXT NOT NULL, iteration INTEGER NOT NULL,
    ordinal INTEGER NOT NULL, ending TEXT, walls TEXT);
CREATE INDEX trajectory_order ON trajectory (purpose, iteration, ordinal, id);
CREATE TABLE ask (
    trajectory TEXT NOT NULL REFERENCES trajectory (id), step INTEGER NOT NULL, times INTEGER NOT NULL,
    PRIMARY KEY (trajectory, step));
CREATE TABLE candidate (
    trajectory TEXT NOT NULL REFERENCES trajectory (id), step INTEGER NOT NULL, candidate INTEGER NOT NULL,
    record TEXT NOT NULL, PRIMARY KEY (trajectory, step, candidate));
CREATE TABLE observation (
    trajectory TEXT NOT NULL, step INTEGER NOT NULL, candidate INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (trajectory, step, candidate),
    FOREIGN KEY (trajectory, step, candidate) REFERENCES candidate (trajectory, step, candidate));
CREATE TABLE decision (
    trajectory TEXT NOT NULL REFERENCES trajectory (id), step INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (trajectory, step));
CREATE TABLE pairing (iteration INTEGER PRIMARY KEY, dropped TEXT NOT NULL);
CREATE TABLE pair (
    iteration INTEGER NOT NULL REFERENCES pairing (iteration), ordinal INTEGER NOT NULL, trajectory TEXT NOT NULL,
    step INTEGER NOT NULL, chosen INTEGER NOT NULL, rejected INTEGER NOT NULL,
    PRIMARY KEY (iteration, ordinal), UNIQUE (iteration, trajectory, step, chosen, rejected),
    FOREIGN KEY (trajectory, step) REFERENCES decision (trajectory, step),
    FOREIGN KEY (trajectory, step, chosen) REFERENCES candidate (trajectory, step, candidate),
    FOREIGN KEY (trajectory, step, rejected) REFERENCES candidate (trajectory, step, candidate));
CREATE TABLE stage (
    iteration INTEGER NOT NULL, name TEXT NOT NULL, wall_s REAL NOT NULL DEFAULT 0, note TEXT,
    PRIMARY KEY (iteration, name));
CREATE TABLE score (trajectory TEXT PRIMARY KEY REFERENCES trajectory (id), record TEXT NOT NULL);
CREATE TABLE metric (
    iteration INTEGER NOT NULL, split TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (iteration, split, name));
CREATE TABLE adapter (iteration INTEGER PRIMARY KEY, path TEXT);
CREATE TABLE cache (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    1: (  # what was around a trajectory's code stood among the run's states
        "ALTER TABLE trajectory ADD COLUMN walls TEXT",
        "UPDATE trajectory SET walls = (SELECT value FROM state WHERE name = 'walls of ' || trajectory.id)",
        "DELETE FROM state WHERE name LIKE 'walls of %'",
    ),
}
"""What leads from a schema to the next. Whoever changes the tables adds an entry, and an old run to ``tests/data``."""


def outdated(path: Path) -> bool:
    """Whether a run's file is of an older schema that can be brought up to date. False for what is no run at all."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            [[ours]] = connection.execute("PRAGMA application_id")
            [[version]] = connection.execute("PRAGMA user_version")
    except sqlite3.DatabaseError:
        return False  # whoever opens it next says what is wrong
    return ours == _APPLICATION_ID and version in MIGRATIONS


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into a RunError that says so; other errors pass."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        if _is_full(error, folder):
            raise RunError(
                f"disk full: {folder} cannot grow; free space and resume with: sport run --resume {folder}"
            ) from error
        if _is_refused(error):
            raise RunError(f"{folder}: cannot be written; give another directory or its rights") from error
        raise


def _is_full(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    name = getattr(error, "sqlite_errorname", "")
    # SQLite calls a full disk an I/O error where it grows its shared-memory file
    return name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and shutil.disk_usage(folder).free < 65536)


def _is_refused(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_READONLY")


class Lock:
    """An exclusive flock on ``<folder>/lock`` that holds the owner's pid. The kernel frees it however he dies."""

    def __init__(self, folder: Path) -> None:
        path = folder / "lock"
        with explained(folder):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = path.read_text(encoding="ascii").strip() or "unknown"
                os.close(self._descriptor)
                raise RunError(f"{folder}: process {owner} is working on this run; wait for it or stop it") from error
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode("ascii"))

    def release(self) -> None:
        """Let the next writer in."""
        os.close(self._descriptor)


class Database:
    """One connection. Reads are plain; writes go through :meth:`transaction`, which commits or leaves nothing."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._folder = path.parent
        self._writable = writable
        self._durable = True
        self._guard = threading.RLock()
        self._connection = _connect(path, writable)

    @classmethod
    def create(cls, path: Path) -> Database:
        """A new file with empty tables, made under another name first: a run is there whole or not at all."""
        part = path.with_name(f"{path.name}.new")
        with explained(path.parent):
            for left in path.parent.glob(f"{part.name}*"):  # of a process that was killed here
                left.unlink()
            sqlite3.connect(part).close()
            made = cls(part, writable=True)
            made._connection.execute("PRAGMA journal_mode = WAL")
            made._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            made._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            made.close()  # folds the log into the file
            crash.here("before_run_appears")
            part.replace(path)
            crash.here("after_run_appears")
            return cls(path, writable=True)

    @classmethod
    def open(cls, path: Path, *, writable: bool) -> Database:
        """An existing file; one of an older schema is brought up to date first where it is opened to be written.

        Raises:
            RunError: it is no run, of a newer schema, of an older one and only to be read, or unreadable.
        """
        if not path.is_file():
            raise RunError(f"{path.parent}: not a run directory (it holds no {path.name})")
        try:
            found = cls(path, writable=writable)
            version = int(found.rows("PRAGMA user_version")[0][0])
            ours = found.rows("PRAGMA application_id")[0][0] == _APPLICATION_ID
        except sqlite3.DatabaseError as error:
            raise RunError(f"{path}: cannot be read as a run ({error})") from error
        if ours and version == SCHEMA_VERSION:
            return found
        if ours and writable and version in MIGRATIONS:
            found.migrate(version)
            return found
        found.close()
        if ours and version > SCHEMA_VERSION:
            raise RunError(
                f"{path.parent}: made by a newer sport (schema {version}, this program knows {SCHEMA_VERSION}); "
                "upgrade sport to use it"
            )
        if ours and version in MIGRATIONS:
            raise RunError(
                f"{path.parent}: made by an older sport (schema {version}, this program writes {SCHEMA_VERSION}), and "
                f"not to be changed here; copy the run to where it can be written, and use the copy"
            )
        raise RunError(f"{path.parent}: not a run directory ({path.name} is incomplete or of another program)")

    def migrate(self, version: int) -> None:
        """From this schema to ours, one version after the other, in one commit: a kill leaves the old one whole."""
        with self.transaction() as commit:
            for step in range(version, SCHEMA_VERSION):
                for statement in MIGRATIONS[step]:
                    commit.execute(statement)
            commit.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._guard:
            return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        with self._guard:
            row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return row

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Everything inside is one commit; an exception takes all of it back.

        Without ``durable`` it does not wait for the disk: for what costs nothing to do again, and comes often.

        Raises:
            RunError: the disk is full, or the run was opened for reading.
        """
        if not self._writable:
            raise RunError(f"{self._folder}: this run was opened for reading")
        with self._guard, explained(self._folder):
            if durable != self._durable:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                crash.here("before_commit")
                self._connection.execute("COMMIT")
                crash.here("after_commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection; the last one folds the write-ahead log into the file."""
        self._connection.close()


def _connect(path: Path, writable: bool) -> sqlite3.Connection:
    uri = path.absolute().as_uri() + ("?mode=rw" if writable else "?mode=ro")
    if not writable and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        uri += "&immutable=1"  # SQLite cannot make its shared-memory file here, and nobody can write
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    if writable:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    return connection


def pack(record: Record) -> str:
    """A record as JSON text.

    Not ``model_dump_json``: it turns a NaN into null and refuses a lone surrogate, and code written by a model may
    print or answer either.
    """
    return json.dumps(record.model_dump())


def unpack(kind: type[R], text: str) -> R:
    """The record that :func:`pack` wrote."""
    return kind.model_validate(json.loads(text))


def upsert(table: str, keys: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """The statement that writes a row whether or not one with these keys exists, and its values."""
    names = [*keys, *values]
    places = ", ".join("?" * len(names))
    update = ", ".join(f"{name} = excluded.{name}" for name in values)
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"
    return f"{insert} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {update}", (*keys.values(), *values.values())
