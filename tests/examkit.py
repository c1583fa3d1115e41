"""Benchmarks around a scripted controller, the real store and the real sandbox; killed on demand.

``python examkit.py gta|gaia DATA FOLDER COMMITS`` evaluates and ends itself with SIGKILL after so many commits of steps
(0: never); it goes on with the run where the folder holds one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sport import exam
from sport.bench import gta
from sport.bench.moves import as_code
from sport.config import Bench, Config, Eval, SandboxSection
from sport.dialect import Dialect
from sport.events import Silent
from sport.kit import Kit
from sport.llm.scripted import ScriptedLLM
from sport.sandbox.forked import ForkedSandbox
from sport.store import Store
from sport.tools.reference import ReferenceTools
from sport.verify.rules import RuleCritic

DATA = Path(__file__).parent / "data" / "gta"
ITEMS = gta.load(DATA)


def perfect(messages, n, sampling):
    """The reference's next turn, found by the task's words and files and the number of turns so far."""
    words = next(m.text for m in messages if m.role == "user")
    step = sum(m.role == "assistant" for m in messages)
    item = max((i for i in ITEMS if i.query in words and ", ".join(i.files) in words), key=lambda i: len(i.query))
    turn = item.turns[min(step, len(item.turns) - 1)]
    if step >= len(item.turns):
        return ["Code:\n```py\nfinal_answer('')\n```"]
    return [as_code(turn.move, turn.thought)]


def settings(bench: Bench) -> Config:
    return Config(name="exam", bench=bench, eval=Eval(in_flight=4), sandbox=SandboxSection(libraries=()))


def kit(store: Store, llm: ScriptedLLM) -> Kit:
    """Real parts around a scripted controller; the dialect is the configuration's, react-1 unless it names another."""
    recorded = [(t.move.name, t.move.arguments, t.result) for i in ITEMS for t in i.turns if t.result is not None]
    tools = ReferenceTools(gta.all_tools(ITEMS), recorded)
    config = store.config
    sandbox = ForkedSandbox(specs=tools.specs, call=tools.call, put=store.put, read=store.read, limits=config.sandbox)
    name = config.controller.dialect
    dialect = Dialect("react-1" if name == "nano-1" else name, tools.specs)
    unused: Any = None
    return Kit(
        config=config, store=store, progress=Silent(), llm=llm, dialect=dialect, tools=tools, sandbox=sandbox,
        writer=unused, checker=unused, critic=RuleCritic(), tune=None,
    )  # fmt: skip


def examine(folder: Path, config: Config, script=perfect) -> dict:
    opened = Store.open(folder) if (folder / "run.db").exists() else Store.create(folder, config)
    with opened as store:
        asyncio.run(exam.run(kit(store, ScriptedLLM(script))))
    return json.loads((folder / "scores.json").read_text())


def part(folder: Path, number: int) -> Path:
    """A data set of the first few tasks."""
    folder.mkdir()
    data = json.loads((DATA / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({k: data[k] for k in list(data)[:number]}))
    return folder


def made_up(folder: Path, split: str = "validation") -> Path:
    rows = [
        {
            "task_id": f"m{n}", "Question": f"What is {n} + 1?", "Level": n % 3 + 1,
            "Final answer": str(n + 1) if split == "validation" else "?", "file_name": "",
        }
        for n in range(6)
    ]  # fmt: skip
    place = folder / "2023" / split
    place.mkdir(parents=True)
    (place / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def adds(messages, n, sampling):
    number = int(messages[-1].text.split("What is ")[1].split(" ")[0])
    return [f"Code:\n```py\nfinal_answer({number + (1 if number < 4 else 2)})\n```"]


class Deadly(Store):
    """Kills its process after so many commits of steps."""

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

    def decided(self, *what):
        super().decided(*what)
        self._dies()

    def add_scores(self, *what):
        super().add_scores(*what)
        self._dies()


def main(kind: str, data: Path, folder: Path, commits: int) -> None:
    config = settings(Bench(kind=kind, data=str(data), images=kind != "gta"))
    exists = (folder / "run.db").exists()
    with Deadly.open(folder) if exists else Deadly.create(folder, config) as store:
        store.left = commits
        asyncio.run(exam.run(kit(store, ScriptedLLM(perfect if kind == "gta" else adds))))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
