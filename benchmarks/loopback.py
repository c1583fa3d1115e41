"""A chat server on loopback with a capacity, as a real one has, and with faults where wanted; a process of its own.

It has so many slots, and a call holds one for so long, whatever ``n`` is. What it says follows from the conversation: a
controller's texts for the step that is due, or a critic's choice. ``GET /stats`` tells how long its slots were busy.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("429", "500", "reset", "stall", "cut", "fewer", "empty")
DOOMED = "doomed"  # a conversation with this word gets nothing but 500
CRITIC = "critic"  # the model's name that judges
BEST = 1  # what an honest critic says, always
_STALL_S = 3.0


def codes(step: int, steps: int, n: int) -> list[str]:
    """What the controller says: work until the last step, then answers. The last of more than two equals the first."""
    if step + 1 < steps:
        said = [f"text = look('a.txt')\nx{step} = {i} + len(text)\nprint(x{step})" for i in range(n)]
    else:
        said = [f"final_answer({i})" for i in range(n)]
    if n > 2:
        said[-1] = said[0]
    return [f"Thought: step {step}.\nCode:\n```py\n{code}\n```" for code in said]


class Handler(BaseHTTPRequestHandler):
    """One connection; calls wait for a slot."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """The figures."""
        self._reply(200, json.dumps(self.server.stats()).encode())

    def do_POST(self) -> None:
        """A call: a slot, its time, its answer or its fault."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        words = json.dumps(body["messages"])
        fault = "500" if DOOMED in words else self.server.fault()
        with self.server.slot():
            time.sleep(self.server.delay_s)
            texts = self._texts(body, words)
        self._answer(fault, texts)

    def _texts(self, body: dict[str, Any], words: str) -> list[str]:
        if body["model"] == CRITIC:
            return [f"best: {BEST}"]
        step = sum(message["role"] == "assistant" for message in body["messages"])
        found = re.search(r"in (\d+) steps", words)
        return codes(step, int(found[1]) if found else 1, body.get("n", 1))

    def _answer(self, fault: str | None, texts: list[str]) -> None:
        if fault == "429":
            return self._reply(429, b'{"error": {"message": "slow down"}}', {"Retry-After": "1"})
        if fault == "500":
            return self._reply(500, b'{"error": {"message": "out of order"}}')
        if fault == "reset":
            return self._reset()
        if fault == "stall":
            time.sleep(_STALL_S)
        if fault == "fewer":
            texts = texts[:-1]
        if fault == "empty":
            texts = [""] * len(texts)
        content = json.dumps(_completion(texts)).encode()
        return self._reply(200, content[: len(content) // 2] if fault == "cut" else content)

    def _reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RD)
        self.rfile.close()
        self.wfile.close()
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Be silent."""


def _completion(texts: Sequence[str]) -> dict[str, Any]:
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 500, "completion_tokens": 50 * len(texts)}
    return {"id": "c", "object": "chat.completion", "model": "loopback", "choices": choices, "usage": usage}


class Server(ThreadingHTTPServer):
    """``slots`` calls at once, ``delay_s`` each; a ``share`` of the calls goes wrong, every kind as often."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, slots: int, delay_s: float, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.delay_s = delay_s
        self._slots = threading.Semaphore(slots)
        self._share = share
        self._chance = random.Random(seed)
        self._guard = threading.Lock()
        self._busy_s = 0.0
        self._calls: Counter[str] = Counter()

    def fault(self) -> str | None:
        """The next call's, drawn by the seed in the order of calls."""
        with self._guard:
            drawn = self._chance.choice(FAULTS) if self._chance.random() < self._share else None
            self._calls[drawn or "sound"] += 1
        return drawn

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for one, hold it, and count how long it was held."""
        with self._slots:
            began = time.monotonic()
            try:
                yield
            finally:
                with self._guard:
                    self._busy_s += time.monotonic() - began

    def stats(self) -> dict[str, Any]:
        """Seconds that slots were held, all together, and calls by what became of them."""
        with self._guard:
            return {"busy_s": self._busy_s, "calls": dict(self._calls)}

    def handle_error(self, *_: Any) -> None:
        """Clients may hang up."""


class Loopback:
    """The server's address, and its figures."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        """What ``GET /stats`` says."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats", timeout=10) as reply:
            found: dict[str, Any] = json.load(reply)
        return found


@contextmanager
def running(slots: int = 8, delay_s: float = 0.5, share: float = 0.0, seed: int = 0) -> Iterator[Loopback]:
    """The server in a process of its own, so that its time is nobody else's."""
    words = [sys.executable, __file__, str(slots), str(delay_s), str(share), str(seed)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Loopback(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Serve until standard input is closed, which is when whoever started it is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("slots", int), ("delay_s", float), ("share", float), ("seed", int)):
        parser.add_argument(name, type=kind)
    given = parser.parse_args()
    server = Server(given.slots, given.delay_s, given.share, given.seed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
