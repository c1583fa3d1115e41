"""Warm-start trajectories: expert actions, run in the real sandbox with the real tools, kept as records.

The pictures come from a pool with several questions each, so that OCR is paid once a picture.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

from expert import solve

from sport.agent.parse import parse
from sport.blobs import Blobs
from sport.config import SandboxSection
from sport.sandbox.base import Sandbox
from sport.sandbox.forked import ForkedSandbox
from sport.seeds import derive
from sport.tools.entry import builtin
from sport.tools.toolbox import Toolbox
from sport.types import Action, Candidate, End, File, Key, Step, Task, Trajectory
from sport.world.base import Piece, Question
from sport.world.make import FAMILIES

TOOLS = ("ocr", "count", "locate", "crop", "inspect_file_as_text")


def questions(pieces: int, each: int, seed: int) -> Iterator[tuple[str, Piece, list[Question]]]:
    """``pieces`` pieces a family, with up to ``each`` different questions of each."""
    for name, family in FAMILIES.items():
        for number in range(pieces):
            rng = Random(derive("recipe", seed, name, number))
            piece = family.paint("warm", rng)
            asked = {q.query: q for q in (family.ask(piece, "warm", rng) for _ in range(each))}
            yield name, piece, list(asked.values())


async def record(sandbox: Sandbox, task: Task, key: Key) -> Trajectory:
    """Run the expert's actions for one question. Raises ValueError where they do not give the key's answer."""
    steps: list[Step] = []
    state = await sandbox.open(task.id, task.files)
    for index, raw in enumerate(solve(key)):
        action: Action = parse(raw, True)
        observation = await state.run(str(action.code), derive(0, "code", task.id, index))
        candidate = Candidate(index=0, action=action, observation=observation)
        steps.append(Step(index=index, candidates=(candidate,), continued_with=0, why="expert"))
    await state.close()
    answer = str(steps[-1].trunk.observation.answer)  # type: ignore[union-attr]
    if answer != key.answer:
        raise ValueError(f"{task.id}: {task.query} -> {answer}, expected {key.answer}")
    return Trajectory(
        id=task.id,
        task=task,
        purpose="explore",
        iteration=0,
        steps=tuple(steps),
        end=End(state="answered", answer=answer),
    )


async def build(folder: Path, pieces: int, each: int, seed: int, in_flight: int = 8) -> Path:
    """Write ``warm.jsonl`` (trajectories) into ``folder``; returns it. Nothing is done when it is there already."""
    out = folder / f"warm-{pieces}-{each}-{seed}.jsonl"
    if out.exists():
        return out
    folder.mkdir(parents=True, exist_ok=True)
    blobs = Blobs(folder / "files")
    toolbox = Toolbox(builtin(TOOLS), workers=2, deadline_s=60.0, memory_mb=4096, cache=_DiskCache(folder / "tools"))
    sandbox = ForkedSandbox(
        specs=toolbox.specs, call=toolbox.call, put=blobs.put, read=blobs.read, limits=SandboxSection()
    )
    await toolbox.start()
    await sandbox.start()
    gate = asyncio.Semaphore(in_flight)
    missed: list[str] = []

    async def one(task: Task, key: Key) -> Trajectory | None:
        async with gate:
            try:
                return await record(sandbox, task, key)
            except ValueError as error:  # a tool read a picture wrong: the expert's code is then no good example
                missed.append(str(error))
                return None

    jobs = []
    for name, piece, asked in questions(pieces, each, seed):
        file: File = blobs.put(piece.name, piece.data)
        for number, question in enumerate(asked):
            task = Task(id=f"{name}-{file.sha256[:10]}-{number}", query=question.query, files=(file,))
            facts = {"kind": question.kind, "slots": dict(question.slots)}
            key = Key(task_id=task.id, answer=question.answer, facts=facts, family=name)
            jobs.append(one(task, key))
    try:
        done = [t for t in await asyncio.gather(*jobs) if t is not None]
    finally:
        await sandbox.stop()
        await toolbox.stop()
    part = out.with_suffix(".part")
    part.write_text("".join(t.model_dump_json() + "\n" for t in done), encoding="utf-8")
    part.rename(out)
    (folder / "missed.txt").write_text("\n".join(missed), encoding="utf-8")
    return out


class _DiskCache:
    """Tool results by key, one small file each, so that a second build of the data reads no picture again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def get(self, key: str) -> str | None:
        path = self._path(key)
        return path.read_text(encoding="utf-8") if path.exists() else None

    def put(self, key: str, value: str) -> None:
        self._path(key).write_text(value, encoding="utf-8")
