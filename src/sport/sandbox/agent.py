"""The far side of a remote sandbox: ``python -m sport.sandbox.agent`` runs a forking sandbox and answers on its pipes.

It stands where the code is to run, in a container say, and it is as far from the host as the code is: the host checks
what it says. Standard input and output carry :mod:`~sport.sandbox.link`; what anything here prints goes to standard
error.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import mimetypes
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox.base import Entry, Interpreter
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.link import Link
from sport.tools.base import Answered, FileBytes
from sport.types import File, ToolSpec

ENTRIES = TypeAdapter(list[Entry])


class Agent:
    """Serves one host until it hangs up. Every file of the run stays in its memory: replays need them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._numbers = itertools.count(1)
        self._states: dict[int, Interpreter] = {}
        self._blobs: dict[str, bytes] = {}
        self._new: dict[str, File] = {}
        self._asked: dict[int, asyncio.Future[Answered]] = {}

    async def serve(self) -> None:
        """The first message holds limits and tools; after it, each request runs by itself."""
        received = await self._link.receive()
        if received is None:
            return
        message, _ = received
        specs = [ToolSpec.model_validate(spec) for spec in message["specs"]]
        limits = SandboxSection.model_validate(message["limits"], strict=False)  # lists, in JSON
        self._sandbox = ForkedSandbox(specs=specs, call=self._call, put=self._put, read=self._read, limits=limits)
        try:
            await self._sandbox.start()
        except SandboxError as error:
            await self._link.send({"op": "ready", "error": str(error)})
            return
        layers = [[layer.name, layer.state, layer.reason] for layer in self._sandbox.layers]
        await self._link.send({"op": "ready", "error": None, "layers": layers})
        tasks: set[asyncio.Task[None]] = set()
        try:
            while (received := await self._link.receive()) is not None:
                task = asyncio.create_task(self._answer(*received))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._sandbox.stop()

    async def _answer(self, message: dict[str, Any], files: list[bytes]) -> None:
        for data in files:
            self._blobs[hashlib.sha256(data).hexdigest()] = data
        if message["op"] == "answered":
            made = {name: self._blobs[digest] for name, digest in message["files"].items()}
            answered = Answered(message["value"], made, message["error"], message["cached"], message["wall_s"])
            self._asked[message["call"]].set_result(answered)
            return
        try:
            reply = await self._do(message)
        except SandboxError as error:
            reply = {"error": str(error)}
        new, self._new = list(self._new.values()), {}
        told = {"op": "done", "id": message["id"], "error": None, **reply}
        told["new"] = [file.model_dump(mode="json") for file in new]
        await self._link.send(told, [self._blobs[file.sha256] for file in new])

    async def _do(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["op"]:
            case "open" | "restore":
                files = [File.model_validate(file) for file in message["files"]]
                journal = ENTRIES.validate_python(message["journal"])
                opening = self._sandbox.restore if message["op"] == "restore" else None
                box = message["box"]
                state = await opening(box, files, journal) if opening else await self._sandbox.open(box, files)
                return {"state": self._keep(state)}
            case "fork":
                return {"state": self._keep(await self._states[message["state"]].fork())}
            case "run":
                seen = await self._states[message["state"]].run(message["code"], message["seed"])
                return {"seen": seen.model_dump(mode="json")}
            case _:
                await self._states.pop(message["state"]).close()
                return {}

    def _keep(self, state: Interpreter) -> int:
        number = next(self._numbers)
        self._states[number] = state
        return number

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        number = next(self._numbers)
        files: list[bytes] = []
        plain: dict[str, Any] = {}
        for key, value in arguments.items():
            if isinstance(value, FileBytes):
                plain[key] = {"file": len(files), "media_type": value.media_type}
                files.append(value.data)
            else:
                plain[key] = {"value": value}
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._link.send({"op": "call", "call": number, "name": name, "arguments": plain}, files)
            return await self._asked[number]
        finally:
            del self._asked[number]

    def _put(self, name: str, data: bytes) -> File:
        digest = hashlib.sha256(data).hexdigest()
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        file = File(name=name, sha256=digest, size=len(data), media_type=media_type)
        self._blobs[digest] = data
        self._new[f"{name} {digest}"] = file
        return file

    def _read(self, file: File) -> bytes:
        return self._blobs[file.sha256]


async def main(arguments: Sequence[str]) -> None:
    """Take standard input and output for the link, and let nothing else write there."""
    near, out = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(near, "rb"))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(out, "wb"))
    await Agent(Link(reader, asyncio.StreamWriter(transport, protocol, None, loop))).serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
