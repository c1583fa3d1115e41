"""The filters: every refusal is tried in a process that has nothing but the filter on."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from sandbox.layers.inside import result, run
from sport.sandbox.layers import bpf, filters, kernel, refusals

pytestmark = pytest.mark.skipif(kernel.supported() is not None, reason="the filters are for Linux on x86-64")
HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
ON = "identity.no_new_privileges(); seccomp.install_refusals()\n"


def test_every_refused_call_is_refused() -> None:
    went = result(
        ON + "RESULT = {name: error_of(lambda: kernel.syscall(name, number, -1, -1, -1, -1, -1))"
        " for name, number in refusals.REFUSED.items()}"
    )
    assert {name: said for name, said in went.items() if said != "EPERM"} == {}


@pytest.mark.skipif(not HEADER.exists(), reason="no kernel headers here")
def test_the_numbers_are_the_kernels() -> None:
    known = {name: int(n) for name, n in re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())}
    assert {n: v for n, v in refusals.REFUSED.items() if known.get(n) != v} == {}
    named = {"prlimit64": refusals.PRLIMIT, "clone3": refusals.CLONE3, "clone": kernel.CLONE, "mmap": refusals.MMAP}
    assert {name: known[name] for name in named} == named


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("os.kill(os.getpid(), 0)", "EPERM"),
        ("mmap.mmap(-1, 4096, mmap.MAP_SHARED)", "EPERM"),
        ("mmap.mmap(os.open('/etc/passwd', os.O_RDONLY), 0, mmap.MAP_SHARED, mmap.PROT_READ)", "EPERM"),
        ("mmap.mmap(-1, 4096, mmap.MAP_PRIVATE)", "went through"),
        ("socket.socketpair()", "went through"),
        ("socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '/dev/log')", "EPERM"),
        ("(lambda pair: pair[0].sendall(b'x'))(socket.socketpair())", "went through"),
        ("socket.socketpair()[0].sendmsg([b'x'])", "EPERM"),
        ("kernel.prctl(kernel.PR_SET_DUMPABLE, 1)", "EPERM"),
        ("kernel.prctl(kernel.PR_SET_PDEATHSIG, 0)", "EPERM"),
        ("kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)", "went through"),
        ("kernel.prctl(15, 0)", "EFAULT"),
        ("kernel.syscall('prlimit64', refusals.PRLIMIT, os.getppid(), 7, 0, 0)", "EPERM"),
        ("__import__('resource').setrlimit(7, __import__('resource').getrlimit(7))", "went through"),
        ("__import__('fcntl').fcntl(0, 8, os.getpid())", "EPERM"),
        ("__import__('fcntl').fcntl(0, 10, 9)", "EPERM"),
        ("__import__('fcntl').ioctl(0, 0x5412, b'x')", "EPERM"),
        ("kernel.syscall('clone', kernel.CLONE, kernel.NEWUSER | 17, 0, 0, 0, 0)", "EPERM"),
        ("kernel.syscall('clone3', 435, 0, 0)", "ENOSYS"),
        ("kernel.syscall('of tomorrow', 470, 0)", "ENOSYS"),
        ("os.mkfifo('/tmp/never')", "EPERM"),
    ],
)
def test_what_is_refused_by_its_arguments(act: str, said: str) -> None:
    assert result(f"{ON}RESULT = error_of(lambda: {act})") == said


def test_among_the_hosts_files_modes_and_times_stay_what_they_are(tmp_path: Path) -> None:
    """What Landlock does not stop, and what copying a file does in passing: answered as done."""
    file = tmp_path / "file"
    file.write_text("text")
    file.chmod(0o600)
    before = file.stat()
    body = """
    import shutil
    identity.no_new_privileges(); seccomp.install_refusals(among_host_files=True)
    path = ARGUMENT
    acts = [lambda: os.chmod(path, 0o666), lambda: os.utime(path, (1, 1)), lambda: os.fchmod(os.open(path, 0), 0o666)]
    RESULT = [*(error_of(act) for act in acts), error_of(lambda: shutil.copy2(path, path + "2"))]
    """
    assert result(body, str(file)) == ["went through"] * 4
    assert (file.stat().st_mode, file.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


@pytest.mark.parametrize(
    "code",
    [b"\xb8\x14\x00\x00\x00\xcd\x80\xc3", b"\xb8\x27\x00\x00\x40\x0f\x05\xc3"],
    ids=["int 0x80", "x32"],
)
def test_a_foreign_architecture_is_killed(code: bytes) -> None:
    body = """
    memory = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
    memory.write(bytes(ARGUMENT))
    identity.no_new_privileges(); seccomp.install_refusals()
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
    """
    assert run(body, list(code)).returncode == -signal.SIGSYS


def test_ordinary_work_goes_on() -> None:
    body = """
    import asyncio, tempfile, threading
    identity.no_new_privileges(); seccomp.install_refusals()
    heard = []
    thread = threading.Thread(target=heard.append, args=(1,)); thread.start(); thread.join()
    with tempfile.TemporaryFile() as file:
        file.write(b"x"); file.seek(0); heard.append(file.read().decode())
    heard.append(asyncio.run(asyncio.sleep(0, 2)))
    heard.append(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)(2))
    RESULT = heard
    """
    assert result(body) == [1, "x", 2, 3]


def test_a_filter_is_a_list_of_whole_instructions() -> None:
    for filter_ in (filters.gate(bpf.NOTIFY), filters.refusing()):
        assert len(filter_) % 8 == 0 and len(filter_) // 8 < 4096
    with pytest.raises(ValueError, match="4096"):
        bpf.assemble(bpf.verdict(bpf.ALLOW) * 4097)
