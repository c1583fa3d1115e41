"""Inside: proves each layer by trying what it forbids, in a box made like all others, right after the layer is up.

So that no layer is credited with what another one stops, each is tried with as few of the others as the order allows.
The box is thrown away afterwards.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from sport.sandbox.layers import kernel, refusals

_PTRACE, _SEIZE = 101, 0x4206


class Probes:
    """``results``: per layer that was tried, what went through although it must not; an empty text where nothing did.

    ``settings`` are those of the zygote; ``tried`` names the layers that are to be tried, none in an ordinary box;
    ``others`` are threads that the box's limit allows beyond its own, see :func:`.limits.shared_threads`.
    """

    def __init__(self, settings: Mapping[str, Any], tried: Collection[str]) -> None:
        self.results: dict[str, str] = {}
        self._settings = settings
        self.tried = tried
        self.others = 0

    def namespaces(self, zygote: int) -> None:
        """The host's processes cannot be reached, and no network answers."""
        self._try("namespaces", lambda: _beyond_namespaces(zygote))

    def root(self, somewhere: str) -> None:
        """The host's files are not there, and nothing of the root can be written. ``somewhere``: a directory in it."""
        self._try("root", lambda: _beyond_root(self._settings["home"], somewhere))

    def disk(self, directory: int) -> None:
        """The directory cannot grow without end."""
        self._try("disk", lambda: _beyond_disk(directory, self._settings["disk_bytes"]))

    def identity(self) -> None:
        """Nobody gets root's id, a capability or new privileges back, and the init ends with the zygote."""
        self._try("uid", lambda: _went_through({"becoming root": lambda: os.setresuid(0, 0, 0)}))
        self._try("capabilities", _beyond_capabilities)
        self._try("privileges", _beyond_privileges)
        self._try("parent", _beyond_parent)

    def landlock(self) -> None:
        """A directory that is neither for reading nor for writing cannot even be listed."""
        self._try("landlock", lambda: _went_through({"listing /": lambda: os.listdir("/")}))

    def before_filter(self) -> None:
        """In the first state: limits hold, the init's memory is closed, and no fork passes without being asked for."""
        self._try("limits", lambda: _beyond_limits(self._settings, self.others))
        self._try("dumpable", _beyond_dumpable)
        self._try("gate", lambda: _went_through({"forking unasked": _fork_and_end}))

    def after_filter(self) -> None:
        """Calls that the kernel would otherwise grant, or refuse for another reason, are refused by the filter."""
        self._try("seccomp", _beyond_seccomp)

    def _try(self, name: str, probe: Callable[[], Iterator[str]]) -> None:
        if name in self.tried:
            self.results[name] = ", ".join(probe())


def _beyond_namespaces(zygote: int) -> Iterator[str]:
    if os.getpid() != 1:
        yield "being a process among the host's"
    elif _works(lambda: os.kill(zygote, 0)):
        yield "finding the host's processes"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if _works(lambda: sock.connect(("127.0.0.1", 9))):
            yield "addressing the network"


def _beyond_root(home: str, somewhere: str) -> Iterator[str]:
    if os.path.exists(home) or os.path.exists("/proc/self"):
        yield "seeing the host's files"
    yield from _went_through(
        {
            "writing to the root": lambda: _make_and_remove("/probe"),
            f"writing to {somewhere}": lambda: _make_and_remove(os.path.join(somewhere, "probe")),
        }
    )


def _beyond_disk(directory: int, limit: int) -> Iterator[str]:
    file = os.open("probe", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        yield from _went_through({f"writing more than {limit} bytes": lambda: os.posix_fallocate(file, 0, limit + 1)})
    finally:
        os.close(file)
        os.unlink("probe", dir_fd=directory)


def _beyond_capabilities() -> Iterator[str]:
    yield from _went_through(
        {"changing the root": lambda: os.chroot("/"), "mounting": lambda: kernel.mount("tmpfs", "/", "tmpfs", 0)}
    )
    if kernel.prctl(kernel.PR_CAPBSET_READ, 0):
        yield "keeping a bounding set"


def _beyond_privileges() -> Iterator[str]:
    if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) != 1:
        yield "gaining privileges"
    yield from _went_through({"taking no_new_privs back": lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 0)})


