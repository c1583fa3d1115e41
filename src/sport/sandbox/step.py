"""Host: one run of one piece of code, from its turn on the path to its observation."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

from sport.config import SandboxSection
from sport.errors import ToolError
from sport.sandbox import frames, workdir
from sport.sandbox.observe import Output, Reading
from sport.sandbox.process import Process
from sport.sandbox.toolcalls import Answers, Desk
from sport.types import CallRecord, File, Observation


class Step:
    """One run of one piece of code: the turn on the path, the clock, the tool calls, the end."""

    def __init__(
        self,
        path: asyncio.Lock,
        place: workdir.Place,
        process: Process,
        answers: Answers,
        desk: Desk,
        limits: SandboxSection,
    ) -> None:
        self._path = path
        self._place = place
        self._process = process
        self._answers = answers
        self._desk = desk
        self._limits = limits
        self._reading = Reading(limits.output_bytes, place.work)
        self._left = limits.wall_s  # what remains of the time limit; waits for tools and turns are free
        self._calls: list[CallRecord] = []
        self._holds_path = False
        self.lost = False
        self.threads = 1

    async def run(self, code: str, seed: int) -> Observation:
        """Take the turn, run, look at what came of it, give the turn up."""
        request = {"op": "run", "code": code, "seed": seed}
        try:
            frames.encode(request)
        except frames.FrameError as error:
            return Observation(outcome="refused", error=f"the code was not run: {error}")
        self._process.out.start()
        self._process.err.start()
        try:
            await self._take_path()
            before = workdir.list_files(self._place.work)
            message = await self._converse(request)
            return await self._observe(message, before)
        finally:
            self._output()
            self._leave_path()

    async def _converse(self, message: dict[str, Any]) -> dict[str, Any] | str:
        """Send, then serve tool calls until the step is done: its message, or how the process ended."""
        try:
            while True:
                reply = await self._exchange(message)
                if reply is None:
                    return "died"
                if reply.get("op") == "done":
                    return reply
                if reply.get("op") != "call":
                    return "spoke out of turn"
                message = await self._serve(reply)
        except TimeoutError:
            return "timeout"
        except frames.FrameError as error:
            return f"spoke out of turn ({error})"

    async def _exchange(self, message: dict[str, Any]) -> dict[str, Any] | None:
        started = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, self._left)):
                await self._process.channel.send(message)
                return await self._process.channel.receive()
        except ConnectionError:
            return None
        finally:
            self._left -= time.monotonic() - started

    async def _serve(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer one tool call; while it waits, the process stands still and the path is another's."""
        try:
            request = self._desk.admit(message, self._place.work)
        except ToolError as error:
            return {"error": str(error), "value": None, "files": []}
        self._process.signal(signal.SIGSTOP)
        self._leave_path()
        record = await self._answers.answer(request, self._place.aside)
        self._calls.append(record)
        await self._take_path()
        self._process.signal(signal.SIGCONT)
        result = record.result
        return {"error": result.error, "value": result.value, "files": [file.name for file in result.files]}

    async def _observe(self, message: dict[str, Any] | str, before: workdir.Listing) -> Observation:
        wall_s = self._limits.wall_s - self._left
        calls = tuple(self._calls)
        if isinstance(message, dict):
            threads = message.get("threads")
            self.threads = threads if isinstance(threads, int) else 1
            try:
                files = self._new_files(before)
                return self._reading.done(message, self._output(), calls, files, wall_s)
            except workdir.TreeTooLarge as error:
                message = f"the working directory holds {error}"
            except OSError as error:
                message = f"the working directory cannot be read ({error.strerror})"
        self.lost = True
        how = await self._process.kill()
        if message == "timeout":
            text = f"timeout: the code was stopped after {self._limits.wall_s:g} s"
            return self._reading.ended("timeout", text, self._output(), calls, wall_s)
        text = f"the process died: {how if message == 'died' else message}"
        return self._reading.ended("died", text, self._output(), calls, wall_s)

    def _new_files(self, before: workdir.Listing) -> tuple[File, ...]:
        names = workdir.new_files(before, workdir.list_files(self._place.work))
        return tuple(self._desk.put(name, workdir.read_inside(self._place.work, name)) for name in names)

    def _output(self) -> tuple[Output, Output]:
        return self._process.out.stop(), self._process.err.stop()

    async def _take_path(self) -> None:
        await self._path.acquire()
        self._holds_path = True
        self._place.take()

    def _leave_path(self) -> None:
        if self._holds_path:
            self._place.leave()
            self._holds_path = False
            self._path.release()
