"""What the host holds that no program may touch: a canary file that everybody may write, and listeners on the network.

Ordinary permissions protect none of it, so that whatever is unharmed afterwards was protected by the sandbox.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from pathlib import Path

import sport


class Places:
    """Made before the sandbox starts; ``harm`` says what happened to them since."""

    def __init__(self, root: Path) -> None:
        self.token = f"canary-{secrets.token_hex(8)}"
        self.folder = root / "canary"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.canary = self.folder / "canary.txt"
        self.canary.write_text(self.token)
        self.canary.chmod(0o666)
        os.environ["SPORT_SECRET"] = self.token
        os.environ["OPENAI_API_KEY"] = self.token
        self._heard: list[str] = []
        self._sockets: list[socket.socket] = []
        self._abstract = f"sport-{secrets.token_hex(6)}"
        self._path = self.folder / "host.sock"
        self._port = self._listen_everywhere()
        self._before = self._facts()

    def fill(self, code: str) -> str:
        """``code`` with the names of these places in it."""
        names = {
            "@CANARY@": self.canary, "@CANARYDIR@": self.folder, "@PORT@": self._port, "@SOCKET@": self._path,
            "@ABSTRACT@": self._abstract, "@SOURCE@": Path(sport.__file__).resolve().parents[1],
        }  # fmt: skip
        for name, value in names.items():
            code = code.replace(name, str(value))
        return code

    def harm(self) -> list[str]:
        """What is no longer as it was; looking restores the canary, so that every harm is told once."""
        found = [f"somebody connected: {who}" for who in self._heard]
        self._heard.clear()
        now = self._facts()
        found += [
            f"{name} changed: {self._before[name]} -> {now[name]}" for name in now if now[name] != self._before[name]
        ]
        if now != self._before:
            self._restore()
        return found

    def close(self) -> None:
        """Stop listening."""
        for made in self._sockets:
            made.close()

    def _facts(self) -> dict[str, object]:
        try:
            info, content = self.canary.stat(), self.canary.read_text(errors="replace")
            canary: object = (content, oct(info.st_mode), info.st_uid, info.st_gid, info.st_nlink, info.st_mtime_ns)
            attributes = os.listxattr(self.canary)
        except OSError as error:
            canary, attributes = str(error), []
        return {
            "canary": canary,
            "attributes of the canary": attributes,
            "folder of the canary": (sorted(os.listdir(self.folder)), oct(self.folder.stat().st_mode)),
            "host name": socket.gethostname(),
        }

    def _restore(self) -> None:
        self.folder.chmod(0o777)
        for name in set(os.listdir(self.folder)) - {"canary.txt", "host.sock", "host.sockD"}:
            path = self.folder / name
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.canary.unlink(missing_ok=True)
        self.canary.write_text(self.token)
        self.canary.chmod(0o666)
        self._before = self._facts()

    def _listen_everywhere(self) -> int:
        tcp = self._bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        port: int = tcp.getsockname()[1]
        self._bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port))
        if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
            self._bound(socket.AF_INET6, socket.SOCK_STREAM, ("::1", port))
        for name in (str(self._path), f"\0{self._abstract}"):
            self._bound(socket.AF_UNIX, socket.SOCK_STREAM, name)
            self._bound(socket.AF_UNIX, socket.SOCK_DGRAM, name + "D")
        for path in (self._path, Path(f"{self._path}D")):
            path.chmod(0o777)
        return port

    def _bound(self, family: int, kind: int, address: object) -> socket.socket:
        made = socket.socket(family, kind)
        made.bind(address)  # type: ignore[arg-type]
        if kind == socket.SOCK_STREAM:
            made.listen()
        self._sockets.append(made)
        threading.Thread(target=self._hear, args=(made, f"{family!s} {kind!s}"), daemon=True).start()
        return made

    def _hear(self, made: socket.socket, who: str) -> None:
        while True:
            try:
                if made.type == socket.SOCK_STREAM:
                    made.accept()[0].close()
                else:
                    made.recv(1)
            except OSError:
                return  # closed
            self._heard.append(who)
