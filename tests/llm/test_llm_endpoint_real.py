"""The endpoint engine against a server that nobody here wrote: ``transformers serve`` with a tiny random model."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.llm import ask
from models import tiny_qwen2
from sport import doctor
from sport.config import Endpoint
from sport.errors import FatalModelError
from sport.llm.endpoint import EndpointLLM
from sport.llm.ledger import Ledger
from sport.types import File, Sampling, Spent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(importlib.util.find_spec("fastapi") is None, reason="transformers serve needs fastapi"),
]

START = "import sys; from transformers.cli.transformers import main; sys.exit(main())"


def unread(file: File) -> bytes:
    raise AssertionError(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tiny_qwen2(tmp_path_factory.mktemp("served"))
    settings = made / "generation_config.json"  # this server draws only where the model's own settings say so
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_sample": True}))
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", START, "serve", str(folder)]
    cache = folder.with_name("cache")
    cache.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_CACHE": str(cache)}  # what it lists models from
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 200
        while not _up(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, "transformers serve ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _up(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def settings(url: str, folder: Path, **more: object) -> Endpoint:
    return Endpoint(base_urls=(url,), model=str(folder), max_wait_s=0.1, tries=2, **more)


def engine(url: str, folder: Path, notes: list[Spent]) -> EndpointLLM:
    where, own = "controller.endpoint", settings(url, folder)
    return EndpointLLM(own, where, unread, Ledger(where, own, Spent(), notes.append))


async def test_it_ignores_n_and_all_candidates_come_one_by_one(url: str, folder: Path) -> None:
    notes: list[Spent] = []
    samples = await engine(url, folder, notes).sample(ask("How many?"), 5, Sampling(max_new_tokens=8, seed=3))
    assert len(samples) == 5
    assert len({sample.text for sample in samples}) > 1
    assert all(sample.source.endswith(f"@{url}") for sample in samples)
    assert (notes[-1].calls, notes[-1].unknown) == (5, 0)
    assert notes[-1].completion_tokens == sum(sample.usage.completion_tokens for sample in samples) > 5
    assert notes[-1].prompt_tokens == sum(sample.usage.prompt_tokens for sample in samples) > 5


async def test_greedy_texts_are_equal_and_the_limit_is_told(url: str, folder: Path) -> None:
    llm = engine(url, folder, [])
    greedy = Sampling(temperature=0, max_new_tokens=4)
    (first,), (second,) = [await llm.sample(ask("How many?"), 1, greedy) for _ in range(2)]
    assert first == second
    assert first.finished is False
    assert first.usage.completion_tokens == 4


async def test_what_it_refuses_is_said_in_its_own_words(url: str, folder: Path) -> None:
    with pytest.raises(FatalModelError, match=r"Unexpected fields in the request: .'top_k'"):
        await engine(url, folder, []).sample(ask("How many?"), 1, Sampling(top_k=5, max_new_tokens=4))


def test_the_doctor_gets_its_token(url: str, folder: Path) -> None:
    (check,) = doctor.endpoint("controller.endpoint", settings(url, folder))
    assert "0 models, one token in" in check.found
    assert (check.state, check.advice) == ("warn", f"{folder} answers, but is not listed")
