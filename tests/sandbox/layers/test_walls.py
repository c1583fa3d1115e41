"""All walls together, in boxes of a real zygote: each is proved, each proof can fail, and nothing is left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from hostile import cage
from sandbox.layers.hand import Hand, booted, box, gone
from sport.config import Layer, SandboxSection
from sport.errors import ConfigError, SandboxError
from sport.sandbox import launch
from sport.sandbox.cell import LAUNCH_S
from sport.sandbox.launch import Zygote
from sport.sandbox.layers import kernel, report
from sport.sandbox.layers.walls import ORDER

pytestmark = pytest.mark.skipif(kernel.supported() is not None, reason="the walls are for Linux on x86-64")
ROOT = os.geteuid() == 0


@pytest.fixture
async def zygote() -> AsyncIterator[Zygote]:
    async with booted() as made:
        yield made


@pytest.fixture
async def hand(zygote: Zygote) -> AsyncIterator[Hand]:
    async with box(zygote) as made:
        yield made


def needs(zygote: Zygote, *names: str) -> None:
    """Skip where this machine does not offer a layer."""
    for layer in zygote.layers:
        if layer.name in names and layer.state != "active":
            pytest.skip(f"{layer.name}: {layer}")


def test_the_names_are_those_of_the_configuration() -> None:
    assert get_args(Layer) == ORDER == tuple(report.ADVICE)


async def test_what_the_machine_offers_is_tried_and_active(zygote: Zygote) -> None:
    states = {layer.name: layer.state for layer in zygote.layers}
    assert tuple(states) == ORDER
    assert states["seccomp"] == states["limits"] == states["dumpable"] == "active", report.tier(zygote.layers)
    assert states["uid"] == ("active" if ROOT and states["root"] == "active" else "unavailable")


@pytest.mark.parametrize("name", ORDER)
async def test_every_probe_gets_through_where_its_layer_is_off(name: str) -> None:
    off = SandboxSection(libraries=(), without=(name,), below_floor=True)  # type: ignore[arg-type]
    async with booted(off) as zygote:
        assert report.vector(zygote.layers)[name] == "disabled (sandbox.without)"
        if name == "uid" and not ROOT:
            pytest.skip("an ordinary user has no id to give away")
        assert (await zygote.probe([name]))[name] != ""


async def test_below_the_floor_nothing_starts_without_a_word(zygote: Zygote) -> None:
    for off in (("seccomp",), ("namespaces", "landlock")):
        with pytest.raises(ConfigError, match="below_floor=true"):
            async with booted(SandboxSection(libraries=(), without=off)):  # type: ignore[arg-type]
                pytest.fail("it started")


async def test_a_missing_library_is_one_message() -> None:
    with pytest.raises(ConfigError, match=r"sandbox\.libraries: no_such_package: ModuleNotFoundError.*pip install"):
        async with booted(SandboxSection(libraries=("json", "no_such_package"))):
            pytest.fail("it started")


async def test_a_box_is_nobody(hand: Hand, zygote: Zygote) -> None:
    """Started by root, too: another user, no groups, no capability in any set, and none to be had again."""
    lines = Path(f"/proc/{hand.pid}/status").read_text(encoding="utf-8").splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Amb", "Bnd")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    if ROOT:
        needs(zygote, "uid")
        uids = set(status["Uid"].split())
        assert uids == set(status["Gid"].split()) == {str(hand.cell.uid)} and uids.isdisjoint({"0", "65534"})
        assert status["Groups"] == ""


async def test_two_boxes_are_two_users_and_see_neither_each_other_nor_the_host(hand: Hand, zygote: Zygote) -> None:
    needs(zygote, "root")
    async with box(zygote, "other") as other:
        if ROOT:
            assert hand.cell.uid != other.cell.uid
        assert await other.says("os.path.exists('/proc'), os.path.exists('/etc/passwd'), os.getpid()", "import os") == (
            "(False, False, 2)"
        )
        (hand.cell.directory / "aside" / "secret").write_text("of a sibling")
        assert "secret" not in str(await hand.says("[f for _, _, fs in os.walk('/box') for f in fs]", "import os"))
        assert "Error" in str(await hand.says("os.listdir('..'), open('../../aside/secret').read()", "import os"))


async def test_an_interpreter_below_a_private_home_still_imports(hand: Hand) -> None:
    assert await hand.says("wave.__name__", "import wave") == "'wave'"


async def test_the_environment_is_empty_and_hashes_are_those_of_every_run(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "of the host")
    assert "SECRET" not in str(await hand.says("sorted(os.environ)", "import os"))
    first = await hand.says("hash('sport')")
    async with booted() as again, box(again) as other:
        assert await other.says("hash('sport')") == first


async def test_a_state_holds_no_descriptor_but_its_own(hand: Hand) -> None:
    """No way to the directory of the siblings, to the reports of the init or to the zygote."""
    count = (
        "import os\ndef held(found):\n  for d in range(256):\n    try: i = os.fstat(d)\n    except OSError: continue\n"
    )
    count += "    found.add((i.st_dev, i.st_ino, i.st_mode >> 12))\n  return sorted(kind for *_, kind in found)"
    device, pipe, sock = 0o2, 0o1, 0o14
    assert await hand.says("held(set())", count) == str([pipe, pipe, device, sock])


async def test_inputs_cannot_be_changed_and_its_own_files_can(hand: Hand) -> None:
    (hand.cell.directory / "turn" / "work" / "input").write_text("of the host")
    if ROOT:
        assert "PermissionError" in str(await hand.says("open('input', 'a')"))
    assert await hand.says("open('mine', 'w').write('x')") == "1"
    if Path("/tmp") in Path(sys.prefix).parents:  # then it is a place to read libraries from; tempfile's is another
        return
    assert await hand.says("open('/tmp/mine', 'w').write('x'), os.listdir('.tmp')", "import os") == "(1, ['mine'])"


async def test_temporary_files_lie_in_the_directory_also_among_the_hosts_files() -> None:
    """Even where a library has asked for their place in the zygote: matplotlib does for a user without a home."""
    asks = SandboxSection(libraries=("matplotlib",), without=("root",))
    async with booted(asks) as zygote, box(zygote) as hand:
        where = "os.path.relpath(tempfile.mkdtemp(), os.getcwd()).startswith('.tmp/')"
        assert await hand.says(where, "import os, tempfile") == "True"


async def test_the_directory_has_an_end(zygote: Zygote) -> None:
    small = SandboxSection(libraries=(), disk_mb=2, disk_files=64)
    async with booted(small) as tight, box(tight) as hand:
        needs(tight, "disk")
        assert "No space left" in str(await hand.says("open('big', 'wb').write(bytes(3 << 20))"))
        assert "No space left" in str(await hand.says("[open(f'f{i}', 'w').close() for i in range(100)]"))


async def test_threads_have_an_end_and_a_bomb_of_them_harms_nobody(zygote: Zygote) -> None:
    few = SandboxSection(libraries=(), threads=16)
    async with booted(few) as tight, box(tight) as hand:
        bomb = (
            "import threading\nheld = threading.Event()\nfor _ in range(50): threading.Thread(target=held.wait).start()"
        )
        assert "can't start new thread" in str((await hand.run(bomb))["error"])
        assert hand.cell.threads(hand.pid) <= 16
        async with box(tight, "other") as other:
            assert await other.says("1 + 1") == "2"
        await hand.run("held.set()")


async def test_forks_pass_when_asked_for_and_their_ends_are_told() -> None:
    """More of them than RLIMIT_NPROC could bear, were the dead not reaped."""
    few = SandboxSection(libraries=(), threads=16)
    async with booted(few) as tight, box(tight) as hand:
        for number in range(24):
            child = await hand.fork()
            assert await child.says("1 + 1") == "2"
            status = await hand.cell.kill(child.pid)
            assert status is not None and os.WTERMSIG(status) == signal.SIGKILL, number
            child.process.abandon()
        assert hand.cell.members() == {hand.pid}
        assert "PermissionError" in str(await hand.says("os.fork()", "import os"))


async def test_the_fortieth_box_is_as_well_walled_as_the_first(zygote: Zygote) -> None:
    """Linux allows sixteen layers of Landlock and 33 user namespaces inside one another: boxes do not add up."""
    first = await zygote.probe(ORDER[:-1])
    for number in range(40):
        async with box(zygote, str(number)):
            pass
    assert await zygote.probe(ORDER[:-1]) == first


@pytest.mark.skipif(not ROOT, reason="only root can become a user that has much to do already")
def test_what_else_a_user_runs_keeps_no_box_from_opening() -> None:
    """Without namespaces Linux counts all of a user's threads against the limit of each of its boxes."""
    nobody_else = cage.ORDINARY + 1
    busy = [subprocess.Popen(["sleep", "60"], user=nobody_else, group=nobody_else) for _ in range(24)]
    words = [sys.executable, "-P", "-m", "hostile.runner", "--user", str(nobody_else), "libraries.answer"]
    words += ["--settings", json.dumps({"without": ["namespaces"], "threads": 16, "libraries": []})]
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            command = cage.command([*words, "--root", f"{folder}/run"])
            done = subprocess.run(
                command, env=cage.environment(), cwd=folder, capture_output=True, text=True, timeout=100
            )
    finally:
        for process in busy:
            process.kill()
            process.wait()
    layers, _, result = map(json.loads, done.stdout.splitlines())
    assert layers["layers"]["limits"] == "active" and result["complaints"] == [], done.stdout + done.stderr


