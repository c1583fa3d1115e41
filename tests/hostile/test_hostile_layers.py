"""No layer is there for show: switch one off, and a program that it held gets through or is seen to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from hostile import cage
from hostile.conftest import Runs
from hostile.settings import TIERS, USERS
from sport.config import Layer

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the forking sandbox is for Linux"),
    pytest.mark.timeout(300),
]

# The layer, the layers that are off already (they would hide what it does), and a program that it alone holds there.
HELD: dict[str, tuple[tuple[str, ...], str]] = {
    "namespaces": (("landlock",), "files.read_a_host_file"),
    "landlock": (("namespaces",), "files.read_a_host_file"),
    "root": (("landlock",), "files.read_a_host_file"),
    "seccomp": ((), "kernel.unshare_user"),
    "gate": ((), "processes.one_fork"),
    "uid": ((), "kernel.uid_is_not_root_and_holds_nothing"),
    "capabilities": (("uid",), "kernel.no_capabilities"),
    "privileges": ((), "kernel.no_new_privileges"),
    "dumpable": ((), "kernel.not_dumpable"),
    "limits": ((), "memory.private_memory_without_reserve"),
    "disk": ((), "memory.disk_that_is_full"),
}


def test_no_layer_is_forgotten() -> None:
    assert {*HELD, "parent"} == set(get_args(Layer))  # parent: the test of a killed host, below


@pytest.mark.hostile
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("layer", HELD)
def test_without_it_a_program_gets_further(runs: Runs, user: str, layer: str) -> None:
    off, program = HELD[layer]
    settings = {"without": list(off), "below_floor": True, "libraries": ["numpy"], "wall_s": 5.0}  # none is a hang
    with_it = runs([program], settings, USERS[user])
    state = with_it.start().get(layer, "missing")
    if not state.startswith("active"):
        pytest.skip(f"{layer} is {state} for {user}")
    assert with_it.result(program)["complaints"] == []
    without = runs([program], {**settings, "without": [*off, layer]}, USERS[user])
    assert without.start()[layer].startswith("disabled")
    assert without.result(program)["complaints"] != [], f"{program} is held without {layer} too"


KILLED = """
import asyncio, os, signal, sys
from conformance.sandbox import Shelf
from hostile.runner import become
from pathlib import Path
from sport.config import SandboxSection
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.layers.report import vector

async def main(without):
    shelf = Shelf()
    limits = SandboxSection(memory_mb=256, libraries=(), without=without, wall_s=60.0)
    sandbox = ForkedSandbox(call=shelf.call, put=shelf.put, read=shelf.read, limits=limits)
    await sandbox.start()
    state = await sandbox.open("box", [])
    await state.run("import time; x = 1", 0)
    asyncio.create_task(state.run("while True: time.sleep(0.1)", 0))
    await asyncio.sleep(0.3)
    print(vector(sandbox.layers)["parent"], flush=True)
    for pid in (sandbox.zygote.pid, os.getpid()):  # the sweeper first
        os.kill(pid, signal.SIGKILL)

if sys.argv[2:]:
    become(int(sys.argv[2]), Path(sys.argv[3]))
asyncio.run(main(tuple(filter(None, [sys.argv[1]]))))
"""
LEFT = """'/^Name:/ {n = $2} /^State:/ {left += $2 != "Z" && n ~ /python/} END {print left + 0}' /proc/[0-9]*/status"""


@pytest.mark.hostile
@pytest.mark.skipif(not cage.namespaces(), reason="no namespace of its own to count processes in")
@pytest.mark.parametrize("user", [(), (str(cage.ORDINARY),)] if os.getuid() == 0 else [()], ids=str)
@pytest.mark.parametrize(("without", "state", "outlives"), [("", "active", False), ("parent", "disabled", True)])
def test_without_parent_a_box_outlives_host_and_zygote(
    tmp_path: Path, user: tuple[str, ...], without: str, state: str, outlives: bool
) -> None:
    """Both are killed at once, as by whoever clears memory: nobody is left who could sweep."""
    tmp_path.chmod(0o755)
    words = [sys.executable, "-P", "-c", KILLED, without, *user, *([str(tmp_path)] if user else [])]
    script = f'"$@" 2>/dev/null; sleep 2; awk {LEFT}'
    done = subprocess.run(
        cage.command(["sh", "-c", script, "sh", *words]),
        stdout=subprocess.PIPE, text=True, env=cage.environment(), cwd="/", timeout=100,
    )  # fmt: skip
    said, left = done.stdout.splitlines()
    assert said.startswith(state) and (int(left) > 0) is outlives, done.stdout


@pytest.mark.hostile
@pytest.mark.parametrize("user", USERS)
def test_below_the_floor_it_does_not_start(runs: Runs, user: str) -> None:
    for off in (["seccomp"], ["namespaces", "landlock"]):
        result = runs(["time.long_sleep"], {"without": off, "libraries": ["numpy"]}, USERS[user]).result(
            "time.long_sleep"
        )
        assert "below_floor" in str(result["complaints"]), result


@pytest.mark.parametrize("user", USERS)
def test_the_full_tier_says_what_it_is_made_of(runs: Runs, user: str) -> None:
    layers = runs(["libraries.answer"], TIERS["full"], USERS[user]).start()
    assert {"namespaces", "landlock", "seccomp", "gate", "limits"} <= layers.keys()
    assert all(state.startswith(("active", "degraded", "disabled", "unavailable")) for state in layers.values())
    assert layers["seccomp"].startswith("active")
