"""Adapters go live on a server that behaves as vLLM documents: a new name, load, ask by name, unload; refusals."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers
from conformance.llm import ask, sampling
from sport.config import Endpoint, Serving
from sport.errors import CheckpointError, FatalModelError
from sport.llm.endpoint import EndpointLLM
from sport.llm.ledger import Ledger
from sport.llm.serving import Live, live_name
from sport.types import Spent


class VLLM:
    """What the documentation promises of ``/v1/load_lora_adapter``, ``/v1/unload_lora_adapter`` and ``model=NAME``."""

    def __init__(self, *, runtime: bool = True, rank: int = 16) -> None:
        self.runtime, self.rank = runtime, rank
        self.loaded: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        self.guard = threading.Lock()

    def __call__(self, handler: servers.Handler, body: dict) -> None:
        what = handler.path.rpartition("/")[2]
        with self.guard:
            if what == "completions":
                return self._complete(handler, body)
            if not self.runtime:
                return handler.reply(404, {"detail": "Not Found"})
            name = body["lora_name"]
            self.told.append((what, name))
            return self._load(handler, name, body) if what == "load_lora_adapter" else self._unload(handler, name)

    def _complete(self, handler: servers.Handler, body: dict) -> None:
        if body["model"] not in ("base", *self.loaded):
            return _error(handler, 404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        return handler.reply(200, servers.completion(*(["hello"] * body.get("n", 1))) | {"model": body["model"]})

    def _load(self, handler: servers.Handler, name: str, body: dict) -> None:
        if name in self.loaded:
            return _error(handler, 400, f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")
        config = Path(body["lora_path"]) / "adapter_config.json"
        if not config.exists():
            return _error(
                handler, 404, f"Loading lora {name} failed: No adapter found for {body['lora_path']}", "NotFound"
            )
        rank = json.loads(config.read_text())["r"]
        if rank > self.rank:
            return _error(
                handler, 400, f"LoRA rank {rank} is greater than max_lora_rank {self.rank}.", "BadRequestError"
            )
        self.loaded[name] = body["lora_path"]
        return handler.reply(200, f"Success: LoRA adapter '{name}' added successfully.".encode())

    def _unload(self, handler: servers.Handler, name: str) -> None:
        if self.loaded.pop(name, None) is None:
            return _error(handler, 404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        return handler.reply(200, f"Success: LoRA adapter '{name}' removed successfully.".encode())


def _error(handler: servers.Handler, status: int, message: str, kind: str) -> None:
    handler.reply(status, {"error": {"message": message, "type": kind, "code": status}})


def adapter(folder: Path, content: bytes = b"weights", rank: int = 8) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder


@pytest.fixture
def vllm() -> VLLM:
    return VLLM()


@pytest.fixture
def server(vllm: VLLM) -> Iterator[servers.Server]:
    with servers.serving(vllm, models=["base"]) as running:
        yield running


def make(settings: Endpoint) -> EndpointLLM:
    ledger = Ledger("controller.endpoint", settings, Spent(), lambda _: None)
    return EndpointLLM(settings, "controller.endpoint", lambda file: b"", ledger)


def live(*urls: str, **how: object) -> Live:
    settings = Endpoint(base_urls=urls, model="base", tries=2, max_wait_s=0.05)
    return Live(settings, Serving(**how), "controller.endpoint", make)


async def test_each_iteration_has_a_name_of_its_own_and_the_old_one_goes(tmp_path, vllm, server):
    one, two = adapter(tmp_path / "01" / "adapter"), adapter(tmp_path / "02" / "adapter", b"others")
    served = live(server.url)
    first = await served(one)
    [said] = await first.sample(ask("hi"), 1, sampling())
    assert said.source.startswith(live_name(one))
    second = await served(two)
    assert list(vllm.loaded) == [live_name(two)]
    assert vllm.loaded[live_name(two)] == str(two.absolute())
    assert vllm.told == [
        ("load_lora_adapter", live_name(one)),
        ("load_lora_adapter", live_name(two)),
        ("unload_lora_adapter", live_name(one)),
    ]
    assert [s.text for s in await second.sample(ask("hi"), 3, sampling())] == ["hello"] * 3


async def test_every_server_of_an_endpoint_is_taught(tmp_path, vllm, server):
    other = VLLM()
    with servers.serving(other) as second:
        await live(server.url, second.url)(adapter(tmp_path / "adapter"))
    assert list(vllm.loaded) == list(other.loaded) != []


async def test_a_resumed_run_finds_its_adapter_there_already(tmp_path, vllm, server):
    folder = adapter(tmp_path / "adapter")
    await live(server.url)(folder)
    await live(server.url)(folder)
    assert list(vllm.loaded) == [live_name(folder)]


async def test_a_server_that_was_restarted_is_taught_again(tmp_path, vllm, server):
    folder = adapter(tmp_path / "adapter")
    engine = await live(server.url)(folder)
    vllm.loaded.clear()
    async with engine.lane():
        assert len(await engine.sample(ask("hi"), 2, sampling())) == 2
    assert list(vllm.loaded) == [live_name(folder)]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (VLLM(runtime=False), r"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.*controller\.serving\.how"),
        (VLLM(rank=4), r"greater than max_lora_rank 4.*--max-lora-rank 8 or more, or lower tune\.rank"),
    ],
)
async def test_a_refusal_says_what_to_change(tmp_path, state, words):
    with servers.serving(state) as running, pytest.raises(FatalModelError, match=words):
        await live(running.url)(adapter(tmp_path / "adapter"))
    assert state.loaded == {}


async def test_a_refused_adapter_leaves_the_one_before_alone(tmp_path, vllm, server):
    one, large = adapter(tmp_path / "01" / "adapter"), adapter(tmp_path / "02" / "adapter", rank=64)
    served = live(server.url)
    engine = await served(one)
    with pytest.raises(FatalModelError, match="max_lora_rank"):
        await served(large)
    assert len(await engine.sample(ask("hi"), 1, sampling())) == 1


async def test_a_path_that_the_server_sees_otherwise(tmp_path, vllm, server):
    folder = adapter(tmp_path / "there" / "01" / "adapter")
    here = adapter(tmp_path / "run" / "tune" / "01" / "adapter")
    await live(server.url, root=str(tmp_path / "there"))(here)
    assert list(vllm.loaded.values()) == [str(folder)]
    with pytest.raises(FatalModelError, match=r"does the server see that path\? controller\.serving\.root"):
        await live(server.url, root="/nowhere")(adapter(tmp_path / "run" / "tune" / "02" / "adapter", b"more"))


async def test_nobody_answers(tmp_path):
    with servers.serving(VLLM()) as gone:
        pass
    with pytest.raises(FatalModelError, match="no adapter can be loaded"):
        await live(gone.url)(adapter(tmp_path / "adapter"))


async def test_no_adapter_there(tmp_path, server):
    with pytest.raises(CheckpointError, match="expected an adapter"):
        await live(server.url)(tmp_path)


async def test_a_server_without_runtime_adapters_is_restarted(tmp_path):
    state, folder = VLLM(runtime=False), adapter(tmp_path / "adapter")
    note = tmp_path / "note"
    command = (sys.executable, "-c", f"open({str(note)!r}, 'w').write('{{name}} {{adapter}}')")
    with servers.serving(state, models=["base"]) as running:
        server_models = running.models

        def come_back() -> None:
            while not note.exists():
                threading.Event().wait(0.02)
            state.loaded[live_name(folder)] = str(folder)
            running.models = [*server_models, live_name(folder)]

        thread = threading.Thread(target=come_back)
        thread.start()
        engine = await live(running.url, how="restart", command=command, wait_s=20.0)(folder)
        thread.join()
        assert len(await engine.sample(ask("hi"), 1, sampling())) == 1
    assert note.read_text() == f"{live_name(folder)} {folder}"


async def test_a_restart_that_fails_or_does_not_help_is_named(tmp_path, server):
    folder = adapter(tmp_path / "adapter")
    fails = (sys.executable, "-c", "import sys; sys.exit('no such unit')")
    with pytest.raises(FatalModelError, match=r"ended with 1: no such unit"):
        await live(server.url, how="restart", command=fails)(folder)
    with pytest.raises(FatalModelError, match=r"does not offer sport-.*it has base"):
        await live(server.url, how="restart", command=(sys.executable, "-c", ""), wait_s=0.1)(folder)


def test_names_follow_from_the_weights(tmp_path):
    one, same, other = (adapter(tmp_path / name, content) for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")))
    assert live_name(one) == live_name(same) != live_name(other)
    assert subprocess.list2cmdline([live_name(one)]) == live_name(one)  # a word anywhere
