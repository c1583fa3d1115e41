"""The stage as a whole: it learns, it resumes, it leaves a plain adapter behind."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from sport import checkpoint, pairs
from sport.config import Tune
from sport.errors import CheckpointError, ConfigError, RunError, TuningError
from sport.tune.batch import collate
from sport.tune.forward import Scorer, installed
from sport.tune.pack import rows, sft_rows
from sport.tune.row import Row
from sport.tune.run import TuneResult, tune
from tune.trees import Bench, Shape, bench

FAST = Tune(rank=4, alpha=8, learning_rate=5e-3, epochs=2, rows_per_step=2, save_steps=3)
SHAPES = (Shape(steps=2, n=3, task_pictures=1), Shape(steps=1, n=4), Shape(steps=3, n=2, length=20))


class Watcher:
    """Notes what it is told, and dies at a given step."""

    def __init__(self, die_at: int | None = None, signal: int | None = None) -> None:
        self.stages: list[str] = []
        self.steps, self.die_at, self.signal = 0, die_at, signal

    def start(self, stage: str, total: int, unit: str) -> None:
        self.stages.append(stage)

    def advance(self, stage: str, by: int = 1, note: str = "") -> None:
        self.steps += by if stage == "tune" else 0
        if self.steps == self.die_at and self.signal:
            os.kill(os.getpid(), self.signal)
        if self.steps == self.die_at:
            raise InterruptedError("the test wants it so")

    def finish(self, stage: str, note: str = "") -> None:
        """Nothing."""


def example(folder: Path) -> tuple[Bench, list[Row]]:
    """A tiny model and twelve rows, the same in every process."""
    torch.set_num_threads(1)
    found = bench(folder, "float32")
    trajectories = [found.trajectory(SHAPES[i % 3], seed=i, name=f"t{i}") for i in range(12)]
    asked = [pair for t in trajectories for pair in pairs.read(t)[0]]
    return found, rows(trajectories, asked, found.dialect, found.renderer, 4096)[0]


def run(found: Bench, made: list[Row], out: Path, settings: Tune = FAST, **options: object) -> TuneResult:
    options = {"seed": 3, "picture": found.renderer.picture, **options}
    return tune(found.checkpoint, made, out, settings, **options)  # type: ignore[arg-type]


def weights(adapter: Path) -> torch.Tensor:
    state = load_file(adapter / "adapter_model.safetensors")
    return torch.cat([state[name].flatten() for name in sorted(state)])


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, list[Row]]:
    return example(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def undisturbed(ready: tuple[Bench, list[Row]], tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    return run(*ready, tmp_path_factory.mktemp("undisturbed"))


def test_twenty_steps_raise_the_margin(ready: tuple[Bench, list[Row]], tmp_path: Path) -> None:
    found, made = ready
    result = run(found, made[:4], tmp_path, FAST.model_copy(update={"epochs": 10}))
    assert result.steps == len(result.history) == 20
    assert result.history[0]["margin"] == pytest.approx(0, abs=1e-4)  # a fresh LoRA changes nothing
    assert result.history[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # ln 2
    assert result.history[-1]["margin"] > 0.5
    assert result.history[-1]["loss"] < 0.6


def test_the_learning_rate_warms_up_and_falls_like_a_cosine(undisturbed: TuneResult) -> None:
    rates = [entry["learning_rate"] for entry in undisturbed.history]
    warm = math.ceil(FAST.warmup * undisturbed.steps)
    expected = [k / warm for k in range(warm)]
    expected += [0.5 + 0.5 * math.cos(math.pi * k / (len(rates) - warm)) for k in range(len(rates) - warm)]
    assert rates == pytest.approx([FAST.learning_rate * share for share in expected])


def test_a_tracker_hears_every_step(
    ready: tuple[Bench, list[Row]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any that transformers knows: it is given what Trainer logs, our figures among it."""
    heard: list[dict[str, float]] = []

    class Tracker(TrainerCallback):
        def on_log(self, args: object, state: object, control: object, logs: dict[str, float], **_: object) -> None:
            heard.append(logs)

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "noted", Tracker)
    result = run(*ready, tmp_path, FAST.model_copy(update={"report_to": ("noted",), "epochs": 1}))
    told = [logs for logs in heard if "loss" in logs]
    assert [logs["loss"] for logs in told] == [entry["loss"] for entry in result.history]
    wanted = {"accuracy", "ties", "margin", "reward_chosen", "reward_rejected", "logp_chosen", "pairs"}
    assert all(wanted <= logs.keys() for logs in told)