async def test_a_box_without_a_process_for_its_state_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_settings", partial(_changed, launch._settings, threads=1))
    began = time.monotonic()
    with pytest.raises(SandboxError, match="no process for it"):
        async with booted():
            pass
    assert time.monotonic() - began < LAUNCH_S  # it was told, not waited out


EARLY = """
import asyncio, os, signal, sys
from sport.config import SandboxSection
from sport.sandbox.channel import Channel
from sport.sandbox.forked import ForkedSandbox

async def die(self, message, *descriptors):
    print(os.getpid(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

async def nothing(*_):
    return None

Channel.send = die
asyncio.run(ForkedSandbox(call=nothing, put=nothing, read=nothing, limits=SandboxSection(libraries=())).start())
"""


def test_a_host_killed_before_its_zygote_listens_leaves_no_directory() -> None:
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    places = [Path("/dev/shm"), Path(tempfile.gettempdir())]
    assert [found for place in places for found in place.glob(f"sport-{done.stdout.strip()}-*")] == []


def _changed(make: Callable[..., dict[str, Any]], *words: Any, **changes: Any) -> dict[str, Any]:
    return make(*words) | changes


@pytest.mark.parametrize("umask", [0o077, 0o002], ids=oct)
async def test_the_umask_of_whoever_starts_it_does_not_matter(umask: int) -> None:
    old = os.umask(umask)
    try:
        async with booted() as zygote, box(zygote) as hand:
            assert await hand.says("wave.__name__", "import wave") == "'wave'"
            assert await hand.says("oct(os.stat('/').st_mode & 0o777)", "import os") == "'0o755'"
    finally:
        os.umask(old)


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64")])
async def test_another_machine_is_refused_with_what_would_work(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(ConfigError, match=r"Docker container.*sandbox\.executor=unsafe"):
        await Zygote().start(Path("/nowhere"), SandboxSection(libraries=()), ())


async def test_open_files_part_at_a_fork(hand: Hand) -> None:
    await hand.run(
        "import tempfile\nopen('log', 'w').write('0123456789')\nnamed = open('log', 'r')\nnamed.read(3)\n"
        "bare = tempfile.TemporaryFile('w+b', buffering=0)\nbare.write(b'abc')"
    )
    child = await hand.fork()
    assert await child.says("named.read(2), bare.write(b'def'), bare.seek(0), bare.read()") == "('34', 3, 0, b'abcdef')"
    assert await hand.says("named.read(2), bare.tell(), bare.seek(0), bare.read()") == "('34', 3, 0, b'abc')"
    child.process.abandon()


async def test_a_process_that_is_not_of_the_box_is_not_admitted(hand: Hand) -> None:
    with pytest.raises(SandboxError, match="no child"):
        hand.cell.admit(os.getpid())


async def test_killing_the_zygote_ends_everything_in_its_boxes(zygote: Zygote) -> None:
    async with booted() as doomed:
        needs(doomed, "parent")
        cell, process = await doomed.open("box", 1000)
        assert (await process.channel.receive() or {})["op"] == "ready"
        pids = {cell.init, *cell.members()}
        assert len(pids) == 2
        os.kill(doomed.pid, signal.SIGKILL)
        assert await gone(pids)
        cell.close()
        process.abandon()
        with pytest.raises(SandboxError):
            await doomed.open("another", 1000)


async def test_the_host_makes_room_for_the_descriptors_of_many_boxes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with booted():
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(hard, 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_nothing_of_it_is_in_the_hosts_mount_table(hand: Hand) -> None:
    assert "sport" not in Path("/proc/self/mounts").read_text(encoding="utf-8")
