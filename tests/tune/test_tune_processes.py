"""Two processes over gloo learn what one process learns: data parallel, and with sharded weights."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sport.tune.run import TuneResult
from tune.test_tune_run import weights
from tune.worker import work

ROOT = Path(__file__).parents[2]
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}
WAYS = {"ddp": {}, "fsdp": FSDP}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    folder = tmp_path_factory.mktemp("alone")
    return work(folder, folder / "out")


def together(folder: Path, out: Path, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}
    script = str(Path(__file__).with_name("worker.py"))
    return subprocess.run(
        [*command, script, str(folder), str(out)], env=environment, capture_output=True, text=True, timeout=500
    )


def read(out: Path) -> tuple[list[float], torch.Tensor]:
    result = json.loads((out / "result.json").read_text())
    return [entry["loss"] for entry in result["history"]], weights(out / "adapter")


def close(out: Path, alone: TuneResult) -> None:
    losses, adapter = read(out)
    assert losses == pytest.approx([entry["loss"] for entry in alone.history], abs=1e-5)
    torch.testing.assert_close(adapter, weights(alone.adapter), rtol=0, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_learn_what_one_does(way: str, alone: TuneResult, tmp_path: Path) -> None:
    done = together(tmp_path, tmp_path / "out", WAYS[way])
    assert done.returncode == 0, done.stderr
    close(tmp_path / "out", alone)


def test_sharded_weights_resume_in_the_middle(alone: TuneResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    died = together(tmp_path, out, {**FSDP, "DIE_AT": "3"})
    assert "the test wants it so" in died.stderr
    kept = sorted(path.name for path in (out / "checkpoint-2").iterdir())
    assert "adapter_model.safetensors" in kept and "pytorch_model_fsdp.bin" not in kept
    done = together(tmp_path, out, FSDP)
    assert done.returncode == 0, done.stderr
    close(out, alone)
