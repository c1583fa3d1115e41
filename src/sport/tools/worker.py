"""The process that runs tools: ``python -m sport.tools.worker FD MEMORY_MB``. Hostile files are parsed here.

It answers one frame after another on an inherited socket: ``make`` imports a tool and builds it, ``call`` runs it. It
has an empty environment, no more private memory than its limit (RLIMIT_DATA: allocations fail), writes no large file,
and dies with the driver, even one that was killed: by a signal (Linux), or when the socket closes.

Not covered: a worker sees the host's files and network as its user does. Mapped shared memory is not counted.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from sport.errors import ToolError
from sport.tools import frames, guard
from sport.tools.base import FileBytes, Tool, ToolOutput
from sport.tools.entry import load

VALUE_LIMIT = 512 << 10  # bytes of JSON that one call may return: it has to pass through the sandbox's channel
WRITE_LIMIT = 64 << 20  # bytes per file that a worker may write
PR_SET_PDEATHSIG = 1


def main(descriptor: int, memory_mb: int) -> None:
    """Serve until the driver closes the socket."""
    _die_with_the_driver()
    _limit(memory_mb)
    os.set_inheritable(descriptor, False)
    tools: dict[str, Tool] = {}
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rb", buffering=1 << 16) as stream:
        while True:
            try:
                head, blobs = frames.receive_blocking(cast(BinaryIO, stream))
            except EOFError:
                return
            channel.sendall(_answer(tools, head, blobs))


def _answer(tools: dict[str, Tool], head: frames.Head, blobs: list[bytes]) -> bytes:
    """The frame that answers one request. ``said`` is a tool's own refusal, ``failed`` is anything else."""
    try:
        if head["do"] == "make":
            tools[head["tool"]] = load(head["factory"])(**head["options"])
            return frames.encode({"value": None, "files": []})
        return _called(tools[head["tool"]].call(**_arguments(head, blobs)))
    except ToolError as error:
        return frames.encode({"said": str(error)})
    except MemoryError:
        return frames.encode({"failed": "it ran out of memory", "unwell": True})
    except Exception as error:  # a tool is foreign code: whatever it raises is its answer, and the worker lives on
        return frames.encode({"failed": f"{type(error).__name__}: {error}"})


def _arguments(head: frames.Head, blobs: list[bytes]) -> dict[str, Any]:
    arguments: dict[str, Any] = head["arguments"]
    for (name, media_type), data in zip(head["files"], blobs, strict=True):
        file = FileBytes(data, media_type)
        guard.check(file)
        arguments[name] = file
    return arguments


def _called(result: Any) -> bytes:
    output = result if isinstance(result, ToolOutput) else ToolOutput(value=result)
    try:
        size = len(json.dumps(output.value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f"the result is not plain data ({error})") from error
    if size > VALUE_LIMIT:
        raise ToolError(f"the result has {size} bytes of JSON; at most {VALUE_LIMIT} can be returned")
    files: Mapping[str, bytes] = output.files
    return frames.encode({"value": output.value, "files": list(files)}, list(files.values()))


def _limit(memory_mb: int) -> None:
    for kind, limit in (
        (resource.RLIMIT_DATA, memory_mb << 20),
        (resource.RLIMIT_FSIZE, WRITE_LIMIT),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit, limit) if hard == resource.RLIM_INFINITY else (min(limit, hard), hard))


def _die_with_the_driver() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
