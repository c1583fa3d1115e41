"""The fork gate: a process under it, and a host that answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sandbox.layers.inside import SOURCE
from sport.sandbox.layers import kernel
from sport.sandbox.layers.gate import Gate

pytestmark = pytest.mark.skipif(kernel.supported() is not None, reason="the gate is for Linux on x86-64")

GATED = """
import errno, json, os, socket, sys, threading
sys.path.insert(0, sys.argv[2])
from sport.sandbox.layers import identity, kernel, seccomp
near = socket.socket(fileno=int(sys.argv[1]))
identity.no_new_privileges()
listener = seccomp.install_gate()
socket.send_fds(near, [b"x"], [listener])
os.close(listener)

def attempt(flags):
    try:
        pid = kernel.fork(flags)
    except OSError as error:
        return errno.errorcode[error.errno]
    if pid == 0:
        os._exit(0)
    return "forked"

def thread():
    ran = []
    one = threading.Thread(target=lambda: ran.append("ran"))
    one.start()
    one.join()
    return ran[0]

for line in sys.stdin:
    print(json.dumps(thread() if line == "thread\\n" else attempt(int(line))), flush=True)
"""


class Gated:
    """A process under the gate, and the host's side."""

    def __init__(self, process: subprocess.Popen[str], gate: Gate) -> None:
        self.process = process
        self.gate = gate

    async def tries(self, word: object) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return json.loads(await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), 10))


@contextlib.asynccontextmanager
async def gated() -> AsyncIterator[Gated]:
    near, far = socket.socketpair()
    with near, far:
        words = [sys.executable, "-c", textwrap.dedent(GATED), str(far.fileno()), str(SOURCE)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(words, stdin=pipe, stdout=pipe, pass_fds=[far.fileno()], text=True)
        try:
            _, (listener,), _, _ = await asyncio.to_thread(socket.recv_fds, near, 1, 1)
            yield Gated(process, Gate(listener))
        finally:
            process.kill()
            process.communicate()


async def test_a_fork_that_nobody_asked_for_fails() -> None:
    async with gated() as box:
        assert await box.tries(kernel.CLONE_PARENT) == "EPERM"
        assert await box.tries(0) == "EPERM"
        assert box.gate.refused == 2


async def test_one_fork_passes_when_it_is_asked_for_and_no_second_one() -> None:
    async with gated() as box:
        with box.gate.expecting(box.process.pid):
            assert await box.tries(kernel.CLONE_PARENT) == "forked"
            os.waitpid(-1, 0)  # it is this process's child: that is what CLONE_PARENT is for
            assert await box.tries(kernel.CLONE_PARENT) == "EPERM"


async def test_a_fork_of_another_kind_or_of_another_process_does_not_pass() -> None:
    async with gated() as box:
        with box.gate.expecting(box.process.pid):
            assert await box.tries(0) == "EPERM"  # its own child, which it could hide
            assert await box.tries(kernel.CLONE_PARENT | kernel.NEWUSER) == "EPERM"
        with box.gate.expecting(box.process.pid + 1):
            assert await box.tries(kernel.CLONE_PARENT) == "EPERM"


async def test_who_goes_on_forking_is_made_to_wait_and_does_not_wait_for_ever() -> None:
    async with gated() as box:
        began = time.monotonic()
        for _ in range(30):
            assert await box.tries(0) == "EPERM"
        assert box.gate.refused == 30
        assert 0.3 < time.monotonic() - began < 5


async def test_threads_start_without_asking() -> None:
    async with gated() as box:
        assert await box.tries("thread") == "ran"
        assert box.gate.refused == 0


async def test_when_the_host_has_let_go_there_are_no_forks_at_all() -> None:
    async with gated() as box:
        box.gate.close()
        assert await box.tries(kernel.CLONE_PARENT) == "ENOSYS"


async def test_the_end_of_the_last_process_does_not_keep_the_loop_busy() -> None:
    async with gated() as box:
        box.process.kill()
        await asyncio.to_thread(box.process.wait)
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            await asyncio.sleep(0)
        assert box.gate.refused == 0
        assert asyncio.get_running_loop().time() - began < 1
        assert not _is_watched(box.gate)


def _is_watched(gate: Gate) -> bool:
    return asyncio.get_running_loop().remove_reader(gate._descriptor)
