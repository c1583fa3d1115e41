"""What an evaluation itself costs: `.venv/bin/python benchmarks/exam.py [--data DIR] [--json OUT]`.

GTA's tasks of ``--data`` (default: the 60 of the tests) with a scripted agent that makes the reference's turns and with
the reference's tool results, so that neither a model nor a tool is in the figure: what is left is the sandbox, the
store, the agent and the scorers. One run, one machine; the second evaluation of the same tasks is another run.

Keys of the JSON: tasks, wall_s and cpu_s of each pass ("end to end and step by step", "end to end"), machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
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
from sport.types import Message
from sport.verify.rules import RuleCritic

PART = Path(__file__).resolve().parent.parent / "tests" / "data" / "gta"


def scripted(items: Sequence[gta.Item]) -> ScriptedLLM:
    """The reference's next turn, found by the task's words and files and the number of turns so far."""

    def turn(messages: Sequence[Message], n: int, sampling: object) -> list[str]:
        words = next(m.text for m in messages if m.role == "user")
        step = sum(m.role == "assistant" for m in messages)
        fitting = [item for item in items if item.query in words and ", ".join(item.files) in words]
        turns = max(fitting, key=lambda item: len(item.query)).turns
        return ["Code:\n```py\nfinal_answer('')\n```" if step >= len(turns) else as_code(turns[step].move, "")] * n

    return ScriptedLLM(turn)


def evaluate(data: Path, items: Sequence[gta.Item], both: bool) -> dict[str, Any]:
    """One evaluation in a directory of its own; seconds on the wall and of all processors."""
    bench = Bench(kind="gta", data=str(data), images=False, step_by_step=both)
    config = Config(name="speed", bench=bench, eval=Eval(in_flight=16), sandbox=SandboxSection(libraries=()))
    recorded = [(t.move.name, t.move.arguments, t.result) for i in items for t in i.turns if t.result is not None]
    tools = ReferenceTools(gta.all_tools(items), recorded)
    with tempfile.TemporaryDirectory() as folder, Store.create(Path(folder) / "run", config) as store:
        sandbox = ForkedSandbox(
            specs=tools.specs, call=tools.call, put=store.put, read=store.read, limits=config.sandbox
        )
        unused: Any = None  # an evaluation writes no tasks
        kit = Kit(
            config=config, store=store, progress=Silent(), llm=scripted(items), tools=tools, sandbox=sandbox,
            dialect=Dialect("react-1", tools.specs), critic=RuleCritic(), writer=unused, checker=unused, tune=None,
        )  # fmt: skip
        began, used = time.perf_counter(), cpu()
        asyncio.run(exam.run(kit))
        wall, spent = time.perf_counter() - began, cpu() - used
        figures = {name: m.value for _, split, found in store.metrics() if split == "gta" for name, m in found.items()}
    return {"wall_s": round(wall, 2), "cpu_s": round(spent, 2), "AnsAcc mended": figures["AnsAcc mended, objective"]}


def cpu() -> float:
    """Seconds of this process and of those that it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=PART)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    items = gta.load(given.data)
    found = {
        "tasks": len(items),
        "end to end and step by step": evaluate(given.data, items, True),
        "end to end": evaluate(given.data, items, False),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    sys.stdout.write(f"{'evaluation of ' + str(len(items)) + ' tasks':<32}{'wall s':>9}{'cpu s':>9}\n")
    for name in ("end to end and step by step", "end to end"):
        sys.stdout.write(f"{name:<32}{found[name]['wall_s']:>9}{found[name]['cpu_s']:>9}\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
