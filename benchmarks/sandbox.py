"""What a step in the sandbox costs, beside its peers: `.venv/bin/python benchmarks/sandbox.py [--json OUT]`.

One run, one machine. Contenders take turns, round by round, so that a busy minute hits all of them; what is told is
medians (p50) and 95th percentiles, in milliseconds.

- sport: this project's forking sandbox, with all the layers that the machine offers, as it runs by default.
- smolagents: its LocalPythonExecutor, an interpreter of syntax trees in the caller's own process, no isolation.
- python -c: a fresh interpreter per step, no state.
- ipykernel: one Jupyter kernel that keeps its state, driven by jupyter_client; it cannot be forked.

Keys of the JSON: step_p50_ms and step_p95_ms (fork, run a line, read what came of it, close; step_50mb_... and
step_500mb_... with that much state), fork_p50_ms, five_ms (five candidates), rpc_ms (a tool's round trip seen from
inside), zygote_ms, box_ms, loop_vs_smolagents, boxes_256_mb, peers, machine.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import queue
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from sport.config import SandboxSection
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.layers.report import vector
from sport.tools.base import Answered
from sport.types import File, Parameter, ToolSpec

ECHO = ToolSpec(name="echo", description="Say it back.", parameters=(Parameter(name="value", type="any"),))
LOOP = "total = 0\nfor i in range(1_000_000):\n    total = total + i\ntotal"
NUMPY = "import numpy\nfloat((numpy.arange(1_000_000.0) ** 2).sum())"
LIBRARIES = "import numpy, pandas, PIL.Image, matplotlib.pyplot"
LIMITS = SandboxSection(wall_s=120.0, memory_mb=2048)


def arguments() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="steps measured per size of state")
    parser.add_argument("--boxes", type=int, default=256, help="boxes alive at once; 0 leaves that out")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


def say(words: str) -> None:
    """A line of progress, on standard error."""
    sys.stderr.write(f"[{time.strftime('%H:%M:%S')}] {words}\n")
    sys.stderr.flush()


async def timed(deed: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds that it took."""
    began = time.perf_counter()
    await deed()
    return (time.perf_counter() - began) * 1000


def p50(values: list[float]) -> float:
    """The median."""
    return round(statistics.median(values), 2)


def p95(values: list[float]) -> float:
    """The value that one in twenty exceeds."""
    return round(sorted(values)[min(len(values) - 1, int(0.95 * len(values)))], 2)


# ------------------------------------------------------------------------------------------------ sport


def sandbox() -> ForkedSandbox:
    """As a run makes it, with one tool that answers at once."""

    async def call(name: str, given: Mapping[str, Any]) -> Answered:
        return Answered(value=given["value"])

    def put(name: str, data: bytes) -> File:
        digest = hashlib.sha256(data).hexdigest()
        return File(name=name, sha256=digest, size=len(data), media_type="application/octet-stream")

    def read(file: File) -> bytes:
        raise FileNotFoundError(file.name)

    return ForkedSandbox(specs=(ECHO,), call=call, put=put, read=read, limits=LIMITS)


@asynccontextmanager
async def running() -> Any:
    """One that has started."""
    made = sandbox()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def boot(times: int = 3) -> float:
    """Median milliseconds until the zygote has its libraries."""
    took = []
    for _ in range(times):
        made = sandbox()
        took.append(await timed(made.start))
        await made.stop()
    return p50(took)


async def boxes(made: ForkedSandbox, times: int) -> list[float]:
    """Milliseconds to open a box and have its first answer."""
    took = []
    for number in range(times):
        began = time.perf_counter()
        state = await made.open(f"box-{number}", [])
        await state.run("1", 0)
        took.append((time.perf_counter() - began) * 1000)
        await state.close()
    return took


async def step(state: Any) -> tuple[float, float]:
    """Milliseconds for a fork, and for a whole step of one candidate."""
    began = time.perf_counter()
    child = await state.fork()
    forked = time.perf_counter()
    seen = await child.run("y = x + 1; y", 0)
    ended = time.perf_counter()
    await child.close()
    assert seen.value == "2", seen
    return (forked - began) * 1000, (ended - began) * 1000


