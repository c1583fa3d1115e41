"""Real HTTP servers on loopback that speak the chat protocol: one follows a script of faults, one has a model."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sport.types import File, Image, Message, Sample, Sampling, Text

Play = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """One request. What answers is a function of the server's."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, _headers(self), {}))
        if self.server.models is None:
            return self.reply(404, {"detail": "no such page"})
        return self.reply(200, {"object": "list", "data": [{"id": m, "object": "model"} for m in self.server.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, _headers(self), body))
        self.server.answer(self, body)

    def reply(self, status: int, data: Any, **headers: str) -> None:
        """A whole reply; ``data`` is bytes, or becomes JSON."""
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def reset(self) -> None:
        """Break the connection with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RD)
        self.rfile.close()
        self.wfile.close()
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Be silent."""


def _headers(handler: Handler) -> dict[str, str]:
    return {name.lower(): value for name, value in handler.headers.items()}


class Server(ThreadingHTTPServer):
    """Remembers what it was asked: (path, headers, body)."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Play, models: Sequence[str] | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.models = models
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Bodies of the calls."""
        return [body for path, _, body in self.seen if path.endswith("/chat/completions")]

    def handle_error(self, *_: Any) -> None:
        """Clients of these tests hang up on purpose."""


@contextmanager
def serving(answer: Play, models: Sequence[str] | None = ("tiny",)) -> Iterator[Server]:
    server = Server(answer, models)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def completion(*texts: str | None, finish: str = "stop", usage: bool = True, **more: Any) -> dict[str, Any]:
    """A reply with these texts: seven tokens of prompt, three a text."""
    charged = {"usage": {"prompt_tokens": 7, "completion_tokens": 3 * len(texts)}} if usage else {}
    choices = [
        {"index": i, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
        for i, text in enumerate(texts)
    ]
    return {"id": "c", "object": "chat.completion", "model": "tiny-1", "choices": choices, **charged, **more}


def echo(handler: Handler, body: dict[str, Any]) -> None:
    """Says back the last words, the seed and the candidate, n times: an honest server."""
    content = body["messages"][-1]["content"]
    said = content if isinstance(content, str) else content[-1].get("text", "picture")
    handler.reply(200, completion(*(f"{said} {body.get('seed')} {i}" for i in range(body.get("n", 1)))))


def echo_one(handler: Handler, body: dict[str, Any]) -> None:
    """The same, but it ignores n."""
    echo(handler, {**body, "n": 1})


def script(*plays: Play, then: Play = echo) -> Play:
    """One play a call in the order of their coming; then always the last."""
    left, guard = list(plays), threading.Lock()

    def answer(handler: Handler, body: dict[str, Any]) -> None:
        with guard:
            play = left.pop(0) if left else then
        play(handler, body)

    return answer


def status(number: int, message: str = "no", **more: Any) -> Play:
    headers = {name: str(more.pop(name)) for name in ("Retry_After",) if name in more}
    return lambda handler, _: handler.reply(number, {"error": {"message": message, **more}}, **headers)


def raw(data: bytes, kind: str = "application/json") -> Play:
    return lambda handler, _: handler.reply(200, data, Content_Type=kind)


def reset(handler: Handler, _: dict[str, Any]) -> None:
    handler.reset()


def stall(handler: Handler, _: dict[str, Any]) -> None:
    time.sleep(3)


def drip(handler: Handler, _: dict[str, Any]) -> None:
    """A body that comes byte by byte: no single read ever takes long."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


# -------------------------------------------------------------------------------------- a model behind it


@contextmanager
def model(folder: Path) -> Iterator[Server]:
    """A checkpoint directory behind the protocol, n and seeds and pictures and log-probabilities included."""
    from sport.checkpoint import load
    from sport.llm.local import LocalLLM

    files: dict[str, bytes] = {}
    llm = LocalLLM(load(folder), lambda file: files[file.sha256])
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def answer(handler: Handler, body: dict[str, Any]) -> None:
        sampling = Sampling(
            temperature=body["temperature"], top_p=body["top_p"], seed=body["seed"], max_new_tokens=body["max_tokens"]
        )
        conversation = [_message(turn, files) for turn in body["messages"]]
        asked = asyncio.run_coroutine_threadsafe(llm.sample(conversation, body.get("n", 1), sampling), loop)
        handler.reply(200, _reply(asked.result(60)))

    try:
        with serving(answer) as server:
            yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _message(turn: dict[str, Any], files: dict[str, bytes]) -> Message:
    content = turn["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return Message(role=turn["role"], parts=tuple(_part(part, files) for part in parts))


def _part(part: dict[str, Any], files: dict[str, bytes]) -> Text | Image:
    if part["type"] == "text":
        return Text(text=part["text"])
    head, _, data = part["image_url"]["url"].partition(";base64,")
    content = base64.b64decode(data)
    digest = hashlib.sha256(content).hexdigest()
    files[digest] = content
    name, kind = f"{digest[:8]}.png", head.removeprefix("data:")
    return Image(file=File(name=name, sha256=digest, size=len(content), media_type=kind))


def _reply(samples: Sequence[Sample]) -> dict[str, Any]:
    choices = [
        {
            "index": i,
            "finish_reason": "stop" if sample.finished else "length",
            "message": {"role": "assistant", "content": sample.text},
            "logprobs": {"content": [{"token": "", "logprob": sample.logprob}]},
        }
        for i, sample in enumerate(samples)
    ]
    usage = {
        "prompt_tokens": sum(sample.usage.prompt_tokens for sample in samples),
        "completion_tokens": sum(sample.usage.completion_tokens for sample in samples),
    }
    return {"model": "nano", "choices": choices, "usage": usage}


# ------------------------------------------------------------------------------------------ a judge behind it


def judge(worth: Callable[[str], float]) -> Play:
    """Reads the candidates out of a critic's prompt and names the worthiest, as a model would."""
    import judges

    def answer(handler: Handler, body: dict[str, Any]) -> None:
        conversation = [_message(turn, {}) for turn in body["messages"]]
        if not judges.shown(conversation):  # sport doctor says hello
            return handler.reply(200, completion("yes"))
        [text] = judges.best(worth)(conversation, 1, Sampling())
        return handler.reply(200, completion(text))

    return answer


def reviewer(keep: Callable[[str], bool | None]) -> Play:
    """Reads the trajectory out of a reviewer's prompt and says whether to keep it."""

    def answer(handler: Handler, body: dict[str, Any]) -> None:
        words = _message(body["messages"][0], {}).text
        verdict = {"reason": "It stands to reason.", "criteria": {"tools": "fine"}, "keep": keep(words)}
        handler.reply(200, completion(json.dumps(verdict)))

    return answer
