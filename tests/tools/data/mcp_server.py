"""A server of the Model Context Protocol, by the official SDK, for tests: over stdio, or over HTTP on a port."""

from __future__ import annotations

import io
import os
import sys

import PIL.Image
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

server = MCPServer("shop")
STOCK = {"tea": 3, "coffee": 0}
calls = 0


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def in_stock(item: str, at_least: int = 1) -> bool:
    """Whether so many of an item are there."""
    if item not in STOCK:
        raise ToolError(f"no item {item}")
    return STOCK[item] >= at_least


@server.tool(name="count-up")
def count_up() -> int:
    """Count the calls of this tool."""
    global calls
    calls += 1
    return calls


@server.tool()
def photo(side: int) -> Image:
    """A picture of the shop."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (side, side), "green").save(buffer, "PNG")
    return Image(data=buffer.getvalue(), format="png")


@server.tool()
def close_down() -> str:
    """End the server in mid-call."""
    os._exit(3)


@server.tool()
def key() -> str:
    """What the environment holds."""
    return os.environ.get("SHOP_KEY", "none") + os.environ.get("OTHER_KEY", "")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