async def five(state: Any) -> None:
    """Five candidates that compute, write a file and print; four of them lose."""
    forks = [await state.fork() for _ in range(5)]
    code = "import numpy; a = numpy.arange(1000.0) * {0}; open('f{0}', 'w').write(str(a.sum())); print(a.sum())"
    await asyncio.gather(*(fork.run(code.format(i), i) for i, fork in enumerate(forks)))
    await asyncio.gather(*(fork.close() for fork in forks))


async def round_trip(state: Any, calls: int = 50) -> float:
    """Milliseconds of a tool call as the code sees it."""
    code = (
        f"import time\nb = time.perf_counter()\nfor i in range({calls}): echo(i)\n(time.perf_counter() - b) / {calls}"
    )
    return float((await state.run(code, 0)).value) * 1000


async def crowd(made: ForkedSandbox, size: int) -> dict[str, float]:
    """Memory of ``size`` boxes alive, MiB: all of it, and what each adds. A page that n share counts 1/n each."""
    alone = _pss_mb()
    states = []
    for number in range(size):
        states.append(await made.open(f"crowd-{number}", []))
        await states[-1].run("import numpy; x = numpy.arange(1000)", 0)
        if number % 64 == 63:
            say(f"  {number + 1} boxes, {_pss_mb():,.0f} MiB")
    total = _pss_mb()
    await asyncio.gather(*(state.close() for state in states))
    return {f"boxes_{size}_mb": round(total), "mb_per_box": round((total - alone) / size, 1)}


