"""Host: one run of one piece of code, from its turn on the path to its observation."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sport.config import SandboxSection
from sport.errors import ToolError
from sport.sandbox import frames, reach, workdir
from sport.sandbox.observe import Output, Reading
from sport.sandbox.toolcalls import Answers, Desk, Request
from sport.sandbox.turn import Turn
from sport.types import CallRecord, File, Observation

WATCH_S = 0.25  # between two looks at what the code uses


class Step:
    """One run of one piece of code: the turn on the path, the clock, the tool calls, the end."""

    def __init__(
        self,
        turn: Turn,
        answers: Answers,
        desk: Desk,
        limits: SandboxSection,
        notes: Sequence[str] = (),
    ) -> None:
        self._turn = turn
        self._place = turn.place
        self._process = turn.process
        self._answers = answers
        self._desk = desk
        self._limits = limits
        self._caps = workdir.caps(limits)
        self._reading = Reading(limits.output_bytes, turn.place.seen)
        self._reading.note(*notes)
        self._left = limits.wall_s  # what remains of the time limit; waits for tools and turns are free
        self._calls: list[CallRecord] = []
        self._asked = 0
        self._too_large: str | None = None
        self._spent = False  # more time of the processors than one thread has in the time limit
        self._cpu_before = self._cpu_now = 0.0
        self.lost = False

    async def run(self, code: str, seed: int) -> Observation:
        """Take the turn, run, look at what came of it, give the turn up."""
        number = secrets.token_hex(8)  # what an earlier step wrote ahead cannot pass for this one's end
        request = {"op": "run", "id": number, "code": code, "seed": seed}
        try:
            frames.encode(request)
        except frames.FrameError as error:
            return Observation(outcome="refused", error=f"the code was not run: {error}")
        self._process.out.start()
        self._process.err.start()
        try:
            await self._turn.take()
            self._cpu_before = self._cpu_now = self._process.cpu_s() or 0.0
            before = workdir.list_files(self._place.work, self._caps)
            message = await self._converse(request, number)
            return await self._observe(message, before)
        finally:
            self._output()
            self._turn.leave()

    # -------------------------------------------------------------------------------------- conversation

    async def _converse(self, message: dict[str, Any], number: str) -> dict[str, Any] | str:
        """Send, then serve tool calls until the step is done: its message, or how the process ended."""
        try:
            while True:
                reply = await self._exchange(message)
                if reply is None:
                    return "died"
                if reply.get("op") == "done" and reply.get("id") == number:
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
                with self._watched():
                    return await self._process.channel.receive()
        except ConnectionError:
            return None
        finally:
            self._left -= time.monotonic() - started

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Now and then, see what the code uses; the process ends where its directory or its threads take too much.

        Many threads must not take more of the processors than one does in the time limit. Linux's own limit of CPU
        time counts a process's whole life, of which a state has many steps, so that it is counted here.
        """
        self._watch_later()
        try:
            yield
        finally:
            self._next_look.cancel()

    def _watch_later(self) -> None:
        self._next_look = asyncio.get_running_loop().call_later(WATCH_S, self._watch)

    def _watch(self) -> None:
        self._spent = self._cpu_s() > self._limits.wall_s
        with suppress(OSError):  # it changed while it was read: the next look sees more
            try:
                workdir.list_files(self._place.work, self._caps)
            except workdir.TreeTooLarge as error:
                self._too_large = str(error)
        if self._spent or self._too_large is not None:
            self._process.signal(signal.SIGKILL)
        else:
            self._watch_later()

    async def _serve(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer one tool call; while it waits, the process stands still and the path is another's."""
        self._asked += 1
        try:
            if self._asked > self._limits.calls:
                raise ToolError(f"no more tool calls: a step may make {self._limits.calls}")
            request = self._desk.admit(message, self._place.work, self._caps)
        except ToolError as error:
            return {"error": str(error), "value": None, "files": []}
        record = await self._away(request)
        self._calls.append(record)
        result = record.result
        return {"error": result.error, "value": result.value, "files": [file.name for file in result.files]}

    async def _away(self, request: Request) -> CallRecord:
        self._turn.leave()
        record = await self._answers.answer(request, self._place)
        await self._turn.take()
        return record

    # ------------------------------------------------------------------------------------------- the end

    async def _observe(self, message: dict[str, Any] | str, before: workdir.Listing) -> Observation:
        wall_s = self._limits.wall_s - self._left
        calls = tuple(self._calls)
        if isinstance(message, dict):
            try:
                files = self._new_files(before)
                return self._reading.done(message, self._output(), calls, files, wall_s)
            except workdir.TreeTooLarge as error:
                self._too_large = str(error)
            except OSError as error:
                message = f"the working directory cannot be read ({error.strerror})"
        self.lost = True
        cpu_s = self._cpu_s()
        how = await self._process.kill()
        if message == "timeout" or self._spent:
            whose = " of processor time, all its threads counted" if self._spent else ""
            text = f"timeout: the code was stopped after {self._limits.wall_s:g} s{whose}"
            return self._reading.ended("timeout", text, self._output(), calls, wall_s, cpu_s)
        if self._too_large is not None:
            message = f"the working directory holds {self._too_large}"
        text = f"the process died: {how if message == 'died' else message}"
        return self._reading.ended("died", text, self._output(), calls, wall_s, cpu_s)

    def _cpu_s(self) -> float:
        """Seconds of processor time of this step, as the kernel said last."""
        self._cpu_now = max(self._cpu_now, self._process.cpu_s() or 0.0)
        return self._cpu_now - self._cpu_before

    def _new_files(self, before: workdir.Listing) -> tuple[File, ...]:
        after = workdir.list_files(self._place.work, self._caps)
        names, notes = workdir.outputs(before, after, self._caps)
        self._reading.note(*notes)
        read = reach.read_inside
        return tuple(self._desk.put(name, read(self._place.work, name, self._caps.file_bytes)) for name in names)

    def _output(self) -> tuple[Output, Output]:
        return self._process.out.stop(), self._process.err.stop()
