"""No layer is there for show: switch one off, and a program that it held gets through or is seen to."""

from __future__ import annotations

import sys

import pytest

from hostile.conftest import Runs
from hostile.settings import TIERS, USERS

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


@pytest.mark.hostile
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("layer", HELD)
def test_without_it_a_program_gets_further(runs: Runs, user: str, layer: str) -> None:
    off, program = HELD[layer]
    settings = {"without": list(off), "below_floor": True, "libraries": ["numpy"]}
    with_it = runs([program], settings, USERS[user])
    state = with_it.start().get(layer, "missing")
    if not state.startswith("active"):
        pytest.skip(f"{layer} is {state} for {user}")
    assert with_it.result(program)["complaints"] == []
    without = runs([program], {**settings, "without": [*off, layer]}, USERS[user])
    assert without.start()[layer].startswith("disabled")
    assert without.result(program)["complaints"] != [], f"{program} is held without {layer} too"


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
