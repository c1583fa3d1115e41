"""The sandbox that forks: a zygote, a box per trajectory, a process per candidate (SANDBOX.md, "Processes").

Isolated here: variables, imports, files of the working directory, offsets of open files, environment, current
directory, output. Limited here: wall-clock time, output and address space of a step. Not contained here: code that
attacks the host, the network, or files outside its directory; those walls are put up at the places marked WALL.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from sport.config import SandboxSection
from sport.errors import SandboxError, boundary
from sport.sandbox import workdir
from sport.sandbox.base import Entry
from sport.sandbox.launch import Zygote
from sport.sandbox.process import Process
from sport.sandbox.step import Step
from sport.sandbox.toolcalls import Answers, Desk, Live, PutFile, Tape
from sport.tools.base import CallTool
from sport.types import File, Observation, ReadFile, ToolSpec


class ForkedSandbox:
    """A :class:`~sport.sandbox.base.Sandbox` of forked processes. Linux only.

    ``root`` is a directory in which one named ``boxes`` is made; without it a private directory is. Either is removed
    at :meth:`stop`, and by the zygote when the host is killed. ``call`` runs tools, ``put`` stores bytes, ``read``
    gives them back.
    """

    def __init__(
        self,
        *,
        root: Path | None = None,
        specs: Sequence[ToolSpec] = (),
        call: CallTool,
        put: PutFile,
        read: ReadFile,
        limits: SandboxSection,
    ) -> None:
        self.limits = limits
        self.zygote = Zygote()
        self.desk = Desk(specs, call, put, read)
        self._specs = tuple(specs)
        self._root = root
        self._home: Path | None = None
        self._boxes: dict[str, _Box] = {}

    async def start(self) -> None:
        """Boot the zygote.

        Raises:
            SandboxError: it cannot import a library, or ``root`` holds the boxes of another run.
        """
        self._home = workdir.fresh_root() if self._root is None else workdir.own_root(self._root)
        try:
            await self.zygote.start(self._home, self.limits.libraries, self._specs, self.limits.memory_mb << 20)
        except SandboxError:
            self._remove_home()
            raise

    async def open(self, box: str, files: Sequence[File]) -> ForkedInterpreter:
        """A fresh state. Raises SandboxError when a box of that name is open, or a file's name leads out of it."""
        return await self._box(box).fresh(tuple(files))

    async def restore(self, box: str, files: Sequence[File], journal: Sequence[Entry]) -> ForkedInterpreter:
        """A state rebuilt by replay. Raises SandboxError when the replay diverges from the journal."""
        return await self._box(box).replayed(tuple(files), journal)

    async def stop(self) -> None:
        """Close every interpreter, end the zygote with all that came from it, and remove the directories."""
        for box in list(self._boxes.values()):
            for interpreter in list(box.interpreters):
                with boundary("sandbox.stop", SandboxError):  # a zygote that is gone took every process along
                    await interpreter.close()
        await self.zygote.stop()
        self._remove_home()

    def forget(self, box: _Box) -> None:
        """Remove a box that nobody holds any more."""
        if self._boxes.get(box.name) is box:
            del self._boxes[box.name]
            workdir.remove(box.directory)

    def _box(self, name: str) -> _Box:
        if self._home is None:
            raise SandboxError("the sandbox is not running; call start() first")
        if name in self._boxes:
            raise SandboxError(f"box {name!r} is open already; close its interpreters first")
        plain = re.sub(r"[^A-Za-z0-9_-]", "-", name)[:40]
        distinct = plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        directory = self._home / distinct
        directory.mkdir()
        self._boxes[name] = box = _Box(self, name, directory)
        return box

    def _remove_home(self) -> None:
        if self._home is None:
            return
        self._boxes.clear()
        workdir.remove(self._home)
        self._home = None


