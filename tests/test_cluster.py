"""A run on a Ray cluster comes to what it comes to in one process, also when a worker is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sport.config import Config
from sport.outpost import files_of
from sport.store import Store
from sport.types import CallRecord, File, Observation, ToolCall, ToolResult

ROOT = Path(__file__).resolve().parent.parent
MORE = ("synth.tasks=8", "explore.in_flight=2", "cluster.workers=2", "cluster.cpus=0.5", "tools.workers=1")


def start(*words: str | Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "RAY_DISABLE_IMPORT_WARNING": "1"}
    line = [sys.executable, "-m", "sport.cli", "run", *map(str, words)]
    return subprocess.Popen(line, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def tiny(folder: Path, *words: str, more: tuple[str, ...] = MORE) -> subprocess.Popen[str]:
    sets = [word for change in more for word in ("--set", change)]
    return start("configs/tiny.toml", "--out", folder, *sets, *words)


def dump(folder: Path) -> list[str]:
    with Store.view(folder) as store:
        return list(store.dump())


def events(folder: Path, name: str) -> list[dict]:
    path = folder / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [found for line in lines if (found := json.loads(line))["event"] == name]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_is_killed_and_the_run_is_the_one_of_a_single_process(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    process = tiny(alone)
    assert process.wait(600) == 0, process.communicate()[1]
    process = tiny(spread, "--ray", "local")
    deadline = time.monotonic() + 600
    while not (done := decided(spread)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(events(spread, "worker")[0]["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert done < 8 * 4
    assert len(events(spread, "worker died")) == 1
    assert len(events(spread, "worker")) >= 2
    assert dump(spread) == dump(alone)
    with Store.view(spread) as store:
        assert store.repeated_asks() <= 2  # what the killed one had under way
        assert all(store.walls(tree.id) for tree in store.trajectories("explore"))


def decided(folder: Path) -> int:
    if not (folder / "run.db").exists():
        return 0
    with Store.view(folder) as store:
        return sum(len(tree.steps) for tree in store.trajectories("explore"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_cluster_is_one_message(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    process = tiny(tmp_path / "run", "--ray", "127.0.0.1:1")
    _, err = process.communicate(timeout=280)
    assert process.returncode == 2
    assert "no cluster answers there" in err
    assert "Traceback" not in err


def test_every_file_of_an_observation_is_found() -> None:
    made = File(name="plot.png", sha256="a" * 64, size=3, media_type="image/png")
    argument = {"image": {"file": "b" * 64, "name": "image_1.png"}, "what": "shapes"}
    result = ToolResult(value=None, files=(made.model_copy(update={"sha256": "c" * 64}),))
    calls = (CallRecord(call=ToolCall(name="crop", arguments=argument), result=result),)
    found = files_of(Observation(outcome="ok", files=(made,), calls=calls))
    assert {file.sha256[0]: file.name for file in found} == {"a": "plot.png", "b": "image_1.png", "c": "plot.png"}


def test_workers_ask_for_what_the_configuration_says() -> None:
    assert (Config().cluster.workers, Config().cluster.gpus) == (None, 0.0)
