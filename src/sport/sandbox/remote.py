"""A sandbox that runs elsewhere: a program is started, and an :mod:`~sport.sandbox.agent` answers on its pipes.

States fork, run and end over there; tools run here, and files are stored here. Nothing that the other side says is
believed: observations are validated, files are hashed anew, and tool calls go through the same checks as all others.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox.agent import ENTRIES
from sport.sandbox.base import Entry
from sport.sandbox.frames import FrameError
from sport.sandbox.layers.report import Layer
from sport.sandbox.link import Link
from sport.sandbox.toolcalls import PutFile
from sport.tools.base import Answered, CallTool, FileBytes
from sport.types import File, Observation, ReadFile, ToolSpec

START_S = 180.0  # a container on a cold disk, and its imports
STOP_S = 20.0
SAID_LINES = 20  # of standard error, kept for messages


class RemoteSandbox:
    """A :class:`~sport.sandbox.base.Sandbox` behind ``command``, a program that runs the agent.

    ``layers`` is what the other side says of its walls, once started. Not covered: a time limit of its own; the agent
    keeps those of ``limits``, and an agent that hangs holds its steps up until :meth:`stop`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        specs: Sequence[ToolSpec] = (),
        call: CallTool,
        put: PutFile,
        read: ReadFile,
        limits: SandboxSection,
    ) -> None:
        self.limits = limits
        self.layers: tuple[Layer, ...] = ()
        self._command = list(command)
        self._specs = {spec.name: spec for spec in specs}
        self._call = call
        self._put = put
        self._read = read
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[dict[str, Any], list[bytes]]]] = {}
        self._said: deque[str] = deque(maxlen=SAID_LINES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the program and wait until its sandbox has booted. Raises SandboxError with what it said."""
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise SandboxError(f"{self._command[0]} cannot be started: {error}") from error
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._process = process
        self._link = Link(process.stdout, process.stdin)
        self._begin(self._overhear(process.stderr))
        specs = [spec.model_dump(mode="json") for spec in self._specs.values()]
        try:
            await self._link.send({"limits": self.limits.model_dump(mode="json"), "specs": specs})
            received = await asyncio.wait_for(self._link.receive(), START_S)
        except (TimeoutError, ConnectionError, FrameError):
            received = None
        if received is None or received[0].get("error") is not None:
            why = received[0]["error"] if received else "no word from it"
            await self.stop()
            raise SandboxError(f"the remote sandbox did not start: {why} {' '.join(self._said)}".strip())
        self.layers = tuple(Layer(*map(str, words)) for words in received[0].get("layers", []))  # type: ignore[arg-type]
        self._begin(self._listen())

    async def open(self, box: str, files: Sequence[File] = ()) -> RemoteInterpreter:
        """A fresh state over there, with ``files``. Raises SandboxError."""
        return await self._opened("open", box, files, ())

    async def restore(self, box: str, files: Sequence[File], journal: Sequence[Entry]) -> RemoteInterpreter:
        """A state rebuilt over there; see :class:`~sport.sandbox.base.Sandbox`."""
        return await self._opened("restore", box, files, journal)

    async def stop(self) -> None:
        """Hang up, and kill the program where it does not end by itself."""
        if self._process is None:
            return
        process, self._process = self._process, None
        self._link.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, op: str, sent: Sequence[bytes] = (), **message: Any) -> dict[str, Any]:
        """Send a request and wait for its answer; files that it brings are stored. Raises SandboxError."""
        if self._process is None:
            raise SandboxError("the sandbox is not running; call start() first")
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._link.send({"op": op, "id": number, **message}, sent)
            reply, brought = await self._waiting[number]
        except (ConnectionError, FrameError) as error:
            raise SandboxError(f"the remote sandbox is gone: {error}") from error
        finally:
            del self._waiting[number]
        self._store(reply, brought)
        if reply.get("error") is not None:
            raise SandboxError(str(reply["error"]))
        return reply

    def forget(self, number: int) -> None:
        """Close a state without waiting for it."""
        self._begin(self._link.send({"op": "close", "id": 0, "state": number}))

    # ------------------------------------------------------------------------------------------- details

    async def _opened(self, op: str, box: str, files: Sequence[File], journal: Sequence[Entry]) -> RemoteInterpreter:
        needed = {file.sha256: file for file in files}
        needed |= {file.sha256: file for entry in journal for c in entry.calls for file in c.result.files}
        told = [file.model_dump(mode="json") for file in files]
        lines = ENTRIES.dump_python(list(journal), mode="json")
        data = [self._read(file) for file in needed.values()]
        reply = await self.ask(op, data, box=box, files=told, journal=lines)
        return RemoteInterpreter(self, _number(reply))

    def _store(self, reply: dict[str, Any], brought: Sequence[bytes]) -> None:
        try:
            files = [File.model_validate(file) for file in reply.get("new", [])]
        except ValidationError as error:
            raise SandboxError("the remote sandbox describes files that are none") from error
        for file, data in zip(files, brought, strict=False):
            if hashlib.sha256(data).hexdigest() != file.sha256:
                raise SandboxError(f"the remote sandbox gave other bytes than those of {file.name!r}")
            self._put(file.name, data)

    async def _listen(self) -> None:
        try:
            while (received := await self._link.receive()) is not None:
                message, files = received
                if message.get("op") == "call":
                    self._begin(self._serve(message, files))
                elif (waiting := self._waiting.get(message.get("id", 0))) is not None and not waiting.done():
                    waiting.set_result((message, files))
        except FrameError as error:
            self._said.append(str(error))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(SandboxError(f"the remote sandbox is gone: {' '.join(self._said)}"))

    async def _serve(self, message: dict[str, Any], files: list[bytes]) -> None:
        try:
            arguments = {str(key): _argument(given, files) for key, given in message["arguments"].items()}
            answered = await self._call(str(message["name"]), arguments)
        except (KeyError, TypeError, IndexError, AttributeError):
            answered = Answered(error="not a tool call")
        made = {name: hashlib.sha256(data).hexdigest() for name, data in answered.files.items()}
        told = {"op": "answered", "call": message.get("call"), "value": answered.value, "files": made}
        told |= {"error": answered.error, "cached": answered.cached, "wall_s": answered.wall_s}
        await self._link.send(told, list(answered.files.values()))

    async def _overhear(self, stderr: asyncio.StreamReader) -> None:
        while line := await stderr.readline():
            self._said.append(line.decode("utf-8", "replace").rstrip())

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class RemoteInterpreter:
    """A state over there, by its number."""

    def __init__(self, sandbox: RemoteSandbox, number: int) -> None:
        self._sandbox = sandbox
        self._number = number
        self._closed = False

    async def run(self, code: str, seed: int = 0) -> Observation:
        """Run ``code``; see :class:`~sport.sandbox.base.Interpreter`."""
        if len(code.encode("utf-8", "replace")) > 1 << 20:
            return Observation(outcome="refused", error="the code was not run: it is longer than 1 MiB")
        try:
            reply = await self._ask("run", code=code, seed=seed)
        except asyncio.CancelledError:  # it may be in the middle of anything: nobody goes on from there
            self._closed = True
            self._sandbox.forget(self._number)
            raise
        try:
            return Observation.model_validate(reply.get("seen"))
        except ValidationError as error:
            raise SandboxError("the remote sandbox gave no observation") from error

    async def fork(self) -> RemoteInterpreter:
        """A future of this state; see :class:`~sport.sandbox.base.Interpreter`."""
        return RemoteInterpreter(self._sandbox, _number(await self._ask("fork")))

    async def close(self) -> None:
        """Let it go."""
        if not self._closed:
            await self._ask("close")
            self._closed = True

    async def _ask(self, op: str, **message: Any) -> dict[str, Any]:
        if self._closed:
            raise SandboxError("this state is gone; only close() is allowed")
        return await self._sandbox.ask(op, state=self._number, **message)


def _number(reply: dict[str, Any]) -> int:
    if not isinstance(number := reply.get("state"), int):
        raise SandboxError("the remote sandbox gave no state")
    return number


def _argument(given: dict[str, Any], files: list[bytes]) -> Any:
    return FileBytes(files[given["file"]], str(given["media_type"])) if "file" in given else given["value"]
