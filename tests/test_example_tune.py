"""examples/tune.py as a person runs it: data in, an adapter out, and back onto its base with peft alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAJECTORY = {
    "prompt": [{"role": "user", "content": "2 + 2?"}],
    "steps": [
        {"candidates": ["print(2 + 2)", "guess"], "chosen": 0, "observation": "4"},
        {"candidates": ["final_answer(4)", "final_answer(5)", "stop"], "chosen": 0},
    ],
}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "TRL preferences {'records': 2, 'pairs': 2, 'trees': 1, 'continued': 1}"),
        (("mine.jsonl", "nano", "tuned"), "trajectories {'records': 1, 'pairs': 3, 'trees': 1}"),
    ],
    ids=["its own pairs", "a user's trajectories"],
)
def test_it_runs(root: Path, tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    example = root / "examples" / "tune.py"
    assert len(example.read_text().splitlines()) <= 40
    (tmp_path / "mine.jsonl").write_text(json.dumps(TRAJECTORY) + "\n")
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run(
        [sys.executable, str(example), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    data, losses, loaded = done.stdout.splitlines()
    assert data == told and losses.startswith("tuned/adapter: loss 0.693") and not losses.endswith("0.693")
    assert loaded.startswith("Qwen2VLForConditionalGeneration ")
    assert (tmp_path / "tuned" / "adapter" / "adapter_model.safetensors").exists()
