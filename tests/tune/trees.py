"""Small random trajectories with everything that can be in one, and a checkpoint to read them with."""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image

from sport.checkpoint import Checkpoint, load
from sport.dialect import Dialect
from sport.render import Renderer
from sport.types import Action, Candidate, File, Observation, Step, Task, Trajectory, Verdict
from zoo import KINDS

WORDS = ("read label", "sugar", "12 g", "count", "circles", "red", "blue", " = ", "(x)", "ocr", "print", "2 + 7", "\n")


@dataclass
class Shape:
    """What a trajectory is to have in it. ``tie``, ``silent`` and ``cut`` are steps, ``empty`` is (step, candidate)."""

    steps: int = 2
    n: int = 3
    task_pictures: int = 0
    seen_after: int | None = None
    tie: int | None = None
    silent: int | None = None
    cut: int | None = None
    empty: tuple[int, int] | None = None
    length: int = 8


@dataclass
class Bench:
    """A tiny model with its renderer and dialect, and the pictures that its trajectories show."""

    checkpoint: Checkpoint
    blobs: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read = lambda file: self.blobs[file.sha256]  # noqa: E731
        self.renderer = Renderer(self.checkpoint.tokenizer, self.checkpoint.image_processor, read)
        self.dialect = Dialect("nano-1", ())

    def picture(self, seed: int, name: str = "scene.png") -> File:
        """A picture of its own size and colours for every seed."""
        draw = np.random.default_rng(seed)
        size = tuple(int(x) for x in draw.integers(56, 130, 2))
        pixels = draw.integers(0, 256, (*size, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        PIL.Image.fromarray(pixels).save(buffer, "PNG")
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return File(name=name, sha256=digest, size=len(data), media_type="image/png")

    def trajectory(self, shape: Shape, seed: int = 0, name: str = "t0") -> Trajectory:
        """A random trajectory of the given shape."""
        draw = random.Random(seed)
        files = tuple(self.picture(1000 * seed + i, f"scene{i}.png") for i in range(shape.task_pictures))
        task = Task(id=f"task-{name}", query=_words(draw, 6), files=files)
        steps = tuple(self._step(shape, k, draw) for k in range(shape.steps))
        return Trajectory(id=name, task=task, purpose="explore", iteration=0, steps=steps)

    def _step(self, shape: Shape, k: int, draw: random.Random) -> Step:
        best = draw.randrange(shape.n)
        others = [i for i in range(shape.n) if i != best]
        candidates = []
        for i in range(shape.n):
            raw = "" if shape.empty == (k, i) else f"{i} " + _words(draw, draw.randint(1, shape.length))
            finished = shape.cut != k and shape.empty != (k, i)
            files = (self.picture(7 + k, "crop.png"),) if shape.seen_after == k else ()
            observation = Observation(outcome="ok", stdout=_words(draw, draw.randint(1, 9)), files=files)
            candidates.append(Candidate(index=i, action=Action(raw=raw, finished=finished), observation=observation))
        if shape.silent == k:
            return Step(index=k, candidates=tuple(candidates), verdict=Verdict(best=None), continued_with=best)
        tied = (others[0],) if shape.tie == k else ()
        return Step(index=k, candidates=tuple(candidates), verdict=Verdict(best=best, tied=tied))


def bench(folder: Path, dtype: str = "float64", kind: str = "qwen2_vl") -> Bench:
    """A bench on a fresh tiny checkpoint of one of the zoo's kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    return Bench(load(KINDS[kind](folder), dtype=dtype))


def _words(draw: random.Random, n: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(n))
