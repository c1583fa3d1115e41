"""Programs of tools, each in a closed box of its own: no files, no tools, nothing left of the one before."""

from __future__ import annotations

import itertools

from sport.errors import SandboxError, boundary
from sport.sandbox.base import Sandbox
from sport.tools.gta.base import Ran
from sport.types import ReadFile


class Boxes:
    """Runs programs in fresh states of a sandbox: a :class:`~sport.tools.gta.base.Computer`.

    Args:
        sandbox: without tools; nobody else uses it.
        read: bytes of the files that programs make.
    """

    def __init__(self, sandbox: Sandbox, read: ReadFile) -> None:
        self._sandbox = sandbox
        self._read = read
        self._numbers = itertools.count()

    async def start(self) -> None:
        """Boot. Raises SandboxError."""
        await self._sandbox.start()

    async def stop(self) -> None:
        """Close everything."""
        await self._sandbox.stop()

    async def run(self, program: str) -> Ran:
        """What came of it; a sandbox that breaks is an error of this program alone."""
        with boundary("tool", SandboxError) as caught:
            state = await self._sandbox.open(f"tool-{next(self._numbers)}", ())
            try:
                seen = await state.run(program, 0)
            finally:
                await state.close()
            files = {file.name: self._read(file) for file in seen.files}
            return Ran(seen.value, files, None if seen.outcome == "ok" else seen.error or seen.outcome)
        assert caught.failure is not None
        return Ran(error=caught.failure.message)
