"""Tools of MCP servers, by the official SDK: a server started here over stdio, or one that runs elsewhere over HTTP.

A connection belongs to a worker: it is opened with the first tool, shared by all of its server, and opened anew by
the call after one that lost it. Resources, prompts, sampling and elicitation are not offered to a server.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from sport.errors import ConfigError, ToolError
from sport.tools.base import FileBytes, ToolOutput
from sport.tools.describe import Described
from sport.tools.schema import parameter, python_name
from sport.types import Json, Parameter, ToolSpec

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Implementation, Tool

START_S = 60.0  # for a server to come up and say what it has
READ_S = 300.0  # of silence on a stream; the call's own deadline is the worker's
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "audio/wav": "wav"}


class McpTool:
    """One tool of a server.

    Args:
        server: ``command``, ``cwd``, ``url``, ``key_env`` and ``env`` of the configuration.
        tool: its name there.
        names: parameters whose names had to change, ours to theirs.
    """

    def __init__(self, server: Mapping[str, Json], tool: str, names: Mapping[str, str]) -> None:
        self._line = _line(json.dumps(server, sort_keys=True))
        self._line.open()
        self._tool = tool
        self._names = names

    def call(self, **arguments: Any) -> ToolOutput:
        """Call it; what was left out stays out. Raises ToolError when the tool itself says no."""
        given = {
            self._names.get(name, name): base64.b64encode(value.data).decode()
            if isinstance(value, FileBytes)
            else value
            for name, value in arguments.items()
            if value is not None
        }
        return _output(self._line.call(self._tool, given))


def describe(server: Mapping[str, Json]) -> list[Described]:
    """Everything that a server offers, in its order.

    Raises:
        ConfigError: it cannot be started or reached, or has no tools.
    """

    async def ask() -> tuple[list[Tool], Implementation | None]:
        async with asyncio.timeout(START_S), _client(server) as client:
            found, page = [], await client.list_tools()
            found += page.tools
            while page.next_cursor:
                page = await client.list_tools(cursor=page.next_cursor)
                found += page.tools
            return found, client.server_info

    try:
        tools, info = asyncio.run(ask())
    except BaseException as error:
        raise ConfigError(f"the server cannot be asked for its tools ({_leaf(error)})") from error
    if not tools:
        raise ConfigError("the server has no tools")
    version = f"{info.name}-{info.version}" if info is not None else ""
    return [_described(tool, version, str(server.get("prefix", ""))) for tool in tools]


def _described(tool: Tool, version: str, prefix: str) -> Described:
    schema: dict[str, Any] = tool.input_schema
    needed = schema.get("required", ())
    names: dict[str, Json] = {}
    parameters: list[Parameter] = []
    for theirs, one in schema.get("properties", {}).items():
        ours = python_name(theirs)
        names |= {ours: theirs} if ours != theirs else {}
        parameters.append(parameter(ours, one, required=theirs in needed, default=one.get("default")))
    digest = hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:12]
    spec = ToolSpec(
        name=prefix + python_name(tool.name),
        description=tool.description or tool.title or tool.name,
        parameters=tuple(parameters),
        version=f"{version}+{digest}",
    )
    said = tool.annotations
    lasting = bool(said and (said.read_only_hint or said.idempotent_hint))
    return Described(spec=spec, options={"tool": tool.name, "names": names}, cache=lasting)


class Line:
    """One connection, held by a thread with an event loop. It is opened when it is needed."""

    def __init__(self, server: Mapping[str, Json]) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def open(self) -> None:
        """Connect, unless it is. Raises RuntimeError, or TimeoutError."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """The server's result. Raises RuntimeError when the connection is lost; the next call opens another."""
        return asyncio.run_coroutine_threadsafe(self._call(tool, arguments), self._loop).result()

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        await self._open()
        assert self._task is not None and self._client is not None
        asking = asyncio.ensure_future(self._client.call_tool(tool, dict(arguments)))
        await asyncio.wait({asking, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            asking.cancel()
        elif asking.exception() is None:
            return asking.result()
        else:
            error = asking.exception()
            assert error is not None
            if not _is_lost(error):
                raise ToolError(_leaf(error)) from error
            self._task.cancel()
        await asyncio.wait({self._task})
        self._task = None
        raise RuntimeError("the MCP server is gone; the next call starts it again")

    async def _open(self) -> None:
        if self._task is not None and not self._task.done():
            return
        ready: asyncio.Future[Client] = self._loop.create_future()

        async def hold() -> None:
            """Enter and leave in one task, as the SDK wants it."""
            try:
                async with _client(self._server) as client:
                    ready.set_result(client)
                    await asyncio.Event().wait()
            except Exception as error:  # whatever ended it, whoever waits is told
                if not ready.done():
                    ready.set_exception(RuntimeError(f"the MCP server cannot be reached ({_leaf(error)})"))

        self._task = asyncio.create_task(hold())
        async with asyncio.timeout(START_S):
            self._client = await ready


@cache
def _line(server: str) -> Line:
    """One a server and process."""
    return Line(json.loads(server))


def _client(server: Mapping[str, Json]) -> Client:
    import mcp

    if server["url"]:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        key = os.environ.get(str(server["key_env"]), "") if server["key_env"] else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        client = httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(START_S, read=READ_S))
        return mcp.Client(streamable_http_client(server["url"], http_client=client))
    from mcp.client.stdio import stdio_client

    names = ["PYTHONPATH", *server["env"]]
    parameters = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-P", "-s", "-m", "sport.tools.leash", *server["command"]],
        env={name: os.environ[name] for name in names if name in os.environ},
        cwd=server["cwd"],
    )
    return mcp.Client(stdio_client(parameters))


def _output(result: CallToolResult) -> ToolOutput:
    texts, files = [], {}
    for number, block in enumerate(result.content, 1):
        if block.type == "text":
            texts.append(block.text)
        elif block.type in ("image", "audio"):
            files[f"{block.type}_{number}.{ENDINGS.get(block.mime_type, 'bin')}"] = base64.b64decode(block.data)
        elif block.type == "resource":
            text = getattr(block.resource, "text", None)
            if text is not None:
                texts.append(text)
            else:
                files[f"resource_{number}.bin"] = base64.b64decode(getattr(block.resource, "blob", ""))
        else:
            texts.append(str(getattr(block, "uri", block.type)))
    if result.is_error:
        raise ToolError("\n".join(texts) or "the server says that it failed")
    value: Json = result.structured_content
    if isinstance(value, dict) and set(value) == {"result"}:
        value = value["result"]  # how servers wrap what is no object
    return ToolOutput(value=value if value is not None else "\n".join(texts) if texts else None, files=files)


def _is_lost(error: BaseException) -> bool:
    return "closed" in str(error).lower() or type(error).__name__ in ("ClosedResourceError", "BrokenResourceError")


def _leaf(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
