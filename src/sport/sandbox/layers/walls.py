"""Inside: puts the layers up in their order. The zygote prepares once; every box gets the same ones or does not start.

A layer is "on", or says why not: "disabled" by the configuration, "unavailable" on this machine, "degraded" where only
a part of it is there. What is on here is proved afterwards, from within a box (:mod:`~sport.sandbox.layers.probes`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from sport.sandbox.layers import identity, kernel, landlock, limits, reasons, root, seccomp
from sport.sandbox.layers.probes import Probes

ORDER = (
    "namespaces", "root", "disk", "limits", "uid", "capabilities", "privileges", "dumpable", "parent", "landlock",
    "gate", "seccomp",
)  # fmt: skip
NAMESPACES = kernel.NEWNS | kernel.NEWPID | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS
CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN = 6, 7, 21
States = dict[str, tuple[str, str]]


class Walls:
    """The layers of one run. ``settings``: ``home``, ``without`` (names), and the figures of :mod:`limits` and disk."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.states: States = {name: ("on", "") for name in ORDER}
        self._settings = settings
        self._home: str = settings["home"]
        self._zygote = os.getpid()
        self._stage: root.Stage | None = None
        self._own_users = False  # no root: privileges come from a user namespace
        self._uids: dict[int, int] = {}  # by process id of the box's init
        self.readable: list[str] = []

    def has(self, name: str) -> bool:
        """Whether a layer, or a part of it, is in force."""
        return self.states[name][0] in ("on", "degraded")

    # ---------------------------------------------------------------------------------------- the zygote

    def prepare(self, search_path: list[str]) -> None:
        """Find out what this machine offers and build what boxes share. In the zygote, single-threaded."""
        for name in self._settings["without"]:
            self.states[name] = ("disabled", "sandbox.without")
        self.readable = root.readable(search_path)
        rooted = identity.holds(CAP_SETUID) and identity.holds(CAP_SETGID)
        self._try("namespaces", self._prepare_namespaces, reasons.no_namespaces)
        for name in ("root", "disk"):
            if self.has(name) and not self.has("namespaces"):
                self.states[name] = ("unavailable", "it needs namespaces")
        self._try("root", self._prepare_root)
        if self.has("disk") and not self.has("root"):
            self.states["disk"] = ("unavailable", "it needs a root of its own")
        self._prepare_uid(rooted)
        for name in ("landlock", "gate", "seccomp"):
            if self.has(name) and not self.has("privileges"):
                self.states[name] = ("unavailable", "the kernel wants no_new_privs first")
        self._try("landlock", self._prepare_landlock)
        self._try("gate", lambda: _trial(_gate_trial))
        self._try("seccomp", lambda: _trial(_seccomp_trial))

    def strike(self) -> bool:
        """Take down what :meth:`prepare` built; False where that is still in the way of deleting."""
        if self._stage is None:
            return True
        try:
            self._stage.strike()
            os.rmdir(self._stage.base)
        except OSError:
            return False
        return True

    def clone_flags(self) -> int:
        """The namespaces that a box is born into."""
        return NAMESPACES if self.has("namespaces") else 0

    def next_uid(self) -> int | None:
        """A user id for the next box; None where boxes keep that of the zygote. Raises OSError."""
        if self.states["uid"][0] != "on":
            return None
        return identity.free_uid(set(self._uids.values()), os.getpid())

    def remember(self, pid: int, uid: int | None) -> None:
        """A box's init has that user id until :meth:`forget`."""
        if uid is not None:
            self._uids[pid] = uid

    def forget(self, pid: int) -> None:
        """A box is gone; its user id is free."""
        self._uids.pop(pid, None)

    # -------------------------------------------------------------------------------------------- a box

    def enclose(self, box: str, uid: int | None, alive: int, probes: Probes) -> tuple[int, str]:
        """Everything but the filters, in a box's init. Raises OSError, after which the box must not be used.

        ``alive`` is the read end of a pipe that the zygote holds open. Returns a descriptor of the box's directory
        and the path under which code sees its working directory.
        """
        here = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        today = limits.address_space()
        shared = uid is None and os.getuid() != 0 and not (self._own_users and self.has("namespaces"))
        others = limits.shared_threads() if shared else 0
        _first_to_go()
        probes.namespaces(self._zygote)
        directory, turn = self._directory(box)
        probes.root(self.readable[0])
        probes.disk(directory)
        if self._own_users and self.has("namespaces"):
            identity.new_user_namespace(0, here)  # one per box: Linux counts a user's threads in each by itself
        os.close(here)
        if self.has("limits"):
            limits.apply(self._settings, today, others)
            probes.others = others
        if self.has("capabilities"):
            identity.bound_capabilities()
        if uid is not None:
            identity.become(uid)
        if self.has("capabilities"):
            identity.drop_capabilities()
        if self.has("privileges"):
            identity.no_new_privileges()
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0 if self.has("dumpable") else 1)
        if self.has("parent"):
            die_with(alive)
        probes.identity()
        if self.has("landlock"):
            landlock.restrict(self.readable, [turn], [f"/dev/{name}" for name in root.DEVICES])
        probes.landlock()
        return directory, os.path.join(turn, "work")

    def place(self, box: str) -> str | None:
        """Where a box's directory lies among the host's; None where it has a file system of its own."""
        return None if self.has("disk") else os.path.join(self._home, box)

    def gate(self) -> int | None:
        """In a box's first state: have forks asked for. The descriptor for whoever answers. Raises OSError."""
        return seccomp.install_gate() if self.has("gate") else None

    def close(self) -> None:
        """The last layer; no descriptor can be handed over any more. Raises OSError."""
        if self.has("seccomp"):
            seccomp.install_refusals(among_host_files=not self.has("root"))

    def close_init(self) -> None:
        """For the init, which forks no more. Raises OSError."""
        if self.has("seccomp"):
            seccomp.refuse_forks()
            seccomp.install_refusals()

    # ------------------------------------------------------------------------------------------- details

    def _try(self, name: str, prepare: Callable[[], None], why: Callable[[OSError], str] = reasons.said) -> None:
        if not self.has(name):
            return
        try:
            prepare()
        except OSError as error:
            self.states[name] = ("unavailable", why(error))

    def _prepare_namespaces(self) -> None:
        if identity.holds(CAP_SYS_ADMIN):
            kernel.unshare(kernel.NEWNS)
        else:
            here = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                identity.new_user_namespace(kernel.NEWNS, here)
            finally:
                os.close(here)
            self._own_users = True
        pid = kernel.fork(NAMESPACES)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    def _prepare_root(self) -> None:
        base = os.path.join(self._home, ".stage")
        os.mkdir(base)
        self._stage = root.Stage(base)
        try:
            self._stage.build(self.readable)
        except OSError:
            if self.strike():
                self._stage = None
            raise

    def _prepare_uid(self, rooted: bool) -> None:
        if not self.has("uid"):
            return
        if not rooted or self._own_users:
            self.states["uid"] = ("unavailable", f"only root can give ids away; boxes run as uid {os.getuid()}")
            return
        if not self.has("root"):
            hidden = [path for path in self.readable if not _open_to_all(path)]
            if hidden:
                self.states["uid"] = ("unavailable", f"{hidden[0]} cannot be read by another user")
                return
            os.chmod(self._home, 0o711)  # boxes pass through to their own directories

    def _directory(self, box: str) -> tuple[int, str]:
        """Make the box's directory, and its root where it gets one: a descriptor, and the path of ``turn`` inside."""
        if self.has("root") and self._stage is not None:
            if self.has("disk"):
                size, count = self._settings["disk_bytes"], self._settings["disk_files"]
                return self._stage.enter(f"mode=0755,size={size},nr_inodes={count}"), root.BOX
            self._stage.take(self._own(box))
            return self._stage.enter(None), root.BOX
        own = self._own(box)
        return root.make_directory(own), os.path.join(own, "turn")

    def _own(self, box: str) -> str:
        own = os.path.join(self._home, box)
        os.mkdir(own, 0o755)
        return own

    def _prepare_landlock(self) -> None:
        try:
            abi = landlock.version()
        except OSError as error:
            raise OSError(error.errno, f"no ABI found: {reasons.said(error)}") from error
        _trial(self._landlock_trial)
        if abi < 3:
            self.states["landlock"] = ("degraded", f"ABI {abi}: files that may not be written can still be cut short")

    def _landlock_trial(self) -> None:
        identity.no_new_privileges()
        landlock.restrict(self.readable, [], [])


def die_with(alive: int) -> None:
    """Be killed when the zygote goes; ``alive`` tells whether it went before this call. Raises OSError."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_blocking(alive, False)
    try:
        gone = os.read(alive, 1) == b""
    except BlockingIOError:
        gone = False
    if gone:
        os._exit(1)


def _first_to_go() -> None:
    """Where memory runs out, boxes go before anything else."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:  # a wish, not a wall
        return


def _open_to_all(path: str) -> bool:
    while True:
        if not os.stat(path).st_mode & 0o001 and os.path.isdir(path):
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


def _trial(act: Callable[[], object]) -> None:
    """Do something irrevocable in a child. Raises OSError with what it said."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except OSError as error:
            os.write(write_end, reasons.said(error).encode()[:1000])
            os._exit(1)
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    status = os.waitpid(pid, 0)[1]
    if said or status != 0:
        raise OSError(0, said or f"a trial ended with status {status}")


def _gate_trial() -> None:
    identity.no_new_privileges()
    seccomp.install_gate()


def _seccomp_trial() -> None:
    identity.no_new_privileges()
    seccomp.install_refusals()
