"""A run on disk: ``run.db`` (SQLite), ``files/`` by content hash, ``config.json``, ``summary.json``, ``log.jsonl``.

One process writes; any number may look. Every method that writes returns only when its commit is durable, a file is
durable before the row that names it, and a commit that did not happen left nothing. What it does not do: it never
deletes, and it is not made for a disk that several machines share.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from sport.blobs import Blobs, sweep, write_atomically
from sport.config import Config, parse
from sport.database import Database, Lock, explained, outdated, pack, unpack, upsert
from sport.digest import dump_lines, summary
from sport.errors import RunError
from sport.trees import Trees
from sport.types import File, Json, Key, Metric, Pair, Review, Spent, Task

Score = float | bool | None
BENCHMARKS = frozenset({"gta", "gaia"})
"""Origins of tasks that serve evaluation only."""


class Checked(NamedTuple):
    """A task with what the query-file check said of it."""

    task: Task
    key: Key | None
    kept: bool
    reason: str


def unborn(folder: Path) -> bool:
    """Whether a directory holds what a process leaves that was killed while it made a run there, and nothing else."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    known = {
        "files",
        "lock",
        "config.json",
        *(name for name in names if name.startswith(("run.db.new", ".config.json"))),
    }
    return "lock" in names and names <= known and not any((folder / "files").glob("[!.]*"))


