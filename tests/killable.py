"""A small exploration on a real store that can be killed: ``python killable.py FOLDER COMMITS IN_FLIGHT``.

It ends itself with SIGKILL after that many commits (0: never), and goes on with the run where the folder holds one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from sport import config
from sport.dialect import Dialect
from sport.events import Silent
from sport.explore import explore
from sport.llm.scripted import ScriptedLLM
from sport.sandbox.forked import ForkedSandbox
from sport.store import Store
from sport.tools.base import Answered
from sport.types import Parameter, Task, ToolSpec
from sport.verify.rules import RuleCritic

LOOK = ToolSpec(name="ocr", description="Reads a picture.", parameters=(Parameter(name="image", type="file"),))
NUMBER = 4
CODES = [
    ["text = ocr('a.png')\nprint(text)", "text = ocr('a.png')", "final_answer(36)"],
    ["import random\nx = int(text.split()[1])\nprint(x, random.random())", "print('nothing')", "print(text[99])"],
    ["final_answer(x * 3)", "final_answer(x + 3)", "print(x * 3)"],
]
SETTINGS = config.Config(explore=config.Explore(n=3, in_flight=2), sandbox=config.SandboxSection(libraries=()))


class Deadly(Store):
    """Kills its process after so many of a step's commits."""

    left = 0

    def _dies(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def asked(self, *what):
        super().asked(*what)
        self._dies()

    def sampled(self, *what):
        super().sampled(*what)
        self._dies()

    def observed(self, *what):
        super().observed(*what)
        self._dies()

    def decided(self, *what):
        super().decided(*what)
        self._dies()

    def ended(self, *what):
        super().ended(*what)
        self._dies()


def script(messages, n, sampling):
    step = sum(message.role == "assistant" for message in messages)
    codes = CODES[min(step, len(CODES) - 1)]
    return [f"Thought: {sampling.seed % 7}.\nCode:\n```py\n{codes[i % len(codes)]}\n```" for i in range(n)]


async def call(name, arguments):
    await asyncio.sleep(0.001)
    return Answered(value=arguments["image"].data.decode())


async def run(store: Store, in_flight: int) -> None:
    sandbox = ForkedSandbox(specs=[LOOK], call=call, put=store.put, read=store.read, limits=SETTINGS.sandbox)
    settings = SETTINGS.model_copy(update={"explore": config.Explore(n=3, in_flight=in_flight)})
    tasks, llm = store.tasks("explore", 0), ScriptedLLM(script)
    await sandbox.start()
    try:
        await explore(
            tasks,
            llm,
            Dialect("nano-1", [LOOK]),
            sandbox,
            store,
            RuleCritic(),
            settings,
            iteration=0,
            progress=Silent(),
        )
    finally:
        await sandbox.stop()


def main(folder: Path, commits: int, in_flight: int) -> list[str]:
    """Make or open the run, explore, and return its dump."""
    exists = (folder / "run.db").exists()
    with Deadly.open(folder) if exists else Deadly.create(folder, SETTINGS) as store:
        if not exists:
            for number in range(NUMBER):
                picture = store.put("a.png", f"Sugar {12 + number} g".encode())
                query = "How many grams of sugar are in 3 servings?"
                task = Task(id=f"t{number}", query=query, files=(picture,))
                store.add_task(task, None, split="explore", iteration=0, ordinal=number)
        store.left = commits
        asyncio.run(run(store, in_flight))
        return list(store.dump())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
