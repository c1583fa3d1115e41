"""Worker processes with a deadline: one that hangs, swells or dies is killed and replaced by the next call."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO, Any

from sport.errors import SportError, ToolError
from sport.tools import frames
from sport.tools.base import FileBytes, ToolOutput
from sport.tools.entry import ToolEntry

MAKE_S = 120.0  # for a worker to start and a tool to load: imports and models, not counted against a call's deadline
FAREWELL_S = 1.0  # for a worker that closed its socket to end
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")  # all that a worker inherits: no keys, no home
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}

log = logging.getLogger(__name__)


def environment(names: Sequence[str] = ()) -> dict[str, str]:
    """All that a process which runs tools inherits: what Python needs, and the variables named."""
    kept = {name: os.environ[name] for name in (*KEPT, *names) if name in os.environ}
    return {"PYTHONHASHSEED": "0", **ONE_THREAD, **kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class WorkerError(SportError):
    """A call without an answer of the tool's own: it hung, died, or raised what no tool should. Never cached."""


class Worker:
    """One process at a time; a new one starts with the call after a kill."""

    def __init__(self, memory_mb: int, env: Sequence[str] = ()) -> None:
        self._memory_mb = memory_mb
        self._env = tuple(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._made: set[str] = set()

    async def make(self, entry: ToolEntry) -> None:
        """Have the tool loaded; nothing to do when it is.

        Raises:
            WorkerError: it cannot be loaded, or not in time.
        """
        if self._process is None:
            await self._spawn()
        if entry.spec.name not in self._made:
            head = {"do": "make", "tool": entry.spec.name, "factory": entry.factory, "options": dict(entry.options)}
            try:
                await self._ask(frames.encode(head), MAKE_S)
            except ToolError as error:
                raise WorkerError(str(error)) from error
            self._made.add(entry.spec.name)

    async def call(self, entry: ToolEntry, bound: Mapping[str, Any], deadline_s: float) -> ToolOutput:
        """Run a tool. The deadline counts from when it is loaded.

        Raises:
            ToolError: the tool said no.
            WorkerError: there is no answer; the process is gone where it could not be trusted any longer.
        """
        await self.make(entry)
        files = {name: value for name, value in bound.items() if isinstance(value, FileBytes)}
        head = {
            "do": "call",
            "tool": entry.spec.name,
            "arguments": {name: value for name, value in bound.items() if name not in files},
            "files": [[name, file.media_type] for name, file in files.items()],
        }
        return await self._ask(frames.encode(head, [file.data for file in files.values()]), deadline_s)

    async def kill(self, after_s: float = 0.0) -> str:
        """End the process and all that it started; says how it ended. Calling it again is allowed.

        ``after_s`` lets a process that is already ending do so by itself, so that its own exit code is known.
        """
        process, self._process = self._process, None
        self._made.clear()
        if process is None:
            return "was not running"
        await _ended(process.pid, after_s)
        with suppress(ProcessLookupError):  # nothing of its group is left
            os.killpg(process.pid, signal.SIGKILL)
        code = await asyncio.to_thread(process.wait)
        self._writer.close()
        self._note()
        return f"died (signal {-code})" if code < 0 else f"died (exit code {code})"

    # ------------------------------------------------------------------------------------------- details

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process is
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", "sport.tools.worker", str(theirs.fileno()), str(self._memory_mb)],
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                env=environment(self._env),
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # one kill reaches what it starts, and the terminal's Ctrl-C does not
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=1 << 20)

    async def _ask(self, frame: bytes, deadline_s: float) -> ToolOutput:
        answered = False
        try:
            async with asyncio.timeout(deadline_s):
                self._writer.write(frame)
                await self._writer.drain()
                head, blobs = await frames.receive(self._reader)
            answered = "unwell" not in head
            return _output(head, blobs)
        except TimeoutError as error:
            raise WorkerError(f"no answer within {deadline_s:g} s") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise WorkerError(f"its process {await self.kill(after_s=FAREWELL_S)}") from error
        except frames.FrameError as error:
            answered = False
            raise WorkerError(f"its process sent {error}") from error
        finally:
            if not answered:  # also when the caller was cancelled: an answer under way would meet the next question
                await self.kill()

    def _note(self) -> None:
        assert self._stderr is not None
        with self._stderr as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2000))
            tail = file.read().decode(errors="replace").strip()
        if tail:
            log.info("a tool worker's last words: %s", tail)


class Pool:
    """A fixed number of workers; calls wait for a free one, and that wait does not count against their deadline.

    ``memory_mb`` is of each, ``env`` names variables of the environment that they get.
    """

    def __init__(self, workers: int, memory_mb: int, env: Sequence[str] = ()) -> None:
        self._workers = [Worker(memory_mb, env) for _ in range(workers)]
        self._idle: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()
        for worker in self._workers:
            self._idle.put_nowait(worker)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """A worker for one's own until the block ends."""
        worker = await self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put_nowait(worker)

    async def warm(self, entries: tuple[ToolEntry, ...]) -> None:
        """Load every tool in every worker. Raises an ExceptionGroup of WorkerError."""

        async def load(worker: Worker) -> None:
            for entry in entries:
                try:
                    await worker.make(entry)
                except WorkerError as error:
                    raise WorkerError(f"{entry.spec.name} ({entry.factory}): {error}") from error

        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(load(worker))

    async def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            await worker.kill()


async def _ended(pid: int, within_s: float) -> None:
    """Wait for a child's end without reaping it: until then its number, and its group's, cannot be another's."""
    for _ in range(round(within_s / 0.01)):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        await asyncio.sleep(0.01)


def _output(head: frames.Head, blobs: list[bytes]) -> ToolOutput:
    """What a frame says. The worker may have been taken over by a file, so that nothing in it is believed."""
    if isinstance(said := head.get("said"), str):
        raise ToolError(said)
    if isinstance(failed := head.get("failed"), str):
        raise WorkerError(failed)
    names = head.get("files")
    if not isinstance(names, list) or len(names) != len(blobs) or "value" not in head:
        raise frames.FrameError("no answer")
    if not all(isinstance(name, str) and FILE_NAME.fullmatch(name) for name in names):
        raise ToolError("a file that the tool made has a name that is not plain")
    return ToolOutput(value=head["value"], files=dict(zip(names, blobs, strict=True)))
