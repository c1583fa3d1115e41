"""The remote sandbox against its agent, which here is an ordinary program: all that Docker adds is the container."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conformance.sandbox import HASTY, LIMITS, SPECS, SandboxContract, Shelf, shown
from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox import frames
from sport.sandbox.link import Link
from sport.sandbox.remote import RemoteSandbox

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the agent runs the forking sandbox, which is for Linux"
)

AGENT = [sys.executable, "-P", "-m", "sport.sandbox.agent"]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@asynccontextmanager
async def running(shelf: Shelf, limits: SandboxSection) -> AsyncIterator[RemoteSandbox]:
    made = RemoteSandbox(AGENT, specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=limits)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def sandbox(shelf: Shelf) -> AsyncIterator[RemoteSandbox]:
    async with running(shelf, LIMITS) as made:
        yield made


@pytest.fixture
async def hasty(shelf: Shelf) -> AsyncIterator[RemoteSandbox]:
    async with running(shelf, HASTY) as made:
        yield made


@pytest.mark.slow
class TestRemote(SandboxContract):
    """Every property of the suite."""


async def test_code_files_and_tools_cross(sandbox: RemoteSandbox, shelf: Shelf) -> None:
    state = await sandbox.open("box", [shelf.put("a.png", b"12345")])
    seen = await state.run("n = size('a.png'); part = crop('a.png'); open('out.txt', 'w').write('hi'); n, part", 0)
    assert seen.value == "(5, 'crop.png')"
    assert [(file.name, shelf.read(file)) for file in seen.files] == [("crop.png", b"12"), ("out.txt", b"hi")]
    assert await shown(await state.fork(), "n") == "5"
    assert "seccomp" in [layer.name for layer in sandbox.layers]


async def test_a_cancelled_run_ends_that_state_alone(sandbox: RemoteSandbox) -> None:
    state = await sandbox.open("box", [])
    victim = await state.fork()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(victim.run("while True: pass", 0), 0.2)
    with pytest.raises(SandboxError):
        await victim.run("1", 0)
    assert await shown(await state.fork(), "1") == "1"


async def test_an_agent_that_dies_is_an_error_and_nothing_hangs(sandbox: RemoteSandbox) -> None:
    state = await sandbox.open("box", [])
    assert sandbox._process is not None
    sandbox._process.kill()
    with pytest.raises(SandboxError, match="gone"):
        await asyncio.wait_for(state.run("1", 0), 10)


async def test_a_program_that_is_no_agent_is_an_error(shelf: Shelf) -> None:
    for command, words in (
        (["sh", "-c", "echo no such thing >&2"], "no such thing"),
        (["/nonexistent"], "cannot be started"),
    ):
        made = RemoteSandbox(command, call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS)
        with pytest.raises(SandboxError, match=words):
            await made.start()


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02{}",
        b'\x00\x00\x00\x10{"sizes": [1e99]}',
        b'\x00\x00\x00\x0f{"sizes": [-1]}',
        b'\x00\x00\x00\x0d{"sizes": NaN',
    ],
)
async def test_what_is_no_message_is_refused(said: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(said + b" " * 64)
    reader.feed_eof()
    with pytest.raises(frames.FrameError):
        await Link(reader, None).receive()  # type: ignore[arg-type]
