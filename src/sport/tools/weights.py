"""Directories and files of weights that a user has got: found, and told apart by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from sport.errors import ConfigError

SAMPLE = 1 << 20  # bytes from each end of a large file that its fingerprint looks at


class NotReady(ConfigError):
    """A tool that would work if something were there; the message says how to get it.

    ``needs`` is "weights", "key", "package" or "model".
    """

    def __init__(self, message: str, needs: str) -> None:
        super().__init__(message)
        self.needs = needs


def found(given: Any, where: str, recommended: str, licence: str, option: str = "weights") -> Path:
    """Where weights lie that ``option`` names, as an absolute path.

    Raises:
        NotReady: none are named, or nothing is there.
    """
    get = f"get {recommended} ({licence}) and set {where}.{option} to where it lies"
    if not given:
        raise NotReady(f"{where}.{option}: this tool needs weights; {get}", "weights")
    path = Path(str(given))
    if not path.exists():
        raise NotReady(f"{where}.{option}: nothing lies at {given}; {get}", "weights")
    return path.resolve()


def fingerprint(path: Path) -> str:
    """12 hex digits over a file, or over names and contents of a directory's files.

    Of files above 2 MiB only the size and both ends are read: enough to tell one release from another, not to find
    damage.
    """
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for file in files:
        size = file.stat().st_size
        digest.update(f"{'' if file == path else file.relative_to(path)}:{size}:".encode())
        with file.open("rb") as stream:
            if size <= 2 * SAMPLE:
                digest.update(stream.read())
            else:
                digest.update(stream.read(SAMPLE))
                stream.seek(-SAMPLE, 2)
                digest.update(stream.read())
    return digest.hexdigest()[:12]
