"""Tools that answer from a benchmark's reference and do nothing themselves: for a data set without its pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sport.tools.arguments import usage
from sport.tools.base import Answered, FileBytes
from sport.types import Json, ToolSpec

NO_RECORD = "the reference holds no result for these arguments"


def placeholder(path: str) -> bytes:
    """What stands in for a picture that is not here: it tells files apart and shows nothing."""
    return f"the picture {path} is not here\n".encode()


class ReferenceTools:
    """Specs as the data set has them, and the results that its reference made with equal arguments.

    What it does not do: answer anything that the reference did not ask. Such a call is an error for the controller.
    """

    def __init__(self, specs: Sequence[ToolSpec], recorded: Sequence[tuple[str, Mapping[str, Json], str]]) -> None:
        """``recorded`` are (tool, arguments, result); of two equal calls the first one's result stands."""
        self._specs = {spec.name: spec for spec in specs}
        self._results: dict[str, str] = {}
        for name, arguments, result in recorded:
            files = {p.name for p in self._specs[name].parameters if p.type == "file"} if name in self._specs else set()
            plain = {k: _digest(placeholder(v)) if k in files else v for k, v in arguments.items()}
            self._results.setdefault(self._key(name, plain), result)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What models are told."""
        return tuple(self._specs.values())

    async def start(self) -> None:
        """Nothing has to be booted."""

    async def stop(self) -> None:
        """Nothing is left."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        """A :data:`~sport.tools.base.CallTool`."""
        spec = self._specs.get(name)
        if spec is None:
            return Answered(error=f"there is no tool {name!r}; there are {', '.join(self._specs)}")
        plain = {k: _digest(v.data) if isinstance(v, FileBytes) else v for k, v in arguments.items()}
        found = self._results.get(self._key(name, plain))
        if found is None:
            return Answered(error=f"{usage(spec)}: {NO_RECORD}")
        return Answered(value=found, cached=True)

    def _key(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Arguments that equal their defaults may be left out."""
        defaults = {p.name: p.default for p in self._specs[name].parameters} if name in self._specs else {}
        given = {k: v for k, v in arguments.items() if k not in defaults or v != defaults[k]}
        return json.dumps([name, given], sort_keys=True, default=str)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
