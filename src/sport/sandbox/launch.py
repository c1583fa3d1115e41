"""Host: the zygote as the host sees it - its boot, its answers and its end. ``zygote.py`` is its other side."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sport.errors import SandboxError
from sport.sandbox.channel import Channel
from sport.sandbox.process import FORK_S, Process, close_all
from sport.types import ToolSpec

START_S = 60.0  # imports on a cold disk
_ENTRY = "import sys; sys.path.append(sys.argv[3]); from sport.sandbox.zygote import main; main()"
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "Agg",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # a state with threads cannot be forked
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")},
}


class Zygote:
    """The one process from which all boxes are forked; see ``zygote.py`` for its side."""

    def __init__(self) -> None:
        self._numbers = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self, home: Path, libraries: Sequence[str], specs: Sequence[ToolSpec], memory_bytes: int) -> None:
        """Boot it and wait until its libraries are loaded. When this process is killed, it removes ``home``.

        Raises:
            SandboxError: it did not come up; the message ends with what it wrote.
        """
        near, far = socket.socketpair()
        self._channel = Channel(near)
        source = str(Path(__file__).resolve().parents[2])
        words = [sys.executable, "-P", "-s", "-c", _ENTRY, str(far.fileno()), str(os.getpid()), source]
        with tempfile.TemporaryFile() as log, far:
            self._process = subprocess.Popen(
                words,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[far.fileno()],
                cwd=tempfile.gettempdir(),
                start_new_session=True,
            )
            far.close()
            settings = {"home": str(home), "libraries": list(libraries), "memory_bytes": memory_bytes}
            await self._channel.send({**settings, "specs": [spec.model_dump(mode="json") for spec in specs]})
            try:
                ready = await asyncio.wait_for(self._channel.receive(), START_S)
            except TimeoutError:
                ready = None
            if ready is None:
                self._process.kill()
                self._process.wait()
                self._process = None
                self._channel.close()
                log.seek(0)
                said = log.read()[-2000:].decode("utf-8", "replace").strip()
                raise SandboxError(f"the sandbox did not start: {said or 'no word from it'}")
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Hang up: it kills everything that came from it and ends."""
        if self._process is None:
            return
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        self._channel.close()
        try:
            await asyncio.to_thread(self._process.wait, FORK_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    async def open(self, work: Path, limit: int) -> Process:
        """A fresh process whose working directory will be ``work``. Raises SandboxError."""
        process, far = Process.prepare(self, limit)
        try:
            reply = await self._ask({"op": "open", "work": str(work)}, far)
            if reply["error"] is not None:
                raise SandboxError(f"no new box: {reply['error']}")
            return await process.arrive()
        except BaseException:
            process.abandon()  # where it was forked all the same, it ends when it finds its channel closed
            raise
        finally:
            close_all(far)

    def is_parent_of(self, pid: int) -> bool:
        """Whether the zygote is the parent of ``pid``."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return self._process is not None and int(stat.rpartition(")")[2].split()[1]) == self._process.pid

    async def kill(self, pid: int) -> int | None:
        """Kill a process with its group and descendants, and reap it: its wait status, None if it was reaped before."""
        status: int | None = (await self._ask({"op": "kill", "pid": pid}))["status"]
        return status

    async def _ask(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        if self._process is None or self._listening is None or self._listening.done():
            raise SandboxError("the sandbox is not running; call start() first")
        self._numbers += 1
        number = self._numbers
        self._replies[number] = asyncio.get_running_loop().create_future()
        try:
            await self._channel.send({**message, "id": number}, descriptors)
            return await self._replies[number]
        except OSError as error:
            raise SandboxError(f"the sandbox's zygote is gone: {error}") from error
        finally:
            del self._replies[number]

    async def _listen(self) -> None:
        while (reply := await self._channel.receive()) is not None:
            waiting = self._replies.get(reply["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(SandboxError("the sandbox's zygote is gone"))
