"""Whoever runs beside a hostile program gets what is theirs, in time: siblings that wait, and other trajectories."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import pytest

from conformance.sandbox import SPECS, Shelf, shown
from hostile.catalogue import CATALOGUE
from hostile.witness import STATE
from sport.config import SandboxSection
from sport.sandbox.forked import ForkedSandbox

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the forking sandbox is for Linux"),
    pytest.mark.hostile,
]

LIMITS = SandboxSection(
    wall_s=2.0, memory_mb=256, disk_mb=64, disk_files=2000, threads=64, libraries=("numpy",), output_bytes=20_000
)
VANDAL = """
import os, shutil
for folder, folders, files in os.walk('/', topdown=False):
    for name in files:
        for deed in (lambda p: open(p, 'w').write('mine'), os.unlink, lambda p: os.rename(p, p + 'x')):
            try: deed(os.path.join(folder, name))
            except OSError: pass
    for name in folders:
        try: shutil.rmtree(os.path.join(folder, name))
        except OSError: pass
"""
BOMBS = (
    "memory.list_bomb_that_catches", "memory.files_that_fill_the_disk", "processes.fork_storm_of_threads",
    "processes.thread_bomb", "output.endless_output", "rpc.flood_of_frames", "time.storm_of_timers",
    "rpc.calls_without_end",
)  # fmt: skip


@pytest.fixture
async def sandbox() -> AsyncIterator[ForkedSandbox]:
    shelf = Shelf()
    made = ForkedSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS)
    await made.start()
    yield made
    await made.stop()


async def test_a_candidate_that_waits_for_its_tool_finds_its_files_again(sandbox: ForkedSandbox) -> None:
    """The vandal gets the path while the others wait, under the very names that their variables hold."""
    state = await sandbox.open("box", [])
    await state.run("import os; here = os.getcwd(); os.mkdir('d'); open('d/f', 'w').write('ours')", 0)
    code = "open('mine', 'w').write('{0}'); h = open('d/f'); wait(0.4)\n"
    code += "open(here + '/mine').read(), h.read(), os.getcwd() == here"
    waiting = [await state.fork() for _ in range(3)]
    vandal = await state.fork()
    runs = [asyncio.create_task(fork.run(code.format(i), 0)) for i, fork in enumerate(waiting)]
    await asyncio.sleep(0.1)
    assert (await vandal.run(VANDAL, 0)).outcome in ("ok", "died", "error")
    assert [(await run).value for run in runs] == [f"('{i}', 'ours', True)" for i in range(3)]
    assert await shown(await state.fork(), "open('d/f').read(), os.listdir('d')") == "('ours', ['f'])"


@pytest.mark.parametrize("name", BOMBS)
async def test_other_trajectories_go_on(sandbox: ForkedSandbox, name: str) -> None:
    """Two cores, one box that does its worst: honest steps of another come out right, and none takes three seconds."""
    villain, honest = await sandbox.open("villain", []), await sandbox.open("honest", [])
    await villain.run(STATE, 0)
    worst = asyncio.create_task(villain.run(CATALOGUE[name].code, 0))
    slowest, steps = 0.0, 0
    await honest.run("n = 0", 0)
    while not worst.done() or steps < 3:
        began = time.monotonic()
        child = await honest.fork()
        seen = await child.run(f"n += 1; open('f', 'w').write(str(n)); wait(0), n, {steps}", 0)
        slowest = max(slowest, time.monotonic() - began)
        assert seen.value == f"('done', {steps + 1}, {steps})", seen
        await honest.close()
        honest, steps = child, steps + 1
    assert slowest < 3.0, f"{steps} steps beside {name}, the slowest took {slowest:.1f} s"
    await worst
