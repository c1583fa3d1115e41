"""A small world for the agent's tests: real forked processes, one tool, a scripted model."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sport import config
from sport.agent.code import CodeAgent
from sport.dialect import Dialect
from sport.sandbox.forked import ForkedSandbox
from sport.tools.base import Answered
from sport.types import Candidate, File, Parameter, Sampling, Step, Task, ToolSpec, Verdict

LOOK = ToolSpec(name="ocr", description="Reads a picture.", parameters=(Parameter(name="image", type="file"),))
LABEL = b"Sugar 12 g"
FILE = File(name="a.png", sha256=hashlib.sha256(LABEL).hexdigest(), size=len(LABEL), media_type="image/png")


def task(
    name: str = "t1", query: str = "How many grams of sugar are in 3 servings?", files: Sequence[File] = (FILE,)
) -> Task:
    return Task(id=name, query=query, files=tuple(files))


def act(code: str, thought: str = "I do it.") -> str:
    return f"Thought: {thought}\nCode:\n```py\n{code}\n```"


class Blobs:
    """Bytes by hash."""

    def __init__(self) -> None:
        self.held = {FILE.sha256: LABEL}

    def put(self, name: str, data: bytes) -> File:
        sha = hashlib.sha256(data).hexdigest()
        self.held[sha] = data
        return File(name=name, sha256=sha, size=len(data), media_type="application/octet-stream")

    def read(self, file: File) -> bytes:
        return self.held[file.sha256]


class Tools:
    """One tool that returns the bytes of its file as text, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        self.calls += 1
        return Answered(value=arguments["image"].data.decode())


@asynccontextmanager
async def sandbox(
    tools: Tools | None = None, wall_s: float = 5.0, call_s: float = 120.0
) -> AsyncIterator[ForkedSandbox]:
    blobs, tools = Blobs(), tools or Tools()
    limits = config.SandboxSection(wall_s=wall_s, call_s=call_s, libraries=())
    box = ForkedSandbox(specs=[LOOK], call=tools.call, put=blobs.put, read=blobs.read, limits=limits)
    await box.start()
    try:
        yield box
    finally:
        await box.stop()


def agent(llm, box, record, *, n=1, judge=None, seed=0, dialect="react-1", **limits) -> CodeAgent:
    return CodeAgent(
        llm, Dialect(dialect, [LOOK]), box, record, config.Agent(**limits), seed=seed, iteration=0, n=n,
        sampling=Sampling(temperature=1.0 if n > 1 else 0.0), judge=judge,
    )  # fmt: skip


def pick(*choices: int | None):
    """A judge that picks these, step by step; the last again and again. It remembers what it was shown."""

    async def judge(task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int) -> Verdict:
        judge.asked.append((len(history), [c.index for c in candidates], seed))
        return Verdict(best=choices[min(len(history), len(choices) - 1)], reason="as told", critic="told")

    judge.asked = []
    return judge
