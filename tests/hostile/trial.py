"""One program against one sandbox: run it in a candidate, then ask everybody who must not have noticed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostile.case import BREACH, Case
from hostile.places import Places
from hostile.witness import STATE, WITNESS
from sport.errors import SandboxError
from sport.sandbox.base import Interpreter, Sandbox
from sport.types import File, Observation

SETTLE_S = 3.0  # for processes to be gone
GRACE_S = 1.0  # beyond the time limit


@dataclass
class Trial:
    """What came of one program; it passed if nobody complains."""

    case: Case
    complaints: list[str] = field(default_factory=list)
    observation: Observation | None = None
    wall_s: float = 0.0

    def complain(self, of: bool, words: str) -> None:
        """Note ``words`` if ``of``."""
        if of:
            self.complaints.append(words)

    def row(self) -> dict[str, Any]:
        """As one line of JSON."""
        seen = self.observation
        return {
            "name": self.case.name,
            "complaints": self.complaints,
            "outcome": seen and seen.outcome,
            "shown": shown(seen)[:600] if seen else "",
            "wall_s": round(self.wall_s, 3),
        }


def shown(observation: Observation) -> str:
    """All that a model may read of an observation."""
    parts = [observation.stdout, observation.stderr, observation.value, observation.error]
    answer = observation.answer
    parts.append(answer if isinstance(answer, str) else json.dumps(answer))
    parts += [file.name for file in observation.files]
    return "\n".join(part for part in parts if part)


async def run(case: Case, sandbox: Sandbox, places: Places, files: Sequence[File], wall_s: float) -> Trial:
    """Run ``case`` in a box of its own, with ``files``. ``wall_s``: the sandbox's time limit."""
    trial = Trial(case)
    processes = count_processes()
    try:
        await _run(trial, sandbox, places, files, wall_s)
    except SandboxError as error:
        trial.complaints.append(f"the sandbox broke: {error}")
    until = time.monotonic() + SETTLE_S
    while (left := count_processes()) > processes and time.monotonic() < until:
        await asyncio.sleep(0.02)
    trial.complain(left > processes, f"{left - processes} processes are left")
    trial.complaints += places.harm()
    return trial


async def _run(trial: Trial, sandbox: Sandbox, places: Places, files: Sequence[File], wall_s: float) -> None:
    case = trial.case
    state = await sandbox.open(case.name, files)
    held = [state]
    try:
        first = await state.run(STATE + "\n" + places.fill(case.before), 0)
        trial.complain(first.outcome != "ok", f"the state could not be made: {shown(first)}")
        before = await _ask(state, held)
        sibling, candidate = await state.fork(), await state.fork()
        held += [sibling, candidate]
        began = time.monotonic()
        seen = trial.observation = await candidate.run(places.fill(case.code).strip("\n"), 0)
        trial.wall_s = time.monotonic() - began
        _judge(trial, seen, places, wall_s)
        if case.winner and seen.outcome in ("ok", "error"):
            await _go_on(trial, candidate, held, places)
        else:
            await candidate.close()
            held.remove(candidate)
        after = await _ask(state, held)
        trial.complaints += [f"the witness sees another {key}: {b} -> {a}" for key, b, a in _differences(before, after)]
        theirs = json.loads((await sibling.run(WITNESS, 0)).stdout or "{}")
        trial.complaints += [
            f"the sibling sees another {key}: {b} -> {a}" for key, b, a in _differences(before, theirs)
        ]
        if case.probe and not case.winner:
            await _probe(trial, state, held, places)
        alive = await state.run("x", 0)
        trial.complain(alive.value != "1", f"the state does not answer: {alive}")
    finally:
        for interpreter in reversed(held):
            await interpreter.close()


def _judge(trial: Trial, seen: Observation, places: Places, wall_s: float) -> None:
    case, text = trial.case, shown(seen)
    trial.complain(seen.outcome not in case.outcomes, f"it ended as {seen.outcome}, expected {'|'.join(case.outcomes)}")
    said = "\n".join(filter(None, (seen.stdout, seen.stderr, seen.value)))  # a traceback shows the source of a try
    trial.complain(BREACH in said and not case.lenient, "it got what it must not get")
    trial.complain(places.token in seen.model_dump_json(), "it saw a secret of the host")
    trial.complain(bool(case.says) and not re.search(case.says, text), f"nothing reads like {case.says!r}")
    trial.complain(bool(case.never) and re.search(case.never, text) is not None, f"something reads like {case.never!r}")
    trial.complain(case.value is not None and seen.value != case.value, f"its value is {seen.value}, not {case.value}")
    limit = wall_s + GRACE_S * (3 if case.lenient else 1) + sum(call.result.wall_s for call in seen.calls)
    trial.complain(trial.wall_s > limit, f"it took {trial.wall_s:.1f} s, the limit is {wall_s} s")
    trial.complain(seen.outcome != "ok" and not seen.error, "nobody says what went wrong")
    if case.files is not None:
        names = tuple(file.name for file in seen.files)
        expected = all(name in names for name in case.files) if case.files else not names
        trial.complain(not expected, f"its files are {names}, expected {case.files}")
    try:
        seen.model_dump_json().encode("utf-8")
    except ValueError as error:
        trial.complaints.append(f"the observation cannot be stored: {error}")


async def _go_on(trial: Trial, winner: Interpreter, held: list[Interpreter], places: Places) -> None:
    """The candidate won: it must be possible to fork it and to run in it, or the host must say that it is gone."""
    if trial.case.probe:
        await _probe(trial, winner, held, places)
    for target in (await winner.fork(), winner):
        if target is not winner:
            held.append(target)
        answer = await target.run("6 * 7", 0)
        dead = trial.case.may_die and answer.outcome == "died"
        trial.complain(answer.value != "42" and not dead, f"the winner does not answer: {answer}")


async def _probe(trial: Trial, state: Interpreter, held: list[Interpreter], places: Places) -> None:
    child = await state.fork()
    held.append(child)
    answer = await child.run(places.fill(trial.case.probe), 0)
    expected = (trial.case.sees or "None").split("|") if trial.case.sees else ["None"]
    trial.complain(str(answer.value) not in expected, f"the probe sees {answer.value or answer.error}, not {expected}")


async def _ask(state: Interpreter, held: list[Interpreter]) -> dict[str, Any]:
    witness = await state.fork()
    held.append(witness)
    seen = await witness.run(WITNESS, 0)
    await witness.close()
    held.remove(witness)
    if seen.outcome != "ok":
        return {"answer": shown(seen)}
    answer: dict[str, Any] = json.loads(seen.stdout)
    return answer


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    keys = before.keys() | after.keys()
    return [(key, before.get(key), after.get(key)) for key in sorted(keys) if before.get(key) != after.get(key)]


def count_processes() -> int:
    """Live processes that this process can see; in its cage these are its own and those of the sandbox."""
    return sum(1 for name in os.listdir("/proc") if name.isdigit() and _alive(Path("/proc", name)))


def _alive(path: Path) -> bool:
    try:
        return ") Z" not in (path / "stat").read_text(errors="replace")
    except OSError:
        return False
