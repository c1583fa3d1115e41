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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sport.sandbox.layers import kernel, refusals

_PTRACE, _PTRACE_SEIZE = 101, 0x4206


class Probes:
    """``results``: per layer, what went through although it must not; an empty text where nothing did.

    ``settings`` are those of the zygote, ``zygote`` its process id, ``has`` says which layers are to be tried.
    """

    def __init__(self, settings: Mapping[str, Any], has: Callable[[str], bool]) -> None:
        self.results: dict[str, str] = {}
        self._settings = settings
        self._has = has

    def namespaces(self, zygote: int) -> None:
        """The host's processes cannot be reached, and no network answers."""
        with self._layer("namespaces") as went:
            if os.getpid() != 1:
                went("being a process among the host's")
            elif _works(lambda: os.kill(zygote, 0)):
                went("finding the host's processes")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                if _works(lambda: sock.connect(("127.0.0.1", 9))):
                    went("addressing the network")

    def root(self, somewhere: str) -> None:
        """The host's files are not there, and nothing of the root can be written. ``somewhere``: a directory in it."""
        with self._layer("root") as went:
            if os.path.exists(self._settings["home"]) or os.path.exists("/proc/self"):
                went("seeing the host's files")
            for folder in ("/", somewhere):
                if _works(lambda folder=folder: os.mkdir(os.path.join(folder, "probe"))):  # type: ignore[misc]
                    went(f"writing to {folder}")

    def disk(self, directory: int) -> None:
        """The directory cannot grow without end."""
        with self._layer("disk") as went:
            file = os.open("probe", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=directory)
            try:
                if _works(lambda: os.posix_fallocate(file, 0, self._settings["disk_bytes"] + 1)):
                    went(f"writing more than {self._settings['disk_bytes']} bytes")
            finally:
                os.close(file)
                os.unlink("probe", dir_fd=directory)

    def identity(self) -> None:
        """Nobody gets root's id, a capability or new privileges back, and the init ends with the zygote."""
        with self._layer("uid") as went:
            if _works(lambda: os.setresuid(0, 0, 0)):
                went("becoming root")
        with self._layer("capabilities") as went:
            if _works(lambda: os.chroot("/")):
                went("changing the root")
            if _works(lambda: kernel.mount("tmpfs", "/", "tmpfs", 0)):
                went("mounting")
            if kernel.prctl(kernel.PR_CAPBSET_READ, 0):
                went("keeping a bounding set")
        with self._layer("privileges") as went:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) != 1 or _works(
                lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 0)
            ):
                went("gaining privileges")
        with self._layer("parent") as went:
            sign = ctypes.c_int()
            kernel.prctl(kernel.PR_GET_PDEATHSIG, ctypes.addressof(sign))
            if sign.value != signal.SIGKILL:
                went("outliving the zygote")

    def landlock(self) -> None:
        """A directory that is neither for reading nor for writing cannot even be listed."""
        with self._layer("landlock") as went:
            if _works(lambda: os.listdir("/")):
                went("listing /")

    def before_filter(self) -> None:
        """In the first state: limits hold, the init's memory is closed, and no fork passes without being asked for."""
        with self._layer("limits") as went:
            self._limits(went)
        with self._layer("dumpable") as went:
            if kernel.prctl(kernel.PR_GET_DUMPABLE) or _works(
                lambda: kernel.syscall("ptrace", _PTRACE, _PTRACE_SEIZE, os.getppid(), 0, 0)
            ):
                went("tracing a process of the same user")
        with self._layer("gate") as went:
            if _works(_fork_and_end):
                went("forking unasked")

    def after_filter(self) -> None:
        """Calls that the kernel would otherwise grant, or refuse for another reason, are refused by the filter."""
        with self._layer("seccomp") as went:
            for name, act, expected in _forbidden_calls():
                try:
                    act()
                except OSError as error:
                    if error.errno == expected:
                        continue
                went(name)

    @contextmanager
    def _layer(self, name: str) -> Iterator[Callable[[str], None]]:
        through: list[str] = []
        if self._has(name):
            yield through.append
            self.results[name] = ", ".join(through)
        else:
            yield lambda _: None

    def _limits(self, went: Callable[[str], None]) -> None:
        held: list[int] = []
        while len(held) <= self._settings["open_files"] and _works(lambda: held.append(os.dup(0))):
            pass
        if len(held) > self._settings["open_files"]:
            went("opening files without end")
        for descriptor in held:
            os.close(descriptor)
        if _works(lambda: mmap.mmap(-1, self._settings["memory_bytes"] + (1 << 30), mmap.MAP_PRIVATE).close()):
            went("taking memory without end")
        if resource.getrlimit(resource.RLIMIT_NPROC)[1] > self._settings["threads"]:
            went("starting threads without end")
        file = os.memfd_create("probe")
        if _works(lambda: os.pwrite(file, b"x", self._settings["file_bytes"] + 1)):
            went("writing a file without end")
        os.close(file)
        if _works(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 16, 1 << 16))):
            went("raising a limit")


def _works(act: Callable[[], object]) -> bool:
    try:
        act()
    except (OSError, ValueError, MemoryError):
        return False
    return True


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
