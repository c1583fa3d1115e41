"""Trajectories in the database: the three commits of a step, and the tree read back.

A step is committed in three parts: *asked* (an intent, before the call that costs), *sampled* and *observed* (what came
back, as it came), *decided* (verdict and choice together). Whoever reads a trajectory sees decided steps only; whoever
resumes one finds the undecided step in :meth:`Trees.partial` and asks for what it lacks, never again for what is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sport import crash
from sport.database import Database, pack, unpack
from sport.types import Candidate, End, Observation, Purpose, Record, Step, Task, Trajectory


class Outline(NamedTuple):
    """What is known of a trajectory without reading its steps. ``end`` is None while it grows."""

    id: str
    task_id: str
    purpose: str
    iteration: int
    ordinal: int
    end: End | None


class Trees:
    """The Recorder of ``agent/base.py`` on a database; every call returns only when its row is committed."""

    _database: Database
    _walls: str | None = None

    def begin(self, trajectory_id: str, task_id: str, purpose: Purpose, iteration: int, ordinal: int) -> None:
        """A trajectory of a stored task; does nothing when it is there already.

        ``ordinal`` is its task's place in the stage: trajectories are read in the order (iteration, ordinal). What is
        around its code is kept with it, once for each time it is gone on with behind other walls.
        """
        with self._database.transaction(durable=False) as commit:
            commit.execute(
                "INSERT INTO trajectory (id, task, purpose, iteration, ordinal) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (trajectory_id, task_id, purpose, iteration, ordinal),
            )
            if self._walls is not None:
                [[text]] = commit.execute("SELECT walls FROM trajectory WHERE id = ?", (trajectory_id,))
                known = json.loads(text) if text else []
                if known[-1:] != [json.loads(self._walls)]:
                    text = json.dumps([*known, json.loads(self._walls)])
                    commit.execute("UPDATE trajectory SET walls = ? WHERE id = ?", (text, trajectory_id))
        crash.here("after_begin")

    def set_walls(self, layers: Mapping[str, str]) -> None:
        """What is around model-written code from now on: each layer's name and state, as the sandbox found them."""
        self._walls = json.dumps(dict(layers))

    def walls(self, trajectory_id: str) -> list[dict[str, str]]:
        """What was around a trajectory's code, in the order in which it held; empty where nobody said."""
        row = self._database.one("SELECT walls FROM trajectory WHERE id = ?", trajectory_id)
        return list(json.loads(row[0])) if row and row[0] else []

    def asked(self, trajectory: str, step: int) -> None:
        """An intent, before the call that costs. Asking again for what never came is counted."""
        with self._database.transaction(durable=False) as commit:
            commit.execute(
                "INSERT INTO ask VALUES (?, ?, 1) ON CONFLICT (trajectory, step) DO UPDATE SET times = times + 1",
                (trajectory, step),
            )
        crash.here("after_asked")

    def sampled(self, trajectory: str, step: int, candidates: Sequence[Candidate]) -> None:
        """The n texts of a step, in one commit. Observations that are known already (unparsed texts) go with them.

        Raises:
            sqlite3.IntegrityError: the step has candidates already; it must not be sampled again.
        """
        with self._database.transaction() as commit:
            commit.executemany(
                "INSERT INTO candidate VALUES (?, ?, ?, ?)",
                [(trajectory, step, c.index, pack(_bare(c))) for c in candidates],
            )
            commit.executemany("INSERT INTO observation VALUES (?, ?, ?, ?)", _seen(trajectory, step, candidates))
        crash.here("after_sampled")

    def observed(self, trajectory: str, step: int, candidate: int, observation: Observation) -> None:
        """What one candidate's code led to.

        Raises:
            sqlite3.IntegrityError: no such candidate, or it has been observed already.
        """
        with self._database.transaction(durable=False) as commit:
            commit.execute(
                "INSERT INTO observation VALUES (?, ?, ?, ?)", (trajectory, step, candidate, pack(observation))
            )
        crash.here("after_observed")

    def decided(self, trajectory: str, step: Step) -> None:
        """Verdict and choice in one commit: from here on the step exists for pairs, report and the next step.

        Observations that were not committed before are committed with it.

        Raises:
            ValueError: the step's candidates are not those that were sampled, an observation differs from the
                committed one, or nothing is chosen.
            sqlite3.IntegrityError: the step has been decided already.
        """
        _ = step.trunk
        stored, given = self._texts(trajectory, step.index), step.candidates
        if len(stored) != len(given) or not all(_same(row[1], _bare(c)) for row, c in zip(stored, given, strict=True)):
            raise ValueError(f"{trajectory}, step {step.index}: these are not the candidates that were sampled")
        missing = []
        for (_, _, seen), new in zip(stored, given, strict=True):
            if seen is None:
                missing.append(new)
            elif new.observation is not None and not _same(seen, new.observation):
                raise ValueError(f"{trajectory}, step {step.index}: candidate {new.index} was observed otherwise")
        with self._database.transaction() as commit:
            commit.executemany("INSERT INTO observation VALUES (?, ?, ?, ?)", _seen(trajectory, step.index, missing))
            bare = step.model_copy(update={"candidates": ()})
            commit.execute("INSERT INTO decision VALUES (?, ?, ?)", (trajectory, step.index, pack(bare)))
        crash.here("after_decided")

    def ended(self, trajectory: str, end: End) -> None:
        """No further step will come."""
        with self._database.transaction(durable=False) as commit:
            commit.execute("UPDATE trajectory SET ending = ? WHERE id = ?", (pack(end), trajectory))
        crash.here("after_ended")

    # ------------------------------------------------------------------------------------------- reading

    def partial(self, trajectory_id: str) -> Step | None:
        """What there is of the undecided step: its candidates, with observations where they exist; else None."""
        row = self._database.one(
            "SELECT MIN(step) FROM candidate c WHERE trajectory = ?1 AND NOT EXISTS"
            " (SELECT 1 FROM decision d WHERE d.trajectory = ?1 AND d.step = c.step)",
            trajectory_id,
        )
        if row is None or row[0] is None:
            return None
        return Step(index=row[0], candidates=self._candidates(trajectory_id, row[0])[row[0]])

    def trajectory(self, trajectory_id: str) -> Trajectory:
        """A trajectory's tree, decided steps only. Raises KeyError for an unknown id."""
        row = self._database.one(
            "SELECT j.purpose, j.iteration, j.ending, t.record FROM trajectory j JOIN task t ON t.id = j.task"
            " WHERE j.id = ?",
            trajectory_id,
        )
        if row is None:
            raise KeyError(trajectory_id)
        purpose, iteration, ending, task = row
        return Trajectory(
            id=trajectory_id,
            task=unpack(Task, task),
            purpose=purpose,
            iteration=iteration,
            steps=self._steps(trajectory_id),
            end=unpack(End, ending) if ending else None,
        )

    def trajectories(self, purpose: str, iteration: int | None = None) -> Iterator[Trajectory]:
        """All of a purpose in the order (iteration, ordinal), read one by one."""
        for outline in self.outlines(purpose, iteration):
            yield self.trajectory(outline.id)

    def finished(self, purpose: str, iteration: int) -> set[str]:
        """Ids of the trajectories that have ended; no step is read for it."""
        sql = "SELECT id FROM trajectory WHERE purpose = ? AND iteration = ? AND ending IS NOT NULL"
        return {name for (name,) in self._database.rows(sql, purpose, iteration)}

    def outlines(self, purpose: str, iteration: int | None = None) -> list[Outline]:
        """The same without steps: cheap, for choosing which to read."""
        rows = self._database.rows(
            "SELECT id, task, purpose, iteration, ordinal, ending FROM trajectory"
            " WHERE purpose = ?1 AND (?2 IS NULL OR iteration = ?2) ORDER BY iteration, ordinal, id",
            purpose,
            iteration,
        )
        return [
            Outline(name, task, aim, i, ordinal, unpack(End, ending) if ending else None)
            for name, task, aim, i, ordinal, ending in rows
        ]

    def repeated_asks(self) -> int:
        """How often a paid call was asked again because a stop had lost its answer."""
        row = self._database.one("SELECT COALESCE(SUM(times - 1), 0) FROM ask")
        return int(row[0]) if row else 0

    def _steps(self, trajectory: str) -> tuple[Step, ...]:
        rows = self._database.rows("SELECT record FROM decision WHERE trajectory = ? ORDER BY step", trajectory)
        candidates = self._candidates(trajectory)
        steps = [unpack(Step, text) for (text,) in rows]
        return tuple(step.model_copy(update={"candidates": candidates[step.index]}) for step in steps)

    def _candidates(self, trajectory: str, step: int | None = None) -> dict[int, tuple[Candidate, ...]]:
        rows = self._texts(trajectory, step)
        return {
            index: tuple(_with_observation(text, seen) for _, text, seen in group)
            for index, group in groupby(rows, key=lambda row: int(row[0]))
        }

    def _texts(self, trajectory: str, step: int | None = None) -> list[tuple[Any, ...]]:
        """Step, candidate and observation, as stored; of one step, or of all."""
        return self._database.rows(
            "SELECT c.step, c.record, o.record FROM candidate c LEFT JOIN observation o"
            " ON o.trajectory = c.trajectory AND o.step = c.step AND o.candidate = c.candidate"
            " WHERE c.trajectory = ?1 AND (?2 IS NULL OR c.step = ?2) ORDER BY c.step, c.candidate",
            trajectory,
            step,
        )


def _same(text: str, record: Record) -> bool:
    """Whether a stored text is this record; it is read only where an earlier version wrote it otherwise."""
    packed = pack(record)
    return text == packed or pack(unpack(type(record), text)) == packed


def _bare(candidate: Candidate) -> Candidate:
    return candidate.model_copy(update={"observation": None})


def _with_observation(text: str, seen: str | None) -> Candidate:
    candidate = unpack(Candidate, text)
    return candidate.model_copy(update={"observation": unpack(Observation, seen)}) if seen else candidate


def _seen(trajectory: str, step: int, candidates: Sequence[Candidate]) -> list[tuple[Any, ...]]:
    return [(trajectory, step, c.index, pack(c.observation)) for c in candidates if c.observation is not None]
