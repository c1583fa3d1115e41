"""Long runs, many at once, and a host that is killed: nothing grows, nothing mixes, nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conformance.sandbox import SPECS, Shelf, shown
from hostile import cage
from sport.config import SandboxSection
from sport.sandbox.forked import ForkedSandbox

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the forking sandbox is for Linux"),
    pytest.mark.timeout(400),
]

LIMITS = SandboxSection(wall_s=20.0, memory_mb=256, libraries=("numpy",))


@pytest.fixture
async def sandbox() -> AsyncIterator[ForkedSandbox]:
    shelf = Shelf()
    made = ForkedSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS)
    await made.start()
    yield made
    await made.stop()


def family(pid: int) -> list[int]:
    """A process's living descendants."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [found for child in children for found in (child, *family(child))]


def held() -> dict[str, int]:
    """What this process and all below it hold: descriptors, processes, MiB of memory that is theirs alone or shared."""
    members = [os.getpid(), *family(os.getpid())]
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "descriptors inside": sum(_descriptors(pid) for pid in members[1:]),
        "processes": len(members),
        "memory": sum(_pss_kb(pid) for pid in members) >> 10,
    }


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


async def steps(sandbox: ForkedSandbox, count: int, every: int) -> list[dict[str, int]]:
    """A trajectory of ``count`` steps with two candidates each, one of which fails; what is held now and then."""
    losers = ["while 1 / 0: pass", "import os; os._exit(1)", "open('big', 'w').write('x' * 10000)", "x = [0] * 100_000"]
    state = await sandbox.open("box", [])
    await state.run("total = 0; log = open('log.txt', 'a')", 0)
    seen = []
    for step in range(count):
        winner, loser = await state.fork(), await state.fork()
        await loser.run(losers[step % len(losers)], step)
        answer = await winner.run(
            "total += 1; print(wait(0)); log.seek(0); log.truncate(); log.write(str(total)); total", step
        )
        assert answer.value == str(step + 1), answer
        await asyncio.gather(state.close(), loser.close())
        state = winner
        if step % every == every - 1:
            seen.append(held())
    await state.close()
    return seen


async def test_40_steps_hold_no_more_than_20(sandbox: ForkedSandbox) -> None:
    first, last = await steps(sandbox, 40, 20)
    assert {k: last[k] - first[k] for k in ("descriptors", "descriptors inside", "processes")} == {
        "descriptors": 0, "descriptors inside": 0, "processes": 0,
    }  # fmt: skip


@pytest.mark.hostile
async def test_500_steps_hold_no_more_than_100(sandbox: ForkedSandbox) -> None:
    first, *_, last = await steps(sandbox, 500, 100)
    for what in ("descriptors", "descriptors inside", "processes"):
        assert last[what] <= first[what], (first, last)
    assert last["memory"] <= first["memory"] + 12, (first, last)


async def crowd(sandbox: ForkedSandbox, size: int, rounds: int) -> None:
    """``size`` trajectories at once, three candidates a step; each must find its own variables and files."""

    async def one(number: int) -> None:
        state = await sandbox.open(f"box-{number}", [])
        await state.run(f"me = {number}; trail = []; open('me.txt', 'w').write('{number}')", 0)
        for step in range(rounds):
            forks = [await state.fork() for _ in range(3)]
            codes = [
                f"trail.append((me, {step}, {i})); open('me.txt', 'a').write(' {i}'); wait(0.01)" for i in range(3)
            ]
            await asyncio.gather(*(fork.run(code, step) for fork, code in zip(forks, codes, strict=True)))
            chosen = (number + step) % 3
            await asyncio.gather(state.close(), *(fork.close() for i, fork in enumerate(forks) if i != chosen))
            state = forks[chosen]
        chosen_ones = [(number + step) % 3 for step in range(rounds)]
        expected = ([(number, s, c) for s, c in enumerate(chosen_ones)], " ".join(map(str, [number, *chosen_ones])))
        assert await shown(state, "trail, open('me.txt').read()") == repr(expected)
        await state.close()

    await asyncio.gather(*(one(number) for number in range(size)))


async def test_8_trajectories_at_once(sandbox: ForkedSandbox) -> None:
    before = held()["processes"]
    await crowd(sandbox, 8, 2)
    assert held()["processes"] == before


@pytest.mark.hostile
async def test_32_trajectories_at_once_on_two_cores(sandbox: ForkedSandbox) -> None:
    cores = os.sched_getaffinity(0)
    before = held()
    os.sched_setaffinity(0, sorted(cores)[:2])
    try:
        await crowd(sandbox, 32, 5)
    finally:
        os.sched_setaffinity(0, cores)
    after = held()
    assert after["processes"] == before["processes"] and after["descriptors"] <= before["descriptors"], (before, after)


HOST = """
import asyncio, os, sys
from conformance.sandbox import SPECS, Shelf
from hostile.runner import become
from pathlib import Path
from sport.config import SandboxSection
from sport.sandbox.forked import ForkedSandbox

async def busy(sandbox, number):
    state = await sandbox.open(f"box-{number}", [])
    while True:
        forks = [await state.fork() for _ in range(3)]
        code = "import time; open('f', 'w').write('x'); time.sleep(0.02); wait(0.02)"
        await asyncio.gather(*(fork.run(code, 0) for fork in forks))
        await asyncio.gather(*(fork.close() for fork in forks))

async def main():
    shelf = Shelf()
    limits = SandboxSection(memory_mb=256, libraries=("numpy",))
    sandbox = ForkedSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=limits)
    await sandbox.start()
    print("ready", flush=True)
    await asyncio.gather(*(busy(sandbox, number) for number in range(4)))

if len(sys.argv) > 1:
    become(int(sys.argv[1]), Path(sys.argv[2]))
asyncio.run(main())
"""


@pytest.mark.hostile
@pytest.mark.parametrize("user", [(), (str(cage.ORDINARY),)] if os.getuid() == 0 else [()], ids=str)
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.17, 0.4, 0.9])
def test_nothing_is_left_of_a_host_that_is_killed(tmp_path: Path, user: tuple[str, ...], after_s: float) -> None:
    """Wherever kill -9 strikes. The host is a child of a shell that stays and reports who else is still there."""
    script = '"$@" & host=$!; read -r line; kill -9 $host; wait $host 2>/dev/null; sleep 4'
    script += '; ls /proc | grep -c "^[0-9]"; ls /dev/shm'
    words = [sys.executable, "-P", "-c", HOST, *user, *([str(tmp_path)] if user else [])]
    tmp_path.chmod(0o755)
    with subprocess.Popen(
        cage.command(["sh", "-c", script, "sh", *words]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=cage.environment(), cwd="/",
    ) as shell:  # fmt: skip
        assert shell.stdin is not None and shell.stdout is not None
        before = set(os.listdir("/dev/shm"))
        assert shell.stdout.readline() == "ready\n"
        time.sleep(after_s)
        shell.stdin.write("now\n")
        shell.stdin.flush()
        said = shell.stdout.read().split()
        shell.send_signal(signal.SIGKILL)
    if not cage.namespaces():
        pytest.skip("no namespace of its own to count processes in")
    assert int(said[0]) <= 4, said  # the shell, ls and grep, and the cage's first process
    assert [name for name in said[1:] if name.startswith("sport") and name not in before] == []
