"""The sandbox without walls: the contract of all sandboxes, and that it says what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conformance.sandbox import HASTY, LIMITS, SPECS, SandboxContract, Shelf, shown
from sport.config import SandboxSection
from sport.sandbox.layers.report import vector
from sport.sandbox.unsafe import UnsafeSandbox


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@asynccontextmanager
async def running(shelf: Shelf, limits: SandboxSection) -> AsyncIterator[UnsafeSandbox]:
    made = UnsafeSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=limits)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def sandbox(shelf: Shelf) -> AsyncIterator[UnsafeSandbox]:
    async with running(shelf, LIMITS) as made:
        yield made


@pytest.fixture
async def hasty(shelf: Shelf) -> AsyncIterator[UnsafeSandbox]:
    async with running(shelf, HASTY) as made:
        yield made


@pytest.mark.slow
class TestUnsafe(SandboxContract):
    """Every property of the suite: it isolates by accident what the others isolate by force."""


async def test_it_is_loud_about_it(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(shelf, LIMITS) as sandbox:
        said = capsys.readouterr().err
        assert said.startswith("WARNING") and "unsafe" in said and "without any wall" in said
        assert vector(sandbox.layers) == {"walls": "disabled (sandbox.executor=unsafe)"}


async def test_a_fork_is_a_replay(sandbox: UnsafeSandbox, shelf: Shelf) -> None:
    state = await sandbox.open("box", [])
    await state.run("import os; pid = os.getpid(); x = [1]; open('f', 'w').write('a'); wait(0)", 0)
    child = await state.fork()
    assert await shown(child, "x, open('f').read(), pid == os.getpid()") == "([1], 'a', True)"
    assert len(shelf.called) == 1
    await child.run("x.append(2)", 0)
    assert await shown(state, "x") == "[1]"
