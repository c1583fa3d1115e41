"""Host: the zygote as the host sees it - its boot, its answers and its end. ``zygote.py`` is its other side."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from sport.config import SandboxSection
from sport.errors import ConfigError, SandboxError
from sport.sandbox import workdir
from sport.sandbox.cell import Cell
from sport.sandbox.channel import Channel
from sport.sandbox.layers import kernel
from sport.sandbox.layers.report import Layer, check_floor, judge
from sport.sandbox.process import FORK_S, Process, close_all
from sport.types import ToolSpec

DESCRIPTORS = 16_384  # that the host wants to be able to open
START_S = 60.0  # imports on a cold disk
_ENTRY = "import sys; sys.path.append(sys.argv[3]); from sport.sandbox.zygote import main; main()"
ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "Agg",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # a state with threads cannot be forked
    "MALLOC_ARENA_MAX": "1",  # each further one reserves 64 MiB of a limited address space
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")},
}


class Zygote:
    """The one process from which all boxes are forked; see ``zygote.py`` for its side.

    ``layers`` says after :meth:`start` what is around each box, every layer tried.
    """

    layers: tuple[Layer, ...] = ()

    def __init__(self) -> None:
        self._numbers = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self, home: Path, limits: SandboxSection, specs: Sequence[ToolSpec]) -> None:
        """Boot it, wait until its libraries are loaded, and try the walls.

        When this process is killed, it removes ``home``.

        Raises:
            ConfigError: this machine has no walls that are thick enough, or a library is missing.
            SandboxError: it did not come up; the message ends with what it wrote.
        """
        check_machine()
        _make_room()
        near, far = socket.socketpair()
        self._channel = Channel(near)
        source = str(Path(__file__).resolve().parents[2])
        words = [sys.executable, "-P", "-s", "-c", _ENTRY, str(far.fileno()), str(os.getpid()), source]
        with tempfile.TemporaryFile() as log, far:
            self._process = subprocess.Popen(
                words,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[far.fileno()],
                cwd=tempfile.gettempdir(),
                start_new_session=True,
            )
            far.close()
            await self._channel.send(_settings(home, limits, specs))
            ready = await self._first_word(log)
        self._listening = asyncio.create_task(self._listen())
        try:
            standing = [name for name, (state, _) in ready["layers"].items() if state in ("on", "degraded")]
            self.layers = judge(ready["layers"], await self.probe(standing))
            check_floor(self.layers, limits.below_floor)
        except BaseException:
            await self.stop()
            raise

    async def _first_word(self, log: IO[bytes]) -> dict[str, Any]:
        try:
            ready = await asyncio.wait_for(self._channel.receive(), START_S)
        except TimeoutError:
            ready = None
        if ready is not None and ready["op"] == "ready":
            return ready
        assert self._process is not None
        if ready is None:
            self._process.kill()
        self._process.wait()
        self._process = None
        self._channel.close()
        if ready is not None:
            raise ConfigError(
                f"sandbox.libraries: {ready['error']}; install it (pip install 'sport[sandbox]' has the usual ones)"
                " or take it off the list"
            )
        log.seek(0)
        said = log.read()[-2000:].decode("utf-8", "replace").strip()
        raise SandboxError(f"the sandbox did not start: {said or 'no word from it'}")

    @property
    def dead(self) -> bool:
        """Whether it was started and has ended by itself since: the kernel may pick it when memory runs out."""
        if self._process is None or self._listening is None:
            return False
        return self._listening.done() or self._process.poll() is not None  # its boxes' end may be heard of first

    @property
    def pid(self) -> int:
        """Its process id; 0 while it is not running."""
        return self._process.pid if self._process else 0

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

    async def open(self, name: str, limit: int) -> tuple[Cell, Process]:
        """A box that is closed off, and the process that will be its first state: it has not been heard yet.

        ``name``: of a directory, where boxes have theirs among the host's; no two boxes alive have the same. ``limit``:
        bytes of output that are kept. Raises SandboxError.
        """
        return await self._move_in(name, limit, ())

    async def evict(self, cell: Cell) -> None:
        """End everything in a box, and remove its directory where that lies among the host's.

        Raises:
            SandboxError: the zygote is gone, which has ended everything then.
        """
        cell.close()
        try:
            await self._ask({"op": "kill", "pid": cell.init})
        finally:
            if cell.place is not None:
                await asyncio.to_thread(workdir.remove, cell.place)

    async def probe(self, names: Sequence[str]) -> dict[str, str]:
        """Try these layers in a box that is thrown away: what each let through. Raises SandboxError."""
        cell, process = await self._move_in(".probe", 0, names)
        try:
            return await cell.probed()
        finally:
            process.abandon()
            await self.evict(cell)

    async def _move_in(self, name: str, limit: int, probe: Sequence[str]) -> tuple[Cell, Process]:
        cell, far = Cell.prepare()
        process, of_state = Process.prepare(cell, limit)
        try:
            with far:
                message = {"op": "open", "box": name, "probe": list(probe)}
                reply = await self._ask(message, [*of_state, far.fileno()])
            if reply["error"] is not None:
                raise SandboxError(f"no new box: {reply['error']}")
            cell.init = reply["pid"]
            await cell.arrive()
        except BaseException:
            process.abandon()
            if cell.init:
                await self.evict(cell)
            else:
                cell.close()
            raise
        finally:
            close_all(of_state)
        return cell, process

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


def check_machine() -> None:
    """Raises ConfigError where the walls cannot be built at all: not Linux, or not x86-64."""
    why = kernel.supported()
    if why is not None:
        raise ConfigError(
            f"{why}, so model-written code cannot be closed off here: run sport in a Docker container, with --set"
            " sandbox.executor=docker, or - for the demo's own controller alone - with --set sandbox.executor=unsafe"
        )


def _make_room() -> None:
    """Allow this process as many descriptors as it may have: a box takes seven of them, a candidate four."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settings(home: Path, limits: SandboxSection, specs: Sequence[ToolSpec]) -> dict[str, Any]:
    return {
        "home": str(home),
        "libraries": list(limits.libraries),
        "without": list(limits.without),
        "memory_bytes": limits.memory_mb << 20,
        "file_bytes": limits.file_mb << 20,
        "disk_bytes": limits.disk_mb << 20,
        "disk_files": limits.disk_files,
        "open_files": limits.open_files,
        "threads": limits.threads,
        "specs": [spec.model_dump(mode="json") for spec in specs],
    }
