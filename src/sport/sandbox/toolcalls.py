"""Host: what happens between a stub inside and the one callable that runs tools - or the journal that replaces it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from sport.errors import SandboxError, ToolError
from sport.sandbox import frames, reach, workdir
from sport.sandbox.workdir import CAPS, Caps, Place, TreeTooLarge
from sport.tools.base import Answered, CallTool, FileBytes
from sport.types import CallRecord, File, ReadFile, ToolCall, ToolResult, ToolSpec

SENT = ".tmp/"  # where the inside puts what it makes for a tool; the name alone is for people
_TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
}  # fmt: skip
MAX_ERROR = 1 << 15  # characters; any of them fit into a frame

PutFile = Callable[[str, bytes], File]
"""``put(name, data)``: store bytes; the file, with its hash and media type."""


@dataclass(frozen=True)
class Request:
    """A call that may be made: as it is recorded, and with file arguments as bytes for the tool."""

    call: ToolCall
    arguments: Mapping[str, Any]


class Answers(Protocol):
    """Where a running step's tool answers come from."""

    async def answer(self, request: Request, place: Place) -> CallRecord:
        """The result, with its new files already written into the directory, which lies aside."""
        ...


class Desk:
    """Checks what comes over the wall and fetches files for it. It trusts nothing that the inside says."""

    def __init__(self, specs: Sequence[ToolSpec], call: CallTool, put: PutFile, read: ReadFile) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self.call = call
        self.put = put
        self.read = read

    def admit(self, message: Mapping[str, Any], directory: Path, caps: Caps = CAPS) -> Request:
        """Turn a ``call`` frame into a request; file names become the bytes that lie in ``directory``.

        Raises:
            ToolError: no such tool or parameter, or no such file; the code inside sees it, and it is not recorded.
        """
        spec = self._specs.get(str(message.get("name")))
        given = message.get("arguments")
        if spec is None or not isinstance(given, dict):
            raise ToolError(f"no such tool: {message.get('name')!r}")
        kinds = {parameter.name: parameter.type for parameter in spec.parameters}
        missing = [one.name for one in spec.parameters if one.required and one.name not in given]
        if missing:
            raise ToolError(f"{spec.name}: missing argument {missing[0]!r}")
        recorded: dict[str, Any] = {}
        passed: dict[str, Any] = {}
        for name, value in given.items():
            if name not in kinds:
                raise ToolError(f"{spec.name}: unknown argument {name!r}")
            if kinds[name] == "file" and value is not None:
                file, data = self._fetch(spec.name, value, directory, caps)
                recorded[name] = {"file": file.sha256, "name": file.name}
                passed[name] = FileBytes(data, file.media_type)
            else:
                if not _fits(value, spec, name):
                    raise ToolError(f"{spec.name}: argument {name!r} must be of type {kinds[name]}")
                recorded[name] = passed[name] = clean_json(value)
        return Request(ToolCall(name=spec.name, arguments=recorded), passed)

    def _fetch(self, tool: str, name: Any, directory: Path, caps: Caps) -> tuple[File, bytes]:
        if not isinstance(name, str):
            raise ToolError(f"{tool}: a file is given by its name")
        name = _clean_text(name)
        try:
            data = reach.read_inside(directory, name, caps.file_bytes)
        except FileNotFoundError as error:
            there = ", ".join(_some_names(directory, caps)) or "no files"
            raise ToolError(f"{tool}: no file {name!r}; the working directory holds: {there}") from error
        except (OSError, ValueError) as error:
            raise ToolError(f"{tool}: {name!r} cannot be read; give a file inside the working directory") from error
        return self.put(PurePosixPath(name).name if name.startswith(SENT) else name, data), data


def _fits(value: Any, spec: ToolSpec, name: str) -> bool:
    """Whether a value that says it was checked inside is what a parameter takes."""
    parameter = next(one for one in spec.parameters if one.name == name)
    if value is None and not parameter.required and parameter.default is None:
        return True
    wanted = _TYPES.get(parameter.type, object)
    return isinstance(value, wanted) and not (isinstance(value, bool) and parameter.type in ("integer", "number"))


def _some_names(directory: Path, caps: Caps) -> list[str]:
    """What lies in a directory, as far as it may be told."""
    try:
        found = workdir.list_files(directory, caps)
    except (TreeTooLarge, OSError):
        return ["more than can be told"]
    return [name for name in sorted(found) if workdir.is_shown(name)][: workdir.MAX_SHOWN]


class Live:
    """Answers by calling the tools, each within ``deadline_s`` seconds."""

    def __init__(self, desk: Desk, deadline_s: float) -> None:
        self._desk = desk
        self._deadline_s = deadline_s

    async def answer(self, request: Request, place: Place) -> CallRecord:
        """Call the tool and bring its files in under free names."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._deadline_s):
                answered = await self._desk.call(request.call.name, request.arguments)
        except TimeoutError:
            answered = Answered(error=f"{request.call.name}() gave no answer within {self._deadline_s:g} s")
        return CallRecord(call=request.call, result=self._result(answered, place, time.monotonic() - started))

    def _result(self, answered: Answered, place: Place, wall_s: float) -> ToolResult:
        wall_s = answered.wall_s or wall_s
        if answered.error is not None:
            return ToolResult(error=answered.error[:MAX_ERROR], cached=answered.cached, wall_s=wall_s)
        try:
            frames.encode({"value": answered.value, "files": list(answered.files)})
            files = tuple(self._bring(place, name, data) for name, data in answered.files.items())
        except (frames.FrameError, OSError) as error:
            return ToolResult(error=f"the tool's result cannot be handed over ({error})", wall_s=wall_s)
        return ToolResult(value=answered.value, files=files, cached=answered.cached, wall_s=wall_s)

    def _bring(self, place: Place, name: str, data: bytes) -> File:
        free = reach.write_new(place.aside, name, data)
        place.own(place.aside / free)
        return self._desk.put(free, data)


class Tape:
    """Answers from a journal, in its order, and calls nothing."""

    def __init__(self, desk: Desk, records: Sequence[CallRecord]) -> None:
        self._desk = desk
        self._records: Iterator[CallRecord] = iter(records)

    async def answer(self, request: Request, place: Place) -> CallRecord:
        """The next record. Raises SandboxError when another tool was called than then."""
        record = next(self._records, None)
        if record is None or record.call.name != request.call.name:
            expected = "no call" if record is None else record.call.name
            raise SandboxError(f"replay diverged: the journal has {expected} where the code called {request.call.name}")
        for file in record.result.files:
            place.own(reach.place_file(place.aside, file.name, self._desk.read(file)))
        return record

    def finish(self) -> None:
        """Raises SandboxError when the journal has calls that were not made again."""
        record = next(self._records, None)
        if record is not None:
            raise SandboxError(f"replay diverged: the code did not call {record.call.name} again")


def clean_json(value: Any) -> Any:
    """A JSON value that UTF-8 can hold: lone surrogates become question marks."""
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {_clean_text(key): clean_json(item) for key, item in value.items()}
    return value


def _clean_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