class Store(Trees):
    """A run directory, opened by :meth:`create`, :meth:`open` (the one writer) or :meth:`view` (a reader)."""

    def __init__(self, folder: Path, config: Config, database: Database, lock: Lock | None) -> None:
        """Use one of the three class methods instead."""
        self._folder = folder
        self._config = config
        self._database = database
        self._lock = lock
        self._blobs = Blobs(folder / "files")
        self._cache = Cache(database)

    # ------------------------------------------------------------------------------------------- opening

    @classmethod
    def create(cls, folder: Path, config: Config) -> Store:
        """A new run, and its writer. The resolved configuration is saved with it.

        Raises:
            RunError: the directory cannot be written, holds a run already, or another process is making one there.
        """
        try:
            (folder / "files").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = f"cannot be made a run directory ({error.strerror}); name another with --out"
            raise RunError(f"{folder}: {why}") from error
        lock = Lock(folder)
        try:
            if (folder / "run.db").exists():
                raise RunError(f"{folder}: holds a run already; go on with: sport run --resume {folder}")
            with explained(folder):
                sweep(folder)
                write_atomically(folder / "config.json", (config.model_dump_json(indent=2) + "\n").encode())
            return cls(folder, config, Database.create(folder / "run.db"), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, folder: Path) -> Store:
        """An existing run, to go on with it.

        Raises:
            RunError: not a run, of a newer schema, unwritable, or another process (named by pid) is its writer.
        """
        if not (folder / "run.db").is_file():
            if unborn(folder):
                raise RunError(f"{folder}: was stopped before anything was done; start it again with --out {folder}")
            raise RunError(f"{folder}: not a run directory (it holds no run.db)")
        lock = Lock(folder)
        try:
            sweep(folder)
            Blobs(folder / "files").sweep()
            return cls._load(folder, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def view(cls, folder: Path) -> Store:
        """An existing run, to read it, also while another process writes. Raises RunError as :meth:`open`.

        One of an older schema is opened to be written first, once, which brings it up to date.
        """
        if outdated(folder / "run.db") and os.access(folder, os.W_OK):
            cls.open(folder).close()
        return cls._load(folder, None)

    @classmethod
    def _load(cls, folder: Path, lock: Lock | None) -> Store:
        database = Database.open(folder / "run.db", writable=lock is not None)  # first: it knows a newer schema
        try:
            return cls(folder, _config(folder), database, lock)
        except BaseException:
            database.close()
            raise

    def amend(self, config: Config) -> None:
        """Save a changed configuration; ``config.amend`` says what may change."""
        with explained(self._folder):
            write_atomically(self._folder / "config.json", (config.model_dump_json(indent=2) + "\n").encode())
        self._config = config

    def close(self) -> None:
        """Commit what the cache still holds and let the next writer in."""
        try:
            if self._lock:
                self._cache.flush()
        finally:
            self._release()

    def _release(self) -> None:
        self._database.close()
        if self._lock:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Store:
        """The store itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close; after an error without the cache's last entries, which can be had again."""
        self.close() if kind is None else self._release()

    @property
    def folder(self) -> Path:
        """The run's directory."""
        return self._folder

    @property
    def config(self) -> Config:
        """The run's configuration, as it was resolved when the run was made."""
        return self._config

    # --------------------------------------------------------------------------------------------- files

    def put(self, name: str, data: bytes, media_type: str | None = None) -> File:
        """Keep bytes durably under their hash; the media type is guessed from ``name`` unless given."""
        with explained(self._folder):
            return self._blobs.put(name, data, media_type)

    def read(self, file: File) -> bytes:
        """A file's bytes. Raises RunError when they are missing or damaged."""
        return self._blobs.read(file)

    def cache(self) -> Cache:
        """Texts by key, for results of tools."""
        return self._cache

    # --------------------------------------------------------------------------------------------- tasks

    def add_task(self, task: Task, key: Key | None, *, split: str, iteration: int, ordinal: int) -> None:
        """Add a task, and its key apart from it. Adding the same once more does nothing.

        Raises:
            sqlite3.IntegrityError: its id or its place (split, iteration, ordinal) is another task's.
            ValueError: an item of a benchmark, which may be evaluated on and never explored.
        """
        if task.origin in BENCHMARKS and split == "explore":
            raise ValueError(f"{task.id}: an item of {task.origin} may never be explored or learned from")
        row = (task.id, split, iteration, ordinal, pack(task))
        with self._database.transaction() as commit:
            if commit.execute("SELECT * FROM task WHERE id = ?", (task.id,)).fetchone() == row:
                return
            commit.execute("INSERT INTO task VALUES (?, ?, ?, ?, ?)", row)
            if key is not None:
                commit.execute("INSERT INTO answer_key VALUES (?, ?)", (task.id, pack(key)))

    def tasks(self, split: str, iteration: int | None = None, *, kept: bool = True) -> list[Task]:
        """Tasks in the order (iteration, ordinal); with ``kept``, without those that a check dropped."""
        rows = self._database.rows(
            "SELECT t.record FROM task t LEFT JOIN task_check c ON c.task = t.id WHERE t.split = ?1"
            " AND (?2 IS NULL OR t.iteration = ?2) AND (NOT ?3 OR COALESCE(c.kept, 1)) ORDER BY t.iteration, t.ordinal",
            split,
            iteration,
            kept,
        )
        return [unpack(Task, text) for (text,) in rows]

    def split_of(self, task_id: str) -> str | None:
        """The split that a task was added to; None for one that is not here."""
        row = self._database.one("SELECT split FROM task WHERE id = ?", task_id)
        return row[0] if row else None

    def key(self, task_id: str) -> Key | None:
        """A task's key; None when it has none."""
        row = self._database.one("SELECT record FROM answer_key WHERE task = ?", task_id)
        return unpack(Key, row[0]) if row else None

    def add_check(self, task_id: str, kept: bool, reason: str, notes: Mapping[str, Json]) -> None:
        """What the query-file check said of a task; a later word replaces an earlier one."""
        values = {"kept": int(kept), "reason": reason, "notes": json.dumps(dict(notes))}
        self._put("task_check", {"task": task_id}, values)

    def checks(self, split: str, iteration: int | None = None) -> list[Checked]:
        """All checked tasks in order."""
        rows = self._database.rows(
            "SELECT t.record, k.record, c.kept, c.reason FROM task t JOIN task_check c ON c.task = t.id"
            " LEFT JOIN answer_key k ON k.task = t.id WHERE t.split = ?1 AND (?2 IS NULL OR t.iteration = ?2)"
            " ORDER BY t.iteration, t.ordinal",
            split,
            iteration,
        )
        return [Checked(unpack(Task, t), unpack(Key, k) if k else None, bool(kept), why) for t, k, kept, why in rows]

    # --------------------------------------------------------------------------------------------- pairs

    def add_pairs(self, iteration: int, pairs: Sequence[Pair], dropped: Mapping[str, int]) -> None:
        """An iteration's pairs and how many each filter dropped, in place of what was there."""
        sql, values = upsert("pairing", {"iteration": iteration}, {"dropped": json.dumps(dict(dropped))})
        with self._database.transaction() as commit:
            commit.execute(sql, values)
            commit.execute("DELETE FROM pair WHERE iteration = ?", (iteration,))
            commit.executemany(
                "INSERT INTO pair VALUES (?, ?, ?, ?, ?, ?)",
                [(iteration, i, p.trajectory, p.step, p.chosen, p.rejected) for i, p in enumerate(pairs)],
            )

    def pairs(self, iteration: int) -> list[Pair]:
        """An iteration's pairs, in the order in which they were added."""
        rows = self._database.rows(
            "SELECT trajectory, step, chosen, rejected FROM pair WHERE iteration = ? ORDER BY ordinal", iteration
        )
        return [Pair(trajectory=t, step=s, chosen=c, rejected=r) for t, s, c, r in rows]

    def dropped(self, iteration: int) -> dict[str, int]:
        """How many pairs each filter dropped."""
        row = self._database.one("SELECT dropped FROM pairing WHERE iteration = ?", iteration)
        return dict(json.loads(row[0])) if row else {}

    # ------------------------------------------------------------------------------------------- reviews

    def add_review(self, trajectory_id: str, review: Review) -> None:
        """What a trajectory critic said; a later word replaces an earlier one."""
        self._put("state", {"name": f"review {trajectory_id}"}, {"value": pack(review)})

    def review(self, trajectory_id: str) -> Review | None:
        """What :meth:`add_review` was told; None when nothing was."""
        row = self._database.one("SELECT value FROM state WHERE name = ?", f"review {trajectory_id}")
        return unpack(Review, row[0]) if row else None

    # -------------------------------------------------------------------------------------------- stages

    def stage_done(self, iteration: int, name: str) -> dict[str, Json] | None:
        """The note of a finished stage; None while it is not finished."""
        row = self._database.one("SELECT note FROM stage WHERE iteration = ? AND name = ?", iteration, name)
        return dict(json.loads(row[0])) if row and row[0] is not None else None

    def add_wall(self, iteration: int, name: str, wall_s: float) -> None:
        """Seconds spent on a stage that was stopped; they count when it is finished later."""
        with self._database.transaction() as commit:
            commit.execute(
                "INSERT INTO stage (iteration, name, wall_s) VALUES (?, ?, ?)"
                " ON CONFLICT (iteration, name) DO UPDATE SET wall_s = wall_s + excluded.wall_s",
                (iteration, name, wall_s),
            )

    def finish_stage(self, iteration: int, name: str, wall_s: float, note: Mapping[str, Json]) -> None:
        """A stage is done. ``wall_s`` adds to what earlier attempts took; ``note`` holds figures worth a line."""
        with self._database.transaction() as commit:
            commit.execute(
                "INSERT INTO stage VALUES (?, ?, ?, ?) ON CONFLICT (iteration, name)"
                " DO UPDATE SET wall_s = wall_s + excluded.wall_s, note = excluded.note",
                (iteration, name, wall_s, json.dumps(dict(note))),
            )

    def stages(self) -> list[tuple[int, str, float, dict[str, Json] | None]]:
        """(iteration, name, seconds, note or None) of every stage that was worked on, in the order of first work."""
        rows = self._database.rows("SELECT iteration, name, wall_s, note FROM stage ORDER BY rowid")
        return [(i, name, wall_s, None if note is None else json.loads(note)) for i, name, wall_s, note in rows]

    def set_adapter(self, iteration: int, relative_path: str | None) -> None:
        """The adapter that an iteration answers with, relative to the run's directory; None is the plain model."""
        self._put("adapter", {"iteration": iteration}, {"path": relative_path})

    def adapter(self, iteration: int) -> str | None:
        """What :meth:`set_adapter` was told; None also when nothing was."""
        row = self._database.one("SELECT path FROM adapter WHERE iteration = ?", iteration)
        return row[0] if row else None

    # ------------------------------------------------------------------------------------------- figures

    def add_scores(self, trajectory_id: str, scores: Mapping[str, Score]) -> None:
        """A trajectory's scores by name, in place of earlier ones; None is "not scored"."""
        self._put("score", {"trajectory": trajectory_id}, {"record": json.dumps(dict(scores))})

    def scores(self, purpose: str, iteration: int | None = None) -> dict[str, dict[str, Score]]:
        """Scores by trajectory, in the order of :meth:`trajectories`; without those that have none."""
        rows = self._database.rows(
            "SELECT j.id, s.record FROM trajectory j JOIN score s ON s.trajectory = j.id"
            " WHERE j.purpose = ?1 AND (?2 IS NULL OR j.iteration = ?2) ORDER BY j.iteration, j.ordinal, j.id",
            purpose,
            iteration,
        )
        return {name: json.loads(text) for name, text in rows}

    def add_metrics(self, iteration: int, split: str, metrics: Mapping[str, Metric]) -> None:
        """A split's metrics after an iteration (0: before any tuning), in one commit."""
        with self._database.transaction() as commit:
            for name, metric in metrics.items():
                keys = {"iteration": iteration, "split": split, "name": name}
                commit.execute(*upsert("metric", keys, {"record": pack(metric)}))

    def metrics(self) -> list[tuple[int, str, dict[str, Metric]]]:
        """(iteration, split, metrics by name) in the order (iteration, split)."""
        found: dict[tuple[int, str], dict[str, Metric]] = {}
        rows = self._database.rows("SELECT iteration, split, name, record FROM metric ORDER BY iteration, split, rowid")
        for iteration, split, name, text in rows:
            found.setdefault((iteration, split), {})[name] = unpack(Metric, text)
        return [(iteration, split, metrics) for (iteration, split), metrics in found.items()]

    def set_spent(self, role: str, spent: Spent) -> None:
        """What a role's endpoint has charged for so far, all attempts at this run together."""
        self._put("state", {"name": f"spent {role}"}, {"value": pack(spent)}, durable=False)

    def spent(self, role: str) -> Spent:
        """What :meth:`set_spent` was told last; nothing spent when it was not."""
        row = self._database.one("SELECT value FROM state WHERE name = ?", f"spent {role}")
        return unpack(Spent, row[0]) if row else Spent()

    def spenders(self) -> dict[str, Spent]:
        """What every role's endpoint came to, by role; empty where no model was behind an endpoint."""
        rows = self._database.rows("SELECT substr(name, 7), value FROM state WHERE name LIKE 'spent %' ORDER BY name")
        return {role: unpack(Spent, text) for role, text in rows}

    # ----------------------------------------------------------------------------- for people and programs

    def log(self, event: str, **fields: Json) -> None:
        """Append one JSON line to ``log.jsonl``: for people, never read back. The last lines may be lost in a crash."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields}, default=str)
        with explained(self._folder), (self._folder / "log.jsonl").open("a", encoding="ascii") as stream:
            stream.write(line + "\n")

    def keep_prompt(self, version: str, text: str) -> None:
        """Keep a prompt's text as ``prompts/<version>.jinja``: records name it by its version."""
        path = self._folder / "prompts" / f"{version}.jinja"
        if not path.exists():
            with explained(self._folder):
                path.parent.mkdir(exist_ok=True)
                write_atomically(path, text.encode())

    def set_state(self, state: str) -> None:
        """How the run stands ("running", "stopped", "done"), for :meth:`write_summary`."""
        self._put("state", {"name": "state"}, {"value": state})

    def write_summary(self) -> None:
        """Write ``summary.json``: metrics, pairs, drops, seconds by stage and the run's state."""
        data = {"name": self._config.name, "seed": self._config.seed, **summary(self._database)}
        with explained(self._folder):
            write_atomically(self._folder / "summary.json", (json.dumps(data, indent=2) + "\n").encode())

    def dump(self) -> Iterator[str]:
        """The run as sorted JSON lines without times, costs and paths: equal runs have equal dumps."""
        return dump_lines(self._database)

    def _put(self, table: str, keys: Mapping[str, Any], values: Mapping[str, Any], *, durable: bool = True) -> None:
        with self._database.transaction(durable=durable) as commit:
            commit.execute(*upsert(table, keys, values))


class Cache:
    """Texts by key in the run's database. New ones wait for 32 of their kind or the end: a kill may lose the last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """The text under a key, or None."""
        if key in self._waiting:
            return self._waiting[key]
        row = self._database.one("SELECT value FROM cache WHERE key = ?", key)
        return row[0] if row else None

    def put(self, key: str, value: str) -> None:
        """Keep a text; it is there for :meth:`get` at once and on disk a little later."""
        self._waiting[key] = value
        if len(self._waiting) >= 32:
            self.flush()

    def flush(self) -> None:
        """Commit what waits."""
        if self._waiting:
            with self._database.transaction(durable=False) as commit:
                commit.executemany("INSERT OR REPLACE INTO cache VALUES (?, ?)", list(self._waiting.items()))
            self._waiting.clear()


def _config(folder: Path) -> Config:
    path = folder / "config.json"
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: the run's configuration cannot be read ({error})") from error
