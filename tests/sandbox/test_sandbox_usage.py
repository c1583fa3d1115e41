"""Processor time: counted by the host, told where a step was stopped, and limited to what one thread can use."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import AsyncIterator

import pytest

from conformance.sandbox import SPECS, Shelf
from sport.config import SandboxSection
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.process import Process
from sport.sandbox.usage import cpu_seconds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it asks /proc")

LIMITS = SandboxSection(wall_s=20.0, memory_mb=256, libraries=())


@pytest.fixture
async def sandbox() -> AsyncIterator[ForkedSandbox]:
    shelf = Shelf()
    made = ForkedSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS)
    await made.start()
    yield made
    await made.stop()


def test_it_is_the_processors_time_and_not_the_clocks() -> None:
    before, own = cpu_seconds(os.getpid()), time.process_time()
    time.sleep(0.1)
    while time.process_time() < own + 0.2:
        pass
    after = cpu_seconds(os.getpid())
    assert before is not None and after is not None
    assert after - before == pytest.approx(time.process_time() - own, abs=0.05)


def test_nobodys_time_is_unknown() -> None:
    assert cpu_seconds(2**22 + 1) is None  # beyond the largest process id that Linux gives


async def test_threads_take_no_more_than_one_core_has(sandbox: ForkedSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's word is replaced, so that this holds on one core, too: every look sees six seconds more."""
    state = await sandbox.open("box", [])
    child = await state.fork()
    used = itertools.count(100.0, 6.0)
    with monkeypatch.context() as patch:
        patch.setattr(Process, "cpu_s", lambda _: next(used))
        began = time.monotonic()
        seen = await child.run("import time; time.sleep(15)", 0)
    assert (seen.outcome, time.monotonic() - began < 10) == ("timeout", True)
    assert seen.error == "timeout: the code was stopped after 20 s of processor time, all its threads counted"
    assert seen.cpu_s > 20
    assert (await state.run("1 + 1", 0)).value == "2"


BUSY = "import os, time\nend = time.monotonic() + 0.8\nwhile time.monotonic() < end or time.process_time() < 0.3: pass"


async def test_a_step_that_did_not_end_by_itself_tells_its_processor_time(sandbox: ForkedSandbox) -> None:
    """As it was at the last look, and of this step alone: a state lives through many, each with limits of its own."""
    state = await sandbox.open("box", [])
    assert (await state.run(BUSY, 0)).cpu_s >= 0.05
    idle, busy = await state.fork(), await state.fork()
    seen = await busy.run(f"{BUSY}\nos._exit(3)", 0)
    assert seen.outcome == "died" and 0 < seen.cpu_s < 5, seen
    seen = await idle.run("time.sleep(0.6); os._exit(3)", 0)
    assert seen.outcome == "died" and seen.cpu_s < 0.2, seen
    seen = await state.run("time.sleep(0.6); os._exit(3)", 0)
    assert seen.outcome == "died" and seen.cpu_s < 0.2, seen
