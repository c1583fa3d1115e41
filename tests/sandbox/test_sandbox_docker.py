"""The sandbox in a container: skipped, with the reason, where no daemon answers or the image is not built."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conformance.sandbox import HASTY, LIMITS, SPECS, SandboxContract, Shelf
from sport.errors import SandboxError
from sport.sandbox import docker
from sport.sandbox.docker import DockerSandbox


@pytest.fixture(scope="module")
def container() -> None:
    if (problem := asyncio.run(docker.trouble())) is not None:
        pytest.skip(problem)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def sandbox(container: None, shelf: Shelf) -> AsyncIterator[DockerSandbox]:
    made = DockerSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def hasty(container: None, shelf: Shelf) -> AsyncIterator[DockerSandbox]:
    made = DockerSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=HASTY)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.slow
class TestDocker(SandboxContract):
    """Every property of the suite."""


def test_the_container_is_closed() -> None:
    words = " ".join(docker.command("image", LIMITS))
    for option in (
        "--network none",
        "--cap-drop ALL",
        "no-new-privileges",
        "--read-only",
        "--user 65534",
        ":/sport:ro",
    ):
        assert option in words
    assert "--privileged" not in words and "docker.sock" not in words


async def test_no_docker_is_one_clear_message(monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    made = DockerSandbox(call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS)
    with pytest.raises(SandboxError, match="install Docker"):
        await made.start()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "no Docker daemon answers"),
        ('test "$1" = version && echo 27.0 || exit 1', "docker build -t sport-sandbox"),
    ],
)
async def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shelf: Shelf, script: str, words: str
) -> None:
    fake = tmp_path / "docker"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxError, match=words):
        await DockerSandbox(call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS).start()
