"""``accelerate launch --config_file configs/accelerate/... -m sport.cli tune``: two processes learn what one learns."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from test_cli_tune import ROOT, Done
from test_cli_tune import sport as sport  # a fixture

SETTINGS = ("--set=tune.epochs=2", "--set=tune.rows_per_step=2", "--set=tune.learning_rate=1e-3")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def launched(folder: Path, way: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes on CPUs, by the file that the documentation names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes=2", f"--main_process_port={port}"]
    command += [f"--config_file={ROOT / 'configs' / 'accelerate' / way}.yaml", "-m", "sport.cli", *arguments]
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    here = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
    return subprocess.run(command, cwd=folder, env={**os.environ, **here}, capture_output=True, text=True, timeout=800)


@pytest.mark.parametrize("way", ["ddp", "fsdp", "deepspeed"])
def test_the_files_tune_to_the_adapter_of_one_process(sport: Callable[..., Done], tmp_path: Path, way: str) -> None:
    if way == "deepspeed":
        pytest.importorskip("deepspeed", reason="deepspeed is not installed; no extra of ours brings it")
    assert sport("tune", "pairs.jsonl", "--out", "one", *SETTINGS).returncode == 0
    done = launched(tmp_path, way, "tune", "pairs.jsonl", "--out", "two", *SETTINGS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("preference: 4 steps over 3 rows, 6 pairs") == 1  # one process speaks
    one, two = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-5)
