"""Asks a tool of a user's what it is, in a process of its own: ``python -m sport.tools.describe OUT < REQUEST``.

The driver never imports a user's module: it may be heavy, break, print, or hang. A request and what lands in OUT are
JSON; every source gives one spec, an MCP server one for each of its tools.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from sport.errors import ConfigError, UserError
from sport.tools.pool import environment
from sport.types import Json, Record, ToolSpec

ANSWER_S = 120.0  # imports of a large library, or the first start of a server


class Described(Record):
    """One tool: its spec, what its factory needs beyond what was asked, and whether equal calls may share an answer."""

    spec: ToolSpec
    options: dict[str, Json] = Field(default_factory=dict)
    cache: bool = True


def ask(request: Mapping[str, Json], where: str, env: Sequence[str] = ()) -> list[Described]:
    """Start the process and read what it found; ``env`` names variables of the environment that it gets.

    Raises:
        ConfigError: whatever went wrong, in one message that begins with ``where``.
    """
    with tempfile.TemporaryDirectory(prefix="sport-describe-") as folder:
        out = Path(folder) / "out.json"
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-s", "-m", "sport.tools.describe", str(out)],
                input=json.dumps(request),
                env=environment(env),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=ANSWER_S,
            )
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"{where}: does not say what it is within {ANSWER_S:g} s") from error
        found = json.loads(out.read_text()) if out.is_file() else {}
    if "tools" in found:
        return [Described.model_validate(one) for one in found["tools"]]
    lines = done.stdout.strip().splitlines()
    raise ConfigError(f"{where}: {found.get('error') or (lines[-1] if lines else f'exit code {done.returncode}')}")


def digest(value: Json) -> str:
    """12 hex digits of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def main(out: str) -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    os.close(0)
    try:
        answer: dict[str, Json] = {"tools": [one.model_dump(mode="json") for one in _described(request)]}
    except UserError as error:
        answer = {"error": str(error)}
    except (Exception, SystemExit) as error:  # foreign code: whatever it raises is what there is to tell
        answer = {"error": f"cannot be loaded: {_leaf(error)}"}
    Path(out).write_text(json.dumps(answer), encoding="ascii")


def _described(request: Mapping[str, Json]) -> list[Described]:
    if "server" in request:
        from sport.tools import mcp

        return mcp.describe(request["server"])
    return [_own(source) for source in request["sources"]]


def _own(source: str) -> Described:
    from sport.tools import adopt

    try:
        return Described(spec=adopt.describe(source))
    except ValidationError as error:
        raise ConfigError(f"{source}: {error.errors()[0]['msg']}") from error


def _leaf(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)  # threads that a user's module left behind would keep the driver waiting
