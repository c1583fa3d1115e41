"""The executor is the configuration's choice, and one without walls is noted in the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from sport import wire
from sport.config import Config, SandboxSection
from sport.sandbox.docker import DockerSandbox
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.unsafe import UnsafeSandbox
from sport.store import Store
from sport.tools.cache import MemoryCache
from sport.tools.toolbox import Toolbox


def made(folder: Path, executor: str) -> tuple[object, list[dict[str, object]]]:
    config = Config.model_validate({"sandbox": {"executor": executor}})
    with Store.create(folder, config) as store:
        toolbox = Toolbox((), workers=1, deadline_s=1.0, memory_mb=256, cache=MemoryCache())
        found = wire.sandbox(store, toolbox)
        log = folder / "log.jsonl"
        return found, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize(
    ("executor", "kind"), [("forked", ForkedSandbox), ("docker", DockerSandbox), ("unsafe", UnsafeSandbox)]
)
def test_the_configuration_names_it(tmp_path: Path, executor: str, kind: type) -> None:
    found, log = made(tmp_path / "run", executor)
    assert type(found) is kind
    warned = [event for event in log if "without any wall" in str(event.get("text"))]
    assert len(warned) == (executor == "unsafe")


def test_every_name_has_one() -> None:
    assert set(wire.SANDBOXES) == set(get_args(SandboxSection.model_fields["executor"].annotation))