def _beyond_parent() -> Iterator[str]:
    sign = ctypes.c_int()
    kernel.prctl(kernel.PR_GET_PDEATHSIG, ctypes.addressof(sign))
    if sign.value != signal.SIGKILL:
        yield "outliving the zygote"


def _beyond_limits(settings: Mapping[str, Any], others: int) -> Iterator[str]:
    held: list[int] = []
    while len(held) <= settings["open_files"] and _works(lambda: held.append(os.dup(0))):
        pass
    for descriptor in held:
        os.close(descriptor)
    if len(held) > settings["open_files"]:
        yield "opening files without end"
    if resource.getrlimit(resource.RLIMIT_NPROC)[1] > others + settings["threads"]:
        yield "starting threads without end"
    file = os.memfd_create("probe")
    too_much = settings["memory_bytes"] + (1 << 30)
    yield from _went_through(
        {
            "taking memory without end": lambda: mmap.mmap(-1, too_much, mmap.MAP_PRIVATE).close(),
            "writing a file without end": lambda: os.pwrite(file, b"x", settings["file_bytes"] + 1),
            "raising a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 16, 1 << 16)),
        }
    )
    os.close(file)


def _beyond_dumpable() -> Iterator[str]:
    if kernel.prctl(kernel.PR_GET_DUMPABLE):
        yield "leaving a process's memory in a file"
    trace = {
        "tracing a process of the same user": lambda: kernel.syscall("ptrace", _PTRACE, _SEIZE, os.getppid(), 0, 0)
    }
    yield from _went_through(trace)


def _beyond_seccomp() -> Iterator[str]:
    for name, act, expected in _forbidden_calls():
        try:
            act()
        except OSError as error:
            if error.errno == expected:
                continue
        yield name


def _went_through(acts: Mapping[str, Callable[[], object]]) -> Iterator[str]:
    return (name for name, act in acts.items() if _works(act))


def _works(act: Callable[[], object]) -> bool:
    try:
        act()
    except (OSError, ValueError, MemoryError):
        return False
    return True


def _make_and_remove(folder: str) -> None:
    os.mkdir(folder)
    os.rmdir(folder)


def _fork_and_end() -> None:
    if kernel.fork() == 0:
        os._exit(0)


def _forbidden_calls() -> Iterator[tuple[str, Callable[[], object], int]]:
    """What an ordinary process may do, and what it may ask for: each with the error that only the filter gives."""
    yield "kill", lambda: os.kill(os.getpid(), 0), errno.EPERM
    yield "socket", lambda: socket.socket(socket.AF_UNIX), errno.EPERM
    yield "shared memory", lambda: mmap.mmap(-1, 4096, mmap.MAP_SHARED), errno.EPERM
    yield "memfd", lambda: os.memfd_create("probe"), errno.EPERM
    yield "unshare", lambda: kernel.unshare(0), errno.EPERM
    yield "dumpable", lambda: kernel.prctl(kernel.PR_SET_DUMPABLE, 1), errno.EPERM
    yield "clone3", lambda: kernel.syscall("clone3", refusals.CLONE3, 0, 0), errno.ENOSYS
    for name in ("execve", "setns", "userfaultfd", "perf_event_open", "process_vm_readv", "io_uring_setup"):
        yield name, _bare_call(name), errno.EPERM


def _bare_call(name: str) -> Callable[[], object]:
    """With arguments that the kernel itself would find wrong for another reason."""
    return lambda: kernel.syscall(name, refusals.REFUSED[name], -1, -1, -1, -1, -1)
