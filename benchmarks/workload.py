"""An exploration with everything real but the weights: HTTP, sandbox, tool calls, verdicts, store. For benchmarks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loopback import CRITIC

from sport import config
from sport.dialect import Dialect
from sport.errors import ContentError
from sport.events import Progress, Silent
from sport.explore import explore
from sport.llm.base import LLM
from sport.llm.endpoint import EndpointLLM
from sport.llm.ledger import Ledger
from sport.sandbox.base import Sandbox
from sport.sandbox.forked import ForkedSandbox
from sport.store import Store
from sport.tools.base import Answered
from sport.types import Candidate, Message, Parameter, Sampling, Spent, Step, Task, Text, ToolSpec, Verdict
from sport.verify.base import Critic

LOOK = ToolSpec(name="look", description="Reads a file.", parameters=(Parameter(name="file", type="file"),))


async def look(name: str, arguments: Mapping[str, Any]) -> Answered:
    """A cheap tool: the file's text."""
    return Answered(value=arguments["file"].data.decode())


class AskedCritic(Critic):
    """Asks a model for the best candidate's number. This measures calls, not judgement."""

    name = "asked"

    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    async def judge(self, task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int) -> Verdict:
        """See :class:`~sport.verify.base.Critic`."""
        shown = [f"{c.index}: {c.action.code}\n{c.observation.stdout if c.observation else ''}" for c in candidates]
        words = "\n".join((task.query, f"step {len(history)}", *shown))
        message = Message(role="user", parts=(Text(text=words),))
        [said] = await self._llm.sample([message], 1, Sampling(temperature=0.0, max_new_tokens=16, seed=seed))
        found = re.fullmatch(r"best: (\d+)", said.text)
        if found is None:
            raise ContentError(f"the critic named nobody: {said.text!r}")
        return Verdict(best=int(found[1]), reason=said.text, critic=self.name)


def endpoint(url: str, model: str, **more: Any) -> config.Endpoint:
    """Settings of a role's endpoint."""
    return config.Endpoint(base_urls=(url,), model=model, **{"concurrency": 1024, **more})


def settings(url: str, *, n: int, in_flight: int, libraries: tuple[str, ...] = (), **more: Any) -> config.Config:
    """Of a run with a controller behind ``url``; ``more`` are settings of its endpoint."""
    return config.Config(
        name="loopback",
        controller=config.Controller(kind="endpoint", endpoint=endpoint(url, "controller", **more), dialect="react-1"),
        explore=config.Explore(n=n, in_flight=in_flight),
        sandbox=config.SandboxSection(libraries=libraries),
    )


def add_tasks(store: Store, queries: Sequence[str]) -> None:
    """Explorable tasks with a file each."""
    file = store.put("a.txt", b"Sugar 12 g")
    for number, query in enumerate(queries):
        task = Task(id=f"t{number:05d}", query=query, files=(file,))
        store.add_task(task, None, split="explore", iteration=0, ordinal=number)


def engine(store: Store, role: str, settings: config.Endpoint) -> EndpointLLM:
    """A role's model, its charges kept in the run as ``wire`` does it."""

    def save(spent: Spent) -> None:
        store.set_spent(role, spent)

    return EndpointLLM(settings, f"{role}.endpoint", store.read, Ledger(f"{role}.endpoint", settings, Spent(), save))


@asynccontextmanager
async def booted(store: Store) -> AsyncIterator[ForkedSandbox]:
    """The sandbox of a run with one cheap tool."""
    sandbox = ForkedSandbox(specs=[LOOK], call=look, put=store.put, read=store.read, limits=store.config.sandbox)
    await sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.stop()


async def exploring(store: Store, sandbox: Sandbox, progress: Progress | None = None) -> None:
    """Explore all tasks of the run, controller and critic behind its endpoint."""
    ours = store.config
    served = ours.controller.endpoint
    judge = engine(store, "critic", served.model_copy(update={"model": CRITIC}))
    llm = engine(store, "controller", served)
    async with judge.lane():  # as in a run: connections are kept
        await explore(
            store.tasks("explore", 0), llm, Dialect("react-1", [LOOK]), sandbox, store, AskedCritic(judge), ours,
            iteration=0, progress=progress or Silent(),
        )  # fmt: skip


def fresh(folder: Path, settings: config.Config, queries: Sequence[str]) -> Store:
    """A run with these tasks; the caller closes it."""
    store = Store.create(folder, settings)
    add_tasks(store, queries)
    return store
