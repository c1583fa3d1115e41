"""Machines that offer less: what is left of the walls there, and that it holds."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.layers.inside import SOURCE, result
from sport.sandbox.layers import kernel

pytestmark = pytest.mark.skipif(kernel.supported() is not None, reason="the walls are for Linux on x86-64")

BOOT = """
import asyncio
sys.path.append(os.path.join(os.path.dirname(ARGUMENT["source"]), "tests"))
from sandbox.layers.hand import booted, box
from sport.sandbox.layers import bpf
from sport.sandbox.layers.report import vector

refused = [*bpf.start(), *bpf.for_calls(ARGUMENT["refused"], bpf.refuse(errno.EPERM))]
if 272 in ARGUMENT["refused"]:
    new = [*bpf.argument(0), *bpf.if_any(refusals.NEW_NAMESPACES, bpf.refuse(errno.EPERM)), *bpf.verdict(bpf.ALLOW)]
    refused += [*bpf.for_call(kernel.CLONE, new), *bpf.for_call(435, bpf.verdict(bpf.refuse(errno.ENOSYS)))]
identity.no_new_privileges()
seccomp.install(bpf.assemble([*refused, *bpf.verdict(bpf.ALLOW)]))

async def main():
    async with booted() as zygote, box(zygote) as hand:
        child = await hand.fork()
        tried = await child.says("[said(a) for a in (lambda: os.fork(), lambda: os.listdir('/'))]", ARGUMENT["said"])
        child.process.abandon()
        return {"layers": vector(zygote.layers), "sum": await hand.says("1 + 1"), "tried": tried}

RESULT = asyncio.run(main())
"""
SAID = "import os\ndef said(act):\n    try: return act()\n    except OSError as e: return type(e).__name__"
CONTAINER = [
    165,
    166,
    155,
    272,
    308,
    428,
    429,
    430,
    442,
]  # mounts and namespaces, as a container's profile refuses them


def behind(refused: list[int]) -> dict[str, Any]:
    """A zygote in a process for which these calls do not work."""
    said: dict[str, Any] = result(BOOT, {"source": str(SOURCE), "refused": refused, "said": SAID})
    assert said["sum"] == "2"
    return said


def test_in_a_container_landlock_and_the_filter_are_left() -> None:
    said = behind(CONTAINER)
    layers = said["layers"]
    assert layers["namespaces"].startswith("unavailable (unshare: Operation not permitted")
    assert layers["landlock"] == layers["seccomp"] == layers["gate"] == "active"
    assert said["tried"] == "['PermissionError', 'PermissionError']"


def test_without_landlock_the_root_of_the_boxs_own_is_left() -> None:
    said = behind([444, 445, 446])
    if not said["layers"]["namespaces"].startswith("active"):
        pytest.skip(f"namespaces: {said['layers']['namespaces']}")
    assert said["layers"]["landlock"] == "unavailable (no ABI found: landlock: Operation not permitted)"
    assert "'PermissionError'" in said["tried"] and "'box'" in said["tried"] and "'home'" not in said["tried"]
