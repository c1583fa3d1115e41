"""The live state of one trajectory: tried out in futures, continued by one of them, rebuilt from its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType

from sport.agent.running import each
from sport.errors import SandboxError, boundary
from sport.sandbox.base import Entry, Interpreter, Sandbox
from sport.types import Candidate, File, Observation

_LASTING = frozenset({"ok", "error", "refused"})


def entry(candidate: Candidate, seed: int) -> Entry | None:
    """What the journal keeps of a chosen candidate; None when it left no effects.

    Code that timed out or died took its process, and so all it had done, with it: the state after it is the state
    before it. Text that could not be parsed never ran.
    """
    seen = candidate.observation
    if candidate.action.code is None or seen is None or seen.outcome not in _LASTING:
        return None
    return Entry.of(candidate.action.code, seed, seen)


class State:
    """An interpreter in ``box``, opened or rebuilt when it is first needed, and closed with all its futures.

    Used as ``async with State(...) as state``. Every method may raise SandboxError; :meth:`rewind` mends what can be
    mended.
    """

    def __init__(self, sandbox: Sandbox, box: str, files: Sequence[File], journal: Iterable[Entry] = ()) -> None:
        self._sandbox = sandbox
        self._box = box
        self._files = files
        self._journal = list(journal)
        self._live: Interpreter | None = None
        self._futures: dict[int, Interpreter] = {}

    async def __aenter__(self) -> State:
        """Nothing is opened yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        await self.rewind()

    async def try_out(self, codes: Mapping[int, str], seed: int, ran: Callable[[int, Observation], None]) -> None:
        """Run every code in a future of its own, all at once; ``ran(index, observation)`` as each one ends.

        Where one breaks, the others still come to their ends before the error is raised.
        """

        async def one(index: int, code: str) -> None:
            future = self._futures[index] = await state.fork()
            ran(index, await future.run(code, seed))

        if codes:
            state = await self._alive()
            await each(one(index, code) for index, code in codes.items())

    async def go(self, index: int, code: str, seed: int, ran: Callable[[int, Observation], None]) -> None:
        """Run the only code on the state itself: no fork, for there is nothing to compare it with."""
        state = await self._alive()
        self._futures[index], self._live = state, None
        ran(index, await state.run(code, seed))

    async def follow(self, index: int, line: Entry | None) -> None:
        """Go on with future ``index``; let the others go. ``line`` is its journal entry, see :func:`entry`.

        A future that is not there (it ran before a restart) is rebuilt by replay when the state is next needed.
        """
        winner = self._futures.pop(index, None)
        if line is None:
            gone = [winner]
        else:
            self._journal.append(line)
            gone, self._live = [self._live], winner
        gone += self._futures.values()
        self._futures.clear()
        await _close(gone)

    async def rewind(self) -> None:
        """Let go of everything that lives; what comes next starts from the journal.

        What cannot even be let go died with the sandbox, which the next state will find out.
        """
        gone = [*self._futures.values(), self._live]
        self._futures.clear()
        self._live = None
        with boundary("state.rewind", SandboxError):
            await _close(gone)

    async def _alive(self) -> Interpreter:
        if self._live is None and self._journal:
            self._live = await self._sandbox.restore(self._box, self._files, self._journal)
        elif self._live is None:
            self._live = await self._sandbox.open(self._box, self._files)
        return self._live


async def _close(interpreters: Iterable[Interpreter | None]) -> None:
    await each(interpreter.close() for interpreter in interpreters if interpreter is not None)
