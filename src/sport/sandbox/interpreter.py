"""Host: one live state - it runs code, forks, and is rebuilt from its journal where a process cannot do that."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from sport.errors import SandboxError
from sport.sandbox import workdir
from sport.sandbox.base import Entry
from sport.sandbox.box import Box, House
from sport.sandbox.process import CannotForkError
from sport.sandbox.step import Step
from sport.sandbox.toolcalls import Answers, Live, Tape
from sport.sandbox.turn import Turn
from sport.types import File, Observation


class ForkedInterpreter:
    """One process and its directory. Runs and forks of one interpreter queue up; those of siblings do not.

    A process that has ended between two runs - killed for memory, or broken by what its own code did to it - is rebuilt
    from the journal when it is next needed.
    """

    def __init__(self, box: Box, turn: Turn, files: tuple[File, ...], journal: tuple[Entry, ...]) -> None:
        self._box = box
        self._turn = turn
        self._files = files
        self._journal = journal
        self._busy = asyncio.Lock()
        self._lost = self._closed = self._broken = False
        self._notes: tuple[str, ...] = ()
        box.interpreters.add(self)

    @property
    def pid(self) -> int:
        """The host's number for its process; 0 when that has ended."""
        return self._turn.process.pid

    @property
    def journal(self) -> tuple[Entry, ...]:
        """What ``restore`` needs to build this state again: every run so far."""
        return self._journal

    async def run(self, code: str, seed: int = 0) -> Observation:
        """Run ``code`` on this state; see :class:`~sport.sandbox.base.Interpreter`."""
        async with self._busy:
            await self._mend()
            house, notes = self._box.house, self._notes
            self._notes = ()
            observation = await self._step(code, seed, Live(house.desk, house.limits.call_s), notes)
            if not self._lost and observation.outcome != "refused":
                self._journal = (*self._journal, Entry.of(code, seed, observation))
            return observation

    async def fork(self) -> ForkedInterpreter:
        """A future of this state: a fork of its process - or a replay, where that has threads or cannot fork."""
        async with self._busy:
            await self._mend()
            if self._turn.process.can_fork and self._turn.process.threads() == 1:
                try:
                    return await self._fork()
                except CannotForkError as error:
                    self._broken = error.broken
            return await replayed(self._box.house, self._box.name, self._files, self._journal)

    async def close(self) -> None:
        """End the process and remove the directory."""
        if self._closed:
            return
        self._closed = self._lost = True
        self._turn.process.signal(signal.SIGKILL)
        async with self._busy:  # a run that is under way ends with the process
            await self._box.leave(self, self._turn)

    async def replay(self, entry: Entry) -> None:
        """Run a line of a journal again. Raises SandboxError when it goes another way than then."""
        tape = Tape(self._box.house.desk, entry.calls)
        observation = await self._step(entry.code, entry.seed, tape)
        if self._lost:
            raise SandboxError(f"replay diverged: {observation.error}")
        tape.finish()
        self._journal = (*self._journal, entry)
        if entry.digest is not None and Entry.of(entry.code, entry.seed, observation).digest != entry.digest:
            note = f"this state was rebuilt, and step {len(self._journal)} then led to another output than before"
            self._notes = (*self._notes, note)

    async def _step(self, code: str, seed: int, answers: Answers, notes: Sequence[str] = ()) -> Observation:
        self._check()
        step = Step(self._turn, answers, self._box.house.desk, self._box.house.limits, notes)
        try:
            observation = await step.run(code, seed)
            if observation.outcome == "died" and self._box.house.zygote.dead:
                raise SandboxError(f"box {self._box.name!r}: the whole sandbox died, and this code with it")
        except BaseException:  # cancelled, or broken: what the process holds now is nobody's state
            self._lost = True
            self._turn.process.signal(signal.SIGKILL)
            raise
        self._lost = step.lost or self._closed
        await self._box.sweep()
        return observation

    async def _fork(self) -> ForkedInterpreter:
        """Fork the process while a thread copies its directory; nothing changes there, for the process stands still."""
        mine, place = self._turn.place, self._box.place()
        copying = asyncio.create_task(asyncio.to_thread(workdir.copy_tree, mine.aside, place.aside))
        child: ForkedInterpreter | None = None
        try:
            async with self._box.forking:
                process = await self._turn.process.fork(self._box.house.limits.output_bytes)
                child = ForkedInterpreter(self._box, self._box.turn(place, process), self._files, self._journal)
            await asyncio.shield(copying)
            child._notes = self._notes
            return child
        except BaseException as error:
            # Cancelled while it forked: a late reply would be taken for another's.
            self._lost |= child is None and not isinstance(error, CannotForkError)
            await asyncio.wait([copying])
            await (child.close() if child else asyncio.to_thread(place.remove))
            if isinstance(error, OSError | workdir.TreeTooLarge):  # no room beside the others, or it cannot be read
                raise CannotForkError(f"the directory cannot be copied ({error})", broken=False) from error
            raise

    async def _mend(self) -> None:
        """Take another process, rebuilt from the journal, where this one has ended by itself."""
        self._check()
        if self._turn.process.alive and not self._broken:
            return
        again = await replayed(self._box.house, self._box.name, self._files, self._journal)
        for one in (self, again):
            one._box.interpreters.remove(one)
        (self._box, self._turn), (again._box, again._turn) = (again._box, again._turn), (self._box, self._turn)
        for one in (self, again):
            one._box.interpreters.add(one)
        self._notes, self._broken = again._notes, False
        await again.close()

    def _check(self) -> None:
        if self._lost:
            raise SandboxError(f"box {self._box.name!r}: this state is gone; only close() is allowed")


async def fresh(house: House, name: str, files: Sequence[File]) -> ForkedInterpreter:
    """The first state of a new box. Raises SandboxError."""
    box, turn = await house.box(name, files)
    return ForkedInterpreter(box, turn, tuple(files), ())


async def replayed(house: House, name: str, files: Sequence[File], journal: Sequence[Entry]) -> ForkedInterpreter:
    """The state of a new box, brought to the end of ``journal``. Raises SandboxError when the replay diverges."""
    interpreter = await fresh(house, name, files)
    try:
        for entry in journal:
            await interpreter.replay(entry)
    except BaseException:
        await interpreter.close()
        raise
    return interpreter
