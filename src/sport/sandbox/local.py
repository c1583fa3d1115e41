"""The sandbox on its own: functions as tools, files from disk, nothing of a run around it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from sport.blobs import Blobs
from sport.config import SandboxSection
from sport.errors import InputError
from sport.sandbox.base import Entry
from sport.sandbox.box import FilesError
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.functions import Functions
from sport.sandbox.interpreter import ForkedInterpreter
from sport.sandbox.reach import place_file
from sport.types import File, Observation


class LocalSandbox:
    """A sandbox to be used with ``async with``.

    Args:
        tools: functions that code inside may call (see :class:`~sport.sandbox.functions.Functions`).
        folder: where the bytes of files are kept, by their hash; it is needed to restore a state in another process of
            the host. Without one they go when the block ends.
        limits: of every step.

    Raises:
        ConfigError: a tool that cannot be called by its name, or whose parameters cannot be described.
    """

    def __init__(
        self,
        tools: Sequence[Callable[..., Any]] = (),
        *,
        folder: Path | None = None,
        limits: SandboxSection | None = None,
    ) -> None:
        self._functions = Functions(tools)
        self._folder = folder
        self._limits = limits or SandboxSection()

    async def __aenter__(self) -> LocalSandbox:
        """Boot it. Raises ConfigError, SandboxError."""
        async with AsyncExitStack() as stack:
            folder = self._folder
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sport-files-")))
            self._files = Blobs(folder)
            self._inner = ForkedSandbox(
                specs=self._functions.specs,
                call=self._functions.call,
                put=self._files.put,
                read=self._files.read,
                limits=self._limits,
            )
            await self._inner.start()
            stack.push_async_callback(self._inner.stop)
            self._held = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything that lives in it."""
        await self._held.aclose()

    async def open(self, name: str = "box", files: Iterable[Path] = ()) -> ForkedInterpreter:
        """A fresh state with copies of ``files`` in its working directory, read-only.

        Raises:
            InputError: a file cannot be read, or they do not fit into the directory.
            SandboxError: a state of that name is open.
        """
        with _fitting():
            return await self._inner.open(name, self._taken_in(files))

    async def restore(self, name: str, files: Iterable[Path], journal: Sequence[Entry]) -> ForkedInterpreter:
        """A state rebuilt from ``state.journal``; no tool is called again. Raises as :meth:`open`."""
        with _fitting():
            return await self._inner.restore(name, self._taken_in(files), journal)

    def read(self, file: File) -> bytes:
        """The bytes of a file that an observation names."""
        return self._files.read(file)

    def _taken_in(self, paths: Iterable[Path]) -> list[File]:
        try:
            return [self._files.put(path.name, path.read_bytes()) for path in paths]
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error


@contextmanager
def _fitting() -> Iterator[None]:
    """Here the files are the user's own, who can mend it."""
    try:
        yield
    except FilesError as error:
        raise InputError(str(error)) from error


async def run_program(program: Path, files: Iterable[Path], limits: SandboxSection, out: Path | None) -> Observation:
    """Run one program in a box of its own, and copy the files that it makes into ``out``.

    Raises:
        InputError: the program or a file cannot be read, or ``out`` cannot be written.
        ConfigError, SandboxError: there is no sandbox on this machine, or it broke.
    """
    try:
        code = program.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{program}: cannot be read as a Python program ({error})") from error
    async with LocalSandbox(limits=limits) as sandbox:
        state = await sandbox.open(program.stem, files)
        seen = await state.run(code)
        if out is not None:
            try:
                for file in seen.files:
                    place_file(out, file.name, sandbox.read(file))
            except OSError as error:
                raise InputError(f"{out}: cannot be written ({error}); name another directory with --out") from error
    return seen
