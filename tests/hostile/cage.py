"""What stands around the runner, so that a program that gets out harms the tests at most, not the machine.

As root: a process-id and mount namespace of its own that ends with it, and control groups for processes and memory
where they can be made. As an ordinary user: the same namespaces inside a user namespace, where the system allows it.
None of this is part of the sandbox. It also opens private homes: an interpreter below a directory that only root may
enter is shown to the ordinary user at its own path, in a mount namespace that nobody else sees.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import sport

PROCESSES = 600
MEMORY_BYTES = 6 << 30
HERE = Path(__file__).resolve().parents[1]
ORDINARY = 61917
"""A user that nobody is."""

_PRIVATE = "mount --make-rprivate / && mount -t tmpfs -o mode=1777 none /dev/shm"  # other runs have boxes there
_NAMESPACES = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]


def command(words: Sequence[str], groups: Sequence[Path] = ()) -> list[str]:
    """``words`` inside the cage."""
    lines = [f"echo $$ > {shlex.quote(str(group / 'cgroup.procs'))}" for group in groups]
    if os.getuid() == 0:
        lines += [_PRIVATE, *_open_homes()]
    script = "\n".join(["set -e", *lines, 'exec "$@"'])
    return [*namespaces(), "sh", "-c", script, "sh", *words]


@cache
def namespaces() -> tuple[str, ...]:
    """The words that make a cage here; none where the system refuses."""
    if not shutil.which("unshare"):
        return ()
    for words in (_NAMESPACES, [_NAMESPACES[0], "--user", "--map-current-user", *_NAMESPACES[1:]]):
        if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return tuple(words)
    return ()


@contextlib.contextmanager
def groups() -> Iterator[list[Path]]:
    """Control groups of our own (version 1 or 2), removed at the end; none where they cannot be made."""
    made: list[Path] = []
    root = Path("/sys/fs/cgroup")
    for controller, limit, value in (
        ("pids", "pids.max", PROCESSES),
        ("memory", "memory.limit_in_bytes", MEMORY_BYTES),
        ("memory", "memory.memsw.limit_in_bytes", MEMORY_BYTES),
    ):
        group = root / controller / f"sport-hostile-{os.getpid()}"
        try:
            group.mkdir(exist_ok=True)
            (group / limit).write_text(str(value))
        except OSError:
            with contextlib.suppress(OSError):
                if group not in made:
                    group.rmdir()
            continue
        if group not in made:
            made.append(group)
    try:
        yield made
    finally:
        for group in made:
            with contextlib.suppress(OSError):  # still busy: the next boot removes it
                group.rmdir()


def environment() -> dict[str, str]:
    """What the runner needs, and nothing else of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    source = Path(sport.__file__).resolve().parents[1]
    path = os.pathsep.join([str(source), str(HERE)])
    return {**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "HOME": "/nonexistent"}


def _open_homes() -> list[str]:
    """Lines of a script that make what Python needs reachable for everybody."""
    needed = {Path(p).resolve() for p in (sys.base_prefix, sys.prefix, HERE.parent)}
    private = {parent: path for path in needed for parent in path.parents if _is_private(parent)}
    lines = []
    for parent in sorted(private, key=lambda path: len(path.parts))[:1]:
        inner = [path for path in needed if parent in path.parents]
        lines.append('stash=$(mktemp -d); chmod 755 "$stash"')
        for number, path in enumerate(inner):
            lines.append(f'mkdir "$stash/{number}"; mount --bind {shlex.quote(str(path))} "$stash/{number}"')
        lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(parent))}")
        for number, path in enumerate(inner):
            quoted = shlex.quote(str(path))
            lines.append(f'mkdir -p {quoted}; mount --bind "$stash/{number}" {quoted}')
    return lines


def _is_private(path: Path) -> bool:
    return not path.stat().st_mode & 0o001