class _Box:
    """One trajectory's path, and the interpreters that take turns on it."""

    def __init__(self, sandbox: ForkedSandbox, name: str, directory: Path) -> None:
        self.sandbox = sandbox
        self.name = name
        self.directory = directory
        self.path = asyncio.Lock()
        self.interpreters: set[ForkedInterpreter] = set()
        self._places = 0

    def place(self) -> workdir.Place:
        """A directory that does not exist yet."""
        self._places += 1
        return workdir.Place(work=self.directory / "work", aside=self.directory / str(self._places))

    async def fresh(self, files: tuple[File, ...]) -> ForkedInterpreter:
        place = self.place()
        try:
            place.aside.mkdir()
            (place.aside / ".tmp").mkdir()
            for file in files:
                workdir.place_file(place.aside, file.name, self.sandbox.desk.read(file))
            process = await self.sandbox.zygote.open(place.work, self.sandbox.limits.output_bytes)
        except OSError as error:
            self.discard(place)
            raise SandboxError(f"box {self.name!r}: {error}") from error
        except BaseException:
            self.discard(place)
            raise
        return ForkedInterpreter(self, place, process, files, ())

    async def replayed(self, files: tuple[File, ...], journal: Sequence[Entry]) -> ForkedInterpreter:
        interpreter = await self.fresh(files)
        try:
            for entry in journal:
                await interpreter.replay(entry)
        except BaseException:
            await interpreter.close()
            raise
        return interpreter

    def discard(self, place: workdir.Place) -> None:
        """Remove a directory, and the box with the last of them."""
        place.remove()
        if not self.interpreters:
            self.sandbox.forget(self)


class ForkedInterpreter:
    """One process and its directory. Runs and forks of one interpreter queue up; those of siblings do not."""

    def __init__(
        self, box: _Box, place: workdir.Place, process: Process, files: tuple[File, ...], journal: tuple[Entry, ...]
    ) -> None:
        self._box = box
        self._place = place
        self._process = process
        self._files = files
        self._journal = journal
        self._busy = asyncio.Lock()
        self._lost = self._closed = False
        self._threads = 1
        box.interpreters.add(self)

    async def run(self, code: str, seed: int) -> Observation:
        """Run ``code`` on this state; see :class:`~sport.sandbox.base.Interpreter`."""
        return await self._run(code, seed, Live(self._box.sandbox.desk))

    async def replay(self, entry: Entry) -> None:
        """Run a line of a journal again. Raises SandboxError when it goes another way than then."""
        tape = Tape(self._box.sandbox.desk, entry.calls)
        observation = await self._run(entry.code, entry.seed, tape)
        if self._lost:
            raise SandboxError(f"replay diverged: {observation.error}")
        tape.finish()

    async def fork(self) -> ForkedInterpreter:
        """A future of this state: a fork of its process - or, where its code left threads running, a replay."""
        async with self._busy:
            self._check()
            if self._threads > 1:
                return await self._fork_by_replay()
            place = self._box.place()
            copying = asyncio.create_task(asyncio.to_thread(workdir.copy_tree, self._place.aside, place.aside))
            try:
                await asyncio.shield(copying)
                limit = self._box.sandbox.limits.output_bytes
                process = await self._process.fork(self._place.aside, place.aside, limit)
            except BaseException:  # cancelled, or broken: a late reply would be taken for another's
                self._lost = True
                await asyncio.wait([copying])
                place.remove()
                raise
            return ForkedInterpreter(self._box, place, process, self._files, self._journal)

    async def close(self) -> None:
        """End the process and remove the directory."""
        if self._closed:
            return
        self._closed = self._lost = True
        self._process.signal(signal.SIGKILL)
        async with self._busy:  # a run that is under way ends with the process
            try:
                await self._process.kill()
            finally:
                self._box.interpreters.remove(self)
                self._process.abandon()
                self._box.discard(self._place)

    async def _fork_by_replay(self) -> ForkedInterpreter:
        return await self._box.replayed(self._files, self._journal)

    async def _run(self, code: str, seed: int, answers: Answers) -> Observation:
        async with self._busy:
            self._check()
            sandbox = self._box.sandbox
            step = Step(self._box.path, self._place, self._process, answers, sandbox.desk, sandbox.limits)
            try:
                observation = await step.run(code, seed)
            except BaseException:  # cancelled, or broken: what the process holds now is nobody's state
                self._lost = True
                self._process.signal(signal.SIGKILL)
                raise
            self._lost = step.lost or self._closed
            self._threads = step.threads
            self._journal = (*self._journal, Entry(code=code, seed=seed, calls=observation.calls))
            return observation

    def _check(self) -> None:
        if self._lost:
            raise SandboxError(f"box {self._box.name!r}: this state is gone; only close() is allowed")
