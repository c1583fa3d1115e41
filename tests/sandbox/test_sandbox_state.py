"""States: what a fork takes along, and what is rebuilt from a journal, byte for byte and without calling a tool."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conformance.sandbox import LIMITS, SPECS, Shelf, bare, shown
from sport.config import SandboxSection
from sport.errors import InputError, SandboxError
from sport.sandbox import Entry, ForkedSandbox, load, save
from sport.sandbox.interpreter import ForkedInterpreter

CODES = (
    "import random; r = random.Random(3); log = open('log.txt', 'w+'); xs = [random.random()]",
    "part = crop('a.png'); log.write(part); xs.append(size(part)); print(xs)",
    "1 / 0",
    "xs += [r.random(), random.random(), hash('x')]; log.flush(); {n: n for n in {'a', 'b', 'c'}}, object()",
    "log.seek(0); print(log.read(), end=''); sorted(__import__('os').listdir()), xs",
)


def sandbox_of(shelf: Shelf, limits: SandboxSection = LIMITS) -> ForkedSandbox:
    return ForkedSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=limits)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def sandbox(shelf: Shelf) -> AsyncIterator[ForkedSandbox]:
    made = sandbox_of(shelf)
    await made.start()
    yield made
    await made.stop()


def end(state: ForkedInterpreter) -> None:
    """Kill its process behind its back and wait until it is dead."""
    process = state._turn.process
    process.signal(signal.SIGKILL)
    while process.alive:
        os.sched_yield()


async def test_a_restart_of_the_host_changes_no_byte_and_calls_no_tool(shelf: Shelf, tmp_path: Path) -> None:
    files = [shelf.put("a.png", b"12345")]
    first = sandbox_of(shelf)
    await first.start()
    state = await first.open("box", files)
    for seed, code in enumerate(CODES[:-1]):
        await state.run(code, seed)
    save(tmp_path / "journal.jsonl", state.journal)
    expected = await state.run(CODES[-1], 9)
    await first.stop()
    called = len(shelf.called)
    second = sandbox_of(shelf)
    await second.start()
    again = await second.restore("box", files, load(tmp_path / "journal.jsonl"))
    assert bare(await again.run(CODES[-1], 9)) == bare(expected)
    assert len(shelf.called) == called == 2
    assert again.journal == state.journal
    await second.stop()


async def test_fork_and_replay_lead_to_the_same(sandbox: ForkedSandbox, shelf: Shelf) -> None:
    state = await sandbox.open("box", [shelf.put("a.png", b"12345")])
    for seed, code in enumerate(CODES[:-1]):
        await state.run(code, seed)
    forked = await state.fork()
    end(state)
    rebuilt = await state.fork()
    assert rebuilt._box is not forked._box
    seen, again = await forked.run(CODES[-1], 9), await rebuilt.run(CODES[-1], 9)
    assert bare(seen) == bare(again) and seen.outcome == "ok" and seen.stderr == ""


async def test_a_state_that_was_killed_between_two_steps_goes_on(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    await state.run("x = [1]", 0)
    end(state)
    assert await shown(state, "x") == "[1]"
    end(state)
    one, two = await state.fork(), await state.fork()
    assert (await shown(one, "x"), await shown(two, "x"), await shown(state, "x")) == ("[1]",) * 3


async def test_a_state_that_broke_its_own_fork_is_rebuilt_for_each(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    sabotage = "import threading; lock, threading.Lock = threading.Lock, None; x = 7"
    assert (await state.run(sabotage, 0)).outcome == "ok"
    one, two = await state.fork(), await state.fork()
    assert (await shown(one, "x"), await shown(two, "x + 1")) == ("7", "8")
    assert await shown(state, "x") == "7"


async def test_a_state_without_room_for_a_copy_beside_it_is_rebuilt(shelf: Shelf) -> None:
    sandbox = sandbox_of(shelf, LIMITS.model_copy(update={"disk_mb": 8}))
    await sandbox.start()
    state = await sandbox.open("box", [])
    await state.run("open('big', 'wb').write(bytes(5 << 20)); x = 5", 0)
    child = await state.fork()
    assert await shown(child, "x, len(open('big', 'rb').read()) >> 20") == "(5, 5)"
    has_size = any(layer.name == "disk" and layer.state == "active" for layer in sandbox.layers)
    assert (child._box is not state._box) == has_size
    await sandbox.stop()


async def test_another_output_than_then_is_told(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    await state.run("import os; x = os.urandom(8)", 0)
    await state.run("x", 0)
    end(state)
    seen = await state.run("1", 0)
    note = "[sandbox] this state was rebuilt, and step 2 then led to another output than before\n"
    assert seen.stderr == note
    assert (await state.run("1", 0)).stderr == ""


async def test_a_candidate_hears_of_it_too(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    await state.run("import os; os.urandom(8)", 0)
    end(state)
    child = await state.fork()
    assert "rebuilt" in (await child.run("1", 0)).stderr


async def test_what_was_refused_or_died_is_not_in_the_journal(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    await state.run("x = 1", 0)
    await state.run("#" * 2_000_000, 0)
    child = await state.fork()
    await child.run("import os; os._exit(0)", 0)
    assert [entry.code for entry in child.journal] == [entry.code for entry in state.journal] == ["x = 1"]
    with pytest.raises(SandboxError, match="only close"):
        await child.fork()


async def test_nothing_runs_between_two_steps(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    await state.run(
        "import threading, time; n = 0\ndef count():\n    global n\n    while True: n += 1; time.sleep(0.001)\n"
        "threading.Thread(target=count, daemon=True).start()",
        0,
    )
    process = state._turn.process
    before = _ticks(process.pid)
    await asyncio.sleep(0.3)
    assert _ticks(process.pid) == before
    assert _state(process.pid) == "T"


async def test_streams_that_the_code_has_closed_or_turned_are_whole_again(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    await state.run("import os, sys; os.dup2(os.open('f', os.O_CREAT | os.O_WRONLY), 1); os.close(2); os.close(0)", 0)
    await state.run("sys.stdout = open('g', 'w'); sys.stderr.close()", 0)
    for one in (state, await state.fork()):
        seen = await one.run("print('out'); os.write(2, b'err'); sys.stdin.read()", 0)
        assert (seen.stdout, seen.stderr, seen.value) == ("out\n", "err", "''")


async def test_garbage_of_many_steps_does_not_pile_up(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    await state.run(
        "import resource\nclass Ring:\n    def __init__(self): self.me, self.ballast = self, bytearray(1 << 20)", 0
    )
    for _ in range(60):
        await state.run("ring = Ring(); ring = None", 0)
    assert int(str(await shown(state, "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10"))) < 256


async def test_journals_on_disk_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    save(path, [Entry("x = '\\u20ac'", 3), Entry("1", 4, (), "d")])
    assert load(path) == (Entry("x = '\\u20ac'", 3), Entry("1", 4, (), "d"))
    path.write_text(path.read_text() + '{"code": 1}\n')
    with pytest.raises(InputError, match=r"journal.jsonl, line 3: not an entry"):
        load(path)
    with pytest.raises(InputError, match="missing"):
        load(tmp_path / "missing")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _ticks(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