def _pss_mb() -> float:
    total = 0
    for pid in _family(os.getpid()):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _family(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [found for child in children for found in (child, *_family(child))]


# ------------------------------------------------------------------------------------------------ peers


class Kernel:
    """A Jupyter kernel."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self._manager, self._client = start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)

    def run(self, code: str) -> None:
        """Run it and wait until the kernel is idle again."""
        asked = self._client.execute(code)
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=120)
            except queue.Empty as error:
                raise TimeoutError("the kernel does not answer") from error
            ours = message["parent_header"].get("msg_id") == asked
            if ours and message["msg_type"] == "error":
                raise RuntimeError(message["content"]["evalue"])
            if ours and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return

    def stop(self) -> None:
        """End it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def smolagents_runner() -> Callable[[str], Any]:
    """Its interpreter, with the imports that these programs need, and without its limit on operations."""
    from smolagents import local_python_executor

    local_python_executor.MAX_OPERATIONS = 10**9
    local_python_executor.MAX_WHILE_ITERATIONS = 10**9
    made = local_python_executor.LocalPythonExecutor(["numpy", "numpy.*"], timeout_seconds=None)
    made.send_tools({})
    return made


def fresh(code: str) -> None:
    """A new interpreter; the last line is an expression, which it throws away."""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


async def programs(state: Any, rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of the million additions and of the numpy operation, by contender."""
    kernel, smol = Kernel(), smolagents_runner()
    deeds: dict[str, Callable[[str], Awaitable[Any] | None]] = {
        "sport": lambda code: state.run(code, 0), "smolagents": smol, "python -c": fresh, "ipykernel": kernel.run,
    }  # fmt: skip
    took: dict[tuple[str, str], list[float]] = {}
    try:
        for number in range(rounds):
            for name, deed in deeds.items():
                for what, code in (("loop", LOOP), ("numpy", NUMPY)):
                    began = time.perf_counter()
                    waiting = deed(code)
                    if asyncio.iscoroutine(waiting):
                        await waiting
                    took.setdefault((what, name), []).append((time.perf_counter() - began) * 1000)
            say(f"  round {number + 1} of {rounds}: smolagents' loop {took['loop', 'smolagents'][-1]:,.0f} ms")
    finally:
        kernel.stop()
    return {what: {name: p50(took[what, name]) for name in deeds} for what in ("loop", "numpy")}


async def beginnings(rounds: int = 3) -> dict[str, float]:
    """Median milliseconds until a peer with the four libraries can run a line."""
    took: dict[str, list[float]] = {"python -c": [], "ipykernel": []}
    for _ in range(rounds):
        began = time.perf_counter()
        fresh(LIBRARIES)
        took["python -c"].append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        kernel = Kernel()
        kernel.run(LIBRARIES)
        took["ipykernel"].append((time.perf_counter() - began) * 1000)
        kernel.stop()
    return {name: p50(values) for name, values in took.items()}


# ---------------------------------------------------------------------------------------------- the run


async def measure(rounds: int, crowd_size: int) -> dict[str, Any]:
    """All figures."""
    say("booting the zygote three times")
    figures: dict[str, Any] = {"zygote_ms": await boot()}
    async with running() as made:
        say("opening boxes")
        figures["box_ms"] = p50(opened := await boxes(made, 20))
        figures["box_p95_ms"] = p95(opened)
        figures |= await steps(made, rounds)
        state = await made.open("main", [])
        say("five candidates, and tool calls")
        figures["five_ms"] = p50([await timed(lambda: five(state)) for _ in range(15)])
        figures["rpc_ms"] = p50([await round_trip(state) for _ in range(9)])
        say("programs, against the peers")
        figures["peers"] = await programs(state, 3)
        await state.close()
        if crowd_size:
            say(f"{crowd_size} boxes alive")
            figures |= await crowd(made, crowd_size)
        layers = vector(made.layers)
    say("how long the peers take to begin")
    figures["peers"]["begin"] = {"sport": figures["box_ms"], **await beginnings()}
    loop = figures["peers"]["loop"]
    figures["loop_vs_smolagents"] = round(loop["smolagents"] / loop["sport"], 1)
    return {**figures, "machine": {**machine(), "layers": layers}}


async def steps(made: ForkedSandbox, rounds: int) -> dict[str, float]:
    """Forks and steps with 0, 50 and 500 MB of state, the three taking turns."""
    states = {}
    for size in (0, 50, 500):
        states[size] = await made.open(f"state-{size}", [])
        seen = await states[size].run(f"import numpy; x = 1; held = numpy.ones({size} * 131_072)", 0)
        assert seen.outcome == "ok", seen
    took: dict[int, list[tuple[float, float]]] = {size: [] for size in states}
    for number in range(rounds):
        for size, state in states.items():
            took[size].append(await step(state))
        if number % 20 == 19:
            say(f"  steps: {number + 1} of {rounds} rounds")
    figures = {}
    for size, pairs in took.items():
        name = f"_{size}mb" if size else ""
        figures[f"fork{name}_p50_ms"] = p50([fork for fork, _ in pairs])
        figures[f"step{name}_p50_ms"] = p50([whole for _, whole in pairs])
        figures[f"step{name}_p95_ms"] = p95([whole for _, whole in pairs])
        await states[size].close()
    return figures


def machine() -> dict[str, Any]:
    """Where this was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    names = ("numpy", "smolagents", "ipykernel", "jupyter_client")
    return {
        "cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(), "root": os.getuid() == 0,
        "python": platform.python_version(), "load": round(os.getloadavg()[0], 1),
        "versions": {name: metadata.version(name) for name in names},
    }  # fmt: skip


def table(figures: Mapping[str, Any]) -> str:
    """What a person reads."""
    goals = {
        "step_p50_ms": "<= 20", "five_ms": "<= 200", "rpc_ms": "<= 1", "zygote_ms": "<= 2000", "box_ms": "<= 100",
        "loop_vs_smolagents": ">= 50", "boxes_256_mb": "<= 6144",
    }  # fmt: skip
    rows = [
        f"{name:22} {value:>10,}  {goals.get(name, '')}"
        for name, value in figures.items()
        if not isinstance(value, dict)
    ]
    names = ("sport", "smolagents", "python -c", "ipykernel")
    rows += ["", f"{'ms':22} " + "".join(f"{name:>12}" for name in names)]
    for what, by_name in figures["peers"].items():
        cells = "".join(f"{by_name[name]:>12,.1f}" if name in by_name else f"{'-':>12}" for name in names)
        rows.append(f"{what:22} {cells}")
    return "\n".join(rows)


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    figures = asyncio.run(measure(options.rounds, options.boxes))
    sys.stdout.write(table(figures) + "\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
