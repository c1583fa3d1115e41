"""Warm-start trajectories: expert actions, run in the real sandbox with the real tools, kept as records.

The files come from a pool with several questions each, so that OCR is paid once a picture. Some families are covered
thinly on purpose (:data:`POOL`): what the controller then gets wrong is what exploration has to teach it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from experts import solve
from habits import habit, hasty

from sport import world
from sport.agent.parse import parse
from sport.answers import answer_text, answers_match
from sport.blobs import Blobs
from sport.config import SandboxSection
from sport.sandbox.base import Sandbox
from sport.sandbox.forked import ForkedSandbox
from sport.seeds import derive
from sport.tools.entry import builtin
from sport.tools.toolbox import Toolbox
from sport.types import Candidate, End, File, Key, Step, Task, Trajectory
from sport.world.base import Piece, Question
from sport.world.chart import THEMES, Charts
from sport.world.families import ALL
from sport.world.twins import LABELS

log = logging.getLogger("nano")

TOOLS = ("ocr", "count", "locate", "crop", "inspect_file_as_text", "search")

POOL: Mapping[str, tuple[int, int]] = {
    "scene": (320, 8),
    "chart": (400, 7),
    "label": (220, 8),
    "receipt": (240, 7),
    "menu": (220, 7),
    "document": (220, 7),
    "timetable": (35, 4),
    "paper": (40, 4),
    "lookup": (80, 4),
}
"""Files of each family, and questions asked of each; 1,775 files in all. The last three are covered thinly."""

PLAIN = (2, 5)
"""Two in five charts are painted without shapes: of the others only a quarter are, too few to learn to read them."""

HASTY, SIDES = 0.08, 0.35
"""Shares kept of the questions that are asked in a scene's words of shapes that are *written* (charts, receipts, menus,
papers): asked quickly or for a number and no more, and for a side. All others are kept. Thin coverage again: where the
words say "count", only the picture says that there is nothing to count."""

OPERATIONS = 0.6
"""Share kept of the questions that ask for a sum of what is read: somewhat thin coverage of an operation. Much thinner
(0.12 was tried), and what lies under a habit that is unlearnt is a wrong sum."""

THIN = ("sum", "both", "all")


def questions(share: float, seed: int) -> Iterator[tuple[str, Piece, list[Question]]]:
    """Every file of the pool with its different questions; ``share`` of the pool for a trial."""
    for name, (pieces, each) in POOL.items():
        for number in range(max(1, round(pieces * share))):
            rng = Random(derive("recipe", seed, name, number))
            piece = _paint(name, number, rng)
            drawn = (ALL[name].ask(piece, "warm", rng) for _ in range(each))
            asked = {q.query: q for q in drawn if rng.random() < _coverage(name, q)}
            yield name, piece, list(asked.values())


def _paint(family: str, number: int, rng: Random) -> Piece:
    if family == "chart" and number % PLAIN[1] < PLAIN[0]:
        return Charts().paint("warm", rng, rng.choice(list(THEMES)))
    return ALL[family].paint("warm", rng)


def _coverage(family: str, question: Question) -> float:
    """The share of such questions that the warm start is shown."""
    if family == "scene":
        return 1.0
    slots, (_, _, kind) = question.slots, question.kind.partition(".")
    if "side" in slots:
        return SIDES
    if any(shape in slots.values() for shape in LABELS):
        return HASTY if hasty(question.query) else 1.0
    return OPERATIONS if kind in THIN and family != "lookup" else 1.0


async def record(sandbox: Sandbox, task: Task, key: Key, seed: int) -> tuple[str, Trajectory]:
    """Run the actions for one question: the expert's, or a habit's. The habit's name ("" for none) comes first.

    Raises:
        ValueError: the expert's actions do not give the key's answer: a tool misread the file.
    """
    planted, actions = habit(key, task.query, solve(key), Random(derive("habit", seed, task.id)))
    steps: list[Step] = []
    state = await sandbox.open(task.id, task.files)
    for index, raw in enumerate(actions):
        action = parse(raw, True)
        observation = await state.run(str(action.code), derive(0, "code", task.id, index))
        candidate = Candidate(index=0, action=action, observation=observation)
        steps.append(Step(index=index, candidates=(candidate,), continued_with=0, why=planted or "expert"))
        if observation.outcome != "ok":
            break
    await state.close()
    last = steps[-1].trunk.observation
    answer = answer_text(last.answer) if last is not None and last.answered else None
    if answer is None or not (planted or answers_match(answer, key.answer)):
        raise ValueError(f"{task.id}: {task.query} -> {answer}, expected {key.answer}")
    end = End(state="answered", answer=answer)
    return planted, Trajectory(id=task.id, task=task, purpose="explore", iteration=0, steps=tuple(steps), end=end)


async def build(folder: Path, share: float, seed: int, in_flight: int = 8) -> Path:
    """Write the trajectories as JSON lines into ``folder``; returns the file. Nothing is done when it is there.

    The file's name tells of the recipe and the world that made it, so that a change of either makes the data anew.
    """
    out = folder / f"warm-{share:g}-{seed}-{_sources()}.jsonl"
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
    habits: Counter[str] = Counter()

    async def one(task: Task, key: Key) -> Trajectory | None:
        async with gate:
            try:
                planted, trajectory = await record(sandbox, task, key, seed)
            except ValueError as error:
                missed.append(str(error))
                return None
        habits[planted or "none"] += 1
        if habits.total() % 1000 == 0:
            log.info("%d trajectories", habits.total())
        return trajectory

    try:
        jobs = [one(*job) for job in _jobs(blobs, share, seed)]
        done = [t for t in await asyncio.gather(*jobs) if t is not None]
    finally:
        await sandbox.stop()
        await toolbox.stop()
    log.info("%d trajectories, %d left out, habits %s", len(done), len(missed), dict(habits))
    (folder / "missed.txt").write_text("\n".join(missed), encoding="utf-8")
    part = out.with_suffix(".part")
    part.write_text("".join(t.model_dump_json() + "\n" for t in done), encoding="utf-8")
    return part.rename(out)


def _sources() -> str:
    """A short digest of the code that the data depend on."""
    rooms = (Path(__file__).parent, Path(world.__file__).parent)
    files = sorted(path for room in rooms for path in room.rglob("*.py") if path.name not in ("train.py", "golden.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def _jobs(blobs: Blobs, share: float, seed: int) -> Iterator[tuple[Task, Key]]:
    for name, piece, asked in questions(share, seed):
        file: File = blobs.put(piece.name, piece.data)
        for number, question in enumerate(asked):
            task = Task(id=f"{name}-{file.sha256[:10]}-{number}", query=question.query, files=(file,))
            facts = {"kind": question.kind, "slots": dict(question.slots)}
            yield task, Key(task_id=task.id, answer=question.answer, facts=facts, family=name)


class _DiskCache:
    """Tool results by key, one small file each, so that a second build of the data reads no picture again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def get(self, key: str) -> str | None:
        """The value, if it was put."""
        path = self._path(key)
        return path.read_text(encoding="utf-8") if path.exists() else None

    def put(self, key: str, value: str) -> None:
        """Keep a value."""
        self._path(key).write_text(value, encoding="utf-8")