@pytest.mark.parametrize(("name", "words"), [("noted", "unknown tracker 'noted'"), ("absent", "install it or leave")])
def test_a_tracker_that_cannot_be_used_is_refused(
    ready: tuple[Bench, list[Row]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    def absent() -> None:
        raise RuntimeError("Absent requires absent to be installed.")

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "absent", absent)
    with pytest.raises(ConfigError, match=words):
        run(*ready, tmp_path / "out", FAST.model_copy(update={"report_to": (name,)}))
    assert not (tmp_path / "out").exists()


def test_a_killed_run_resumes_as_if_nothing_had_been(undisturbed: TuneResult, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path; from importlib import import_module\n"
        "t = import_module('tune.test_tune_run')\n"
        "t.run(*t.example(Path(sys.argv[1])), Path(sys.argv[2]), progress=t.Watcher(die_at=8, signal=t.signal.SIGKILL))"
    )
    out = tmp_path / "out"
    tests = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", program, str(tmp_path / "tiny"), str(out), tests, *sys.path]
    died = subprocess.run(command, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    half = out / "checkpoint-7"  # what a kill in the middle of a save leaves behind
    half.mkdir()
    (half / "adapter_model.safetensors").write_bytes(b"half")
    watcher = Watcher()
    result = run(*example(tmp_path / "tiny"), out, resume=True, progress=watcher)
    assert watcher.stages == ["tune"]  # the reference was not computed again
    assert result.steps == undisturbed.steps == 12
    assert [h["loss"] for h in result.history] == pytest.approx([h["loss"] for h in undisturbed.history], rel=1e-6)
    torch.testing.assert_close(weights(result.adapter), weights(undisturbed.adapter), rtol=0, atol=1e-6)


@pytest.mark.parametrize("step", [1, 4, 7, 11])
def test_it_resumes_from_any_step(
    ready: tuple[Bench, list[Row]], undisturbed: TuneResult, tmp_path: Path, step: int
) -> None:
    with pytest.raises(InterruptedError):
        run(*ready, tmp_path, progress=Watcher(die_at=step))
    result = run(*ready, tmp_path, resume=True)
    torch.testing.assert_close(weights(result.adapter), weights(undisturbed.adapter), rtol=0, atol=1e-6)


def test_a_finished_run_is_not_run_again(ready: tuple[Bench, list[Row]], tmp_path: Path) -> None:
    short = FAST.model_copy(update={"epochs": 1})
    first, watcher = run(*ready, tmp_path, short), Watcher()
    assert run(*ready, tmp_path, short, resume=True, progress=watcher) == first
    assert not watcher.stages
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "reference.json", "result.json"]


def test_resuming_with_other_rows_is_refused(ready: tuple[Bench, list[Row]], tmp_path: Path) -> None:
    found, made = ready
    with pytest.raises(InterruptedError):
        run(found, made, tmp_path, progress=Watcher(die_at=1))
    with pytest.raises(RunError, match="other trajectories or settings"):
        run(found, made[1:], tmp_path, resume=True)


def test_the_adapter_is_a_plain_one(ready: tuple[Bench, list[Row]], undisturbed: TuneResult) -> None:
    found, made = ready
    batch, scorer = collate(made[:2]), Scorer(found.checkpoint.model, found.renderer.picture)

    def scores() -> torch.Tensor:
        with torch.no_grad(), installed(found.checkpoint.model):
            return scorer.log_probs(batch)

    before = scores()
    with checkpoint.quiet():
        wrapped = peft.PeftModel.from_pretrained(found.checkpoint.model, str(undisturbed.adapter))
    assert (scores() - before).abs().max() > 1e-3
    wrapped.unload()
    assert torch.equal(scores(), before)
    config = json.loads((undisturbed.adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert sorted(path.name for path in undisturbed.adapter.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "sport.json",
    ]
    assert not re.search(r'"/', json.dumps(config))


def test_the_next_iteration_goes_on_with_the_adapter(
    ready: tuple[Bench, list[Row]], undisturbed: TuneResult, tmp_path: Path
) -> None:
    found, made = ready
    slow_start = FAST.model_copy(update={"epochs": 1, "learning_rate": 1e-9})
    start = run(found, made, tmp_path / "start", slow_start, previous=undisturbed.adapter)
    torch.testing.assert_close(weights(start.adapter), weights(undisturbed.adapter), rtol=0, atol=1e-6)
    assert start.history[0]["margin"] > 0.02  # against the model that the run started from
    previous = slow_start.model_copy(update={"reference": "previous"})
    again = run(found, made, tmp_path / "previous", previous, previous=undisturbed.adapter)
    assert again.history[0]["margin"] == pytest.approx(0, abs=1e-4)  # against the adapter it goes on with


def test_another_rank_midway_is_refused(
    ready: tuple[Bench, list[Row]], undisturbed: TuneResult, tmp_path: Path
) -> None:
    with pytest.raises(TuningError, match="rank"):
        run(*ready, tmp_path, FAST.model_copy(update={"rank": 8}), previous=undisturbed.adapter)


def test_sft_raises_the_likelihood_of_the_trunk(ready: tuple[Bench, list[Row]], tmp_path: Path) -> None:
    found, _ = ready
    trajectories = [found.trajectory(SHAPES[i % 3], seed=i, name=f"t{i}") for i in range(4)]
    made, lost = sft_rows(trajectories, found.dialect, found.renderer, 4096)
    assert not lost and not any(row.pairs for row in made)
    result = run(found, made, tmp_path, FAST.model_copy(update={"epochs": 10}))
    assert result.history[-1]["loss"] < 0.9 * result.history[0]["loss"]


def test_a_loss_that_is_not_finite_stops_and_names_the_trajectories(tmp_path: Path) -> None:
    found, made = example(tmp_path / "tiny")
    with pytest.raises(InterruptedError):
        run(found, made, tmp_path / "out", progress=Watcher(die_at=4))
    found.checkpoint.model.model.language_model.norm.weight.data[0] = torch.nan
    with pytest.raises(TuningError, match=r"trajectories t\d+, t\d+"):
        run(found, made, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "checkpoint-3" / "complete").exists()


def test_an_unknown_target_is_refused(ready: tuple[Bench, list[Row]], tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="no module called 'qkv'"):
        run(*ready, tmp_path, FAST.model_copy(update={"targets": ("qkv",)}))  # only the vision tower has one


def test_a_directory_that_is_no_adapter_is_refused(ready: tuple[Bench, list[Row]], tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError):
        run(*ready, tmp_path / "out", previous=tmp_path / "none")


def test_no_rows_are_refused(ready: tuple[Bench, list[Row]], tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="no rows"):
        run(ready[0], [], tmp_path)
