"""Runs programs in a sandbox and writes a line of JSON for each: ``python -m hostile.runner``, a process of its own.

A program that gets out can harm this process, and it must not harm the tests. Line ``begin`` names the program that
runs, so that whoever reads knows which one it was when no further line comes.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import shutil
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from conformance.sandbox import SPECS, Shelf
from hostile import trial
from hostile.case import ANY, Case
from hostile.catalogue import CATALOGUE
from hostile.places import Places
from sport.config import SandboxSection
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.layers.report import vector
from sport.tools.cache import MemoryCache
from sport.tools.entry import builtin
from sport.tools.toolbox import Toolbox

PR_SET_DUMPABLE = 4
DEFAULTS = {
    "wall_s": 1.0, "output_bytes": 65536, "memory_mb": 256, "calls": 100, "call_s": 5.0,
    "file_mb": 32, "disk_mb": 128, "disk_files": 2000, "open_files": 128, "threads": 64,
}  # fmt: skip


class Bench:
    """Sandboxes by their settings, started when the first program needs them."""

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self.places = Places(root)
        self._root = root
        self._settings = {**DEFAULTS, **settings}
        self._shelf = Shelf()
        self._sandboxes: dict[str, ForkedSandbox] = {}
        self._toolbox: Toolbox | None = None

    async def run(self, case: Case) -> dict[str, Any]:
        """One program."""
        limits = SandboxSection.model_validate({**self._settings, **case.settings}, strict=False)
        layers = await self.layers()
        lacks = any(not layers.get(name, "").startswith("active") for name in case.needs)
        if lacks and not limits.below_floor:  # below it, what is not held is what the test looks for
            case = replace(case, outcomes=ANY, says="", value=None, lenient=True)
        try:
            sandbox = await self._sandbox(limits, real_tools=case.real_tools)
            return (
                await trial.run(case, sandbox, self.places, [self._shelf.put("input.txt", b"given")], limits.wall_s)
            ).row()
        except Exception as error:  # the host itself stumbled: that is this program's result, and the next goes on
            where = "".join(traceback.format_tb(error.__traceback__)[-2:])
            self._sandboxes.clear()
            return {**trial.Trial(case, [f"the host raised {type(error).__name__}: {error}\n{where}"]).row()}

    async def layers(self) -> dict[str, str]:
        """The vector of the sandbox without settings of a case's own."""
        sandbox = await self._sandbox(SandboxSection.model_validate(self._settings, strict=False), real_tools=False)
        return vector(sandbox.layers)

    async def close(self) -> None:
        """Stop everything."""
        for sandbox in self._sandboxes.values():
            await sandbox.stop()
        if self._toolbox is not None:
            await self._toolbox.stop()
        self.places.close()

    async def _sandbox(self, limits: SandboxSection, *, real_tools: bool) -> ForkedSandbox:
        key = f"{limits.model_dump_json()} {real_tools}"
        if key not in self._sandboxes:
            if len(self._sandboxes) > 4:  # each is a zygote with its libraries
                await self._sandboxes.pop(next(iter(self._sandboxes))).stop()
            self._sandboxes[key] = await self._started(limits, real_tools=real_tools)
        return self._sandboxes[key]

    async def _started(self, limits: SandboxSection, *, real_tools: bool) -> ForkedSandbox:
        specs, call = SPECS, self._shelf.call
        if real_tools:
            toolbox = await self._tools()
            specs, call = toolbox.specs, toolbox.call
        sandbox = ForkedSandbox(specs=specs, call=call, put=self._shelf.put, read=self._shelf.read, limits=limits)
        await sandbox.start()
        return sandbox

    async def _tools(self) -> Toolbox:
        if self._toolbox is None:
            entries = builtin(("inspect_file_as_text", "count"))
            self._toolbox = Toolbox(entries, workers=1, deadline_s=20.0, memory_mb=1024, cache=MemoryCache())
            await self._toolbox.start()
        return self._toolbox


async def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="an empty directory")
    parser.add_argument("--settings", type=json.loads, default={}, help="of the sandbox, as JSON")
    parser.add_argument("--user", type=int, help="become this user first")
    parser.add_argument("names", nargs="*", help="programs; all by default")
    options = parser.parse_args()
    options.root.mkdir(exist_ok=True)
    if options.user is not None:
        become(options.user, options.root)
    os.umask(0o22)
    tell = sys.stdout
    bench = Bench(options.root, options.settings)
    try:
        print(json.dumps({"layers": await bench.layers()}), file=tell, flush=True)
        for name in options.names or CATALOGUE:
            print(json.dumps({"begin": name}), file=tell, flush=True)
            print(json.dumps(await bench.run(CATALOGUE[name])), file=tell, flush=True)
    finally:
        await bench.close()
        shutil.rmtree(options.root, ignore_errors=True)


def become(user: int, root: Path) -> None:
    """Drop to an ordinary user, for good and with nothing kept."""
    os.chown(root, user, user)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # as it is for whoever logs in: /proc/self belongs to them
    os.environ.update(HOME=str(root), TMPDIR=str(root))


if __name__ == "__main__":
    asyncio.run(main())
