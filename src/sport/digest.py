"""What a whole run comes to: a canonical dump to compare runs by, and the figures of ``summary.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sport.database import Database, unpack
from sport.types import Candidate, Key, Metric, Observation, Task

# What may differ between equal runs: how long something took, what it cost, and whether a cache had it already.
_CALL = {"result": {"wall_s", "cached"}}
_OBSERVATION: dict[str, Any] = {"wall_s": True, "cpu_s": True, "calls": {"__all__": _CALL}}
_CANDIDATE: dict[str, Any] = {"action": {"usage"}}

# Kinds whose last column is JSON, and kinds of plain columns.
_WITH_JSON = {
    "check": "SELECT task, kept, reason, notes FROM task_check ORDER BY task",
    "trajectory": "SELECT id, task, purpose, iteration, ordinal, ending FROM trajectory ORDER BY id",
    "decision": "SELECT trajectory, step, record FROM decision ORDER BY trajectory, step",
    "dropped": "SELECT iteration, dropped FROM pairing ORDER BY iteration",
    "review": "SELECT substr(name, 8), value FROM state WHERE name LIKE 'review %' ORDER BY name",
    "score": "SELECT trajectory, record FROM score ORDER BY trajectory",
    "metric": "SELECT iteration, split, name, record FROM metric ORDER BY iteration, split, name",
}
_PLAIN = {
    "pair": "SELECT iteration, ordinal, trajectory, step, chosen, rejected FROM pair ORDER BY iteration, ordinal",
    "stage": "SELECT iteration, name FROM stage WHERE note IS NOT NULL ORDER BY iteration, name",
    "adapter": "SELECT iteration, path FROM adapter ORDER BY iteration",
}


def dump_lines(database: Database) -> Iterator[str]:
    """One JSON line per record, sorted by kind and name.

    Left out: times, costs, whether a cache answered, how often a lost call was asked again, the cache itself, the
    notes of stages (they may hold times) and the configuration (it may hold paths).
    """
    for split, iteration, ordinal, text in database.rows(
        "SELECT split, iteration, ordinal, record FROM task ORDER BY split, iteration, ordinal"
    ):
        yield _line("task", split, iteration, ordinal, unpack(Task, text).model_dump())
    for (text,) in database.rows("SELECT record FROM answer_key ORDER BY task"):
        yield _line("key", unpack(Key, text).model_dump())
    for kind, record, exclude in (("candidate", Candidate, _CANDIDATE), ("observation", Observation, _OBSERVATION)):
        places = database.rows(f"SELECT trajectory, step, candidate FROM {kind} ORDER BY trajectory, step, candidate")
        for place in places:  # one by one: all observations of a long run do not fit into memory
            [(text,)] = database.rows(
                f"SELECT record FROM {kind} WHERE trajectory = ? AND step = ? AND candidate = ?", *place
            )
            yield _line(kind, *place, record.model_validate(json.loads(text)).model_dump(exclude=exclude))
    for kind, sql in _WITH_JSON.items():
        for row in database.rows(sql):
            yield _line(kind, *row[:-1], None if row[-1] is None else json.loads(row[-1]))
    for kind, sql in _PLAIN.items():
        for row in database.rows(sql):
            yield _line(kind, *row)


def summary(database: Database) -> dict[str, Any]:
    """The run's figures: see ``Store.write_summary``."""
    measured: dict[tuple[int, str], dict[str, dict[str, Any]]] = {}
    for iteration, split, name, text in database.rows(
        "SELECT iteration, split, name, record FROM metric ORDER BY iteration, split, rowid"
    ):
        metric = unpack(Metric, text)
        found = measured.setdefault((iteration, split), {"metrics": {}, "means": {}})
        found["metrics" if metric.unit == "share" else "means"][name] = metric.model_dump(exclude={"unit"})
    pairings = database.rows(
        "SELECT g.iteration, COUNT(p.ordinal), g.dropped FROM pairing g LEFT JOIN pair p ON p.iteration = g.iteration"
        " GROUP BY g.iteration ORDER BY g.iteration"
    )
    walls = database.rows("SELECT name, SUM(wall_s) FROM stage GROUP BY name ORDER BY MIN(rowid)")
    state = database.one("SELECT value FROM state WHERE name = 'state'")
    spent = database.rows("SELECT substr(name, 7), value FROM state WHERE name LIKE 'spent %' ORDER BY name")
    return {
        "state": state[0] if state else "running",
        "iterations": [{"iteration": i, "split": split, **found} for (i, split), found in measured.items()],
        "pairs": [count for _, count, _ in pairings],
        "dropped": [json.loads(dropped) for _, _, dropped in pairings],
        "spent": {role: json.loads(text) for role, text in spent},
        "wall_s": {name: round(wall_s, 3) for name, wall_s in walls},
    }


def _line(kind: str, *values: Any) -> str:
    return json.dumps([kind, *values], sort_keys=True)
