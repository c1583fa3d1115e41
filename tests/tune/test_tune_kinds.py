"""The whole stage on every kind of model, and the settings that may change memory and time but not the result."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sport import checkpoint, pairs
from sport.errors import CheckpointError, TuningError
from sport.llm.local import LocalLLM
from sport.tune import attention
from sport.tune.forward import Scorer
from sport.tune.kernels import tree_attention
from sport.tune.pack import rows
from sport.tune.row import Row
from tune.test_tune_run import FAST, run, weights
from tune.trees import Bench, Shape, bench
from zoo import KINDS

SHORT = FAST.model_copy(update={"epochs": 3, "rows_per_step": 2, "save_steps": 100})


def example(folder: Path, kind: str, dtype: str = "float32") -> tuple[Bench, list[Row]]:
    found = bench(folder / "tiny", dtype, kind)
    pictures = int(found.checkpoint.image_processor is not None)
    shapes = [Shape(steps=2, n=3, task_pictures=pictures), Shape(steps=3, n=2, length=20), Shape(steps=1, n=4)]
    trajectories = [found.trajectory(shapes[i % 3], seed=i, name=f"t{i}") for i in range(4)]
    asked = [pair for t in trajectories for pair in pairs.read(t)[0]]
    return found, rows(trajectories, asked, found.dialect, found.renderer, 4096)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found, made = example(tmp_path, kind)
    result = run(found, made, tmp_path / "out", SHORT)
    assert result.history[0]["margin"] == pytest.approx(0, abs=1e-4)
    assert result.history[-1]["loss"] < result.history[0]["loss"] - 0.05
    state = load_file(result.adapter / "adapter_model.safetensors")
    assert len(state) == 2 * 3 * 2  # layers, targets, A and B: none of them in a vision tower
    assert not any(word in name for name in state for word in ("vision", "visual", "projector"))
    assert ("one candidate at a time" in caplog.text) == (kind in ("llava_next", "sliding"))


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, list[Row], torch.Tensor]:
    folder = tmp_path_factory.mktemp("ready")
    found, made = example(folder, "qwen3_vl")
    return found, made, weights(run(found, made, folder / "out", SHORT).adapter)


@pytest.mark.parametrize("changes", [{"gradient_checkpointing": True}, {"batch_tokens": 1}, {"batch_tokens": 10**6}])
def test_memory_is_saved_and_nothing_else(
    changes: dict[str, Any], ready: tuple[Bench, list[Row], torch.Tensor], tmp_path: Path
) -> None:
    found, made, expected = ready
    result = run(found, made, tmp_path, SHORT.model_copy(update=changes))
    torch.testing.assert_close(weights(result.adapter), expected, rtol=0, atol=1e-5)
    assert not any(getattr(module, "gradient_checkpointing", False) for module in found.checkpoint.model.modules())


def test_checkpointing_computes_the_layers_twice(
    ready: tuple[Bench, list[Row], torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, made, _ = ready
    calls = {True: 0, False: 0}
    for wanted in calls:

        def counted(*args: Any, wanted: bool = wanted) -> torch.Tensor:
            calls[wanted] += torch.is_grad_enabled()
            return tree_attention(*args)

        monkeypatch.setattr(attention, "tree_attention", counted)
        settings = SHORT.model_copy(update={"gradient_checkpointing": wanted, "epochs": 1})
        run(found, made, tmp_path / str(wanted), settings)
    assert calls[True] == 2 * calls[False]


def test_pairs_per_step_is_what_a_step_sees(ready: tuple[Bench, list[Row], torch.Tensor], tmp_path: Path) -> None:
    found, made, _ = ready
    result = run(found, made, tmp_path, SHORT.model_copy(update={"pairs_per_step": 100, "epochs": 1}))
    (step,) = result.history
    assert step["pairs"] == sum(len(row.pairs) for row in made) and step["trajectories"] == len(made)
    assert step["tokens"] == sum(map(len, made)) and step["images"] == sum(len(row.images) for row in made)
    assert step["ties"] == 1.0  # a fresh LoRA prefers nothing
    assert step["tokens_per_second"] / step["pairs_per_second"] == pytest.approx(step["tokens"] / step["pairs"])


def test_a_trajectory_of_more_pairs_than_a_step_is_told_once(
    ready: tuple[Bench, list[Row], torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found, made, _ = ready
    run(found, made, tmp_path, SHORT.model_copy(update={"pairs_per_step": 3, "epochs": 1}))
    (told,) = [record.getMessage() for record in caplog.records if "pairs_per_step" in record.getMessage()]
    assert told.startswith(
        "tune.pairs_per_step = 3: 2 of 4 trajectories alone have more (t0 has 4 pairs); a trajectory"
    )


def test_bfloat16_weights_learn_a_float32_adapter(tmp_path: Path) -> None:
    found, made = example(tmp_path, "qwen2_vl", "bfloat16")
    result = run(found, made, tmp_path / "out", SHORT)
    assert result.history[0]["margin"] == pytest.approx(0, abs=1e-6)  # reference and policy round alike
    assert result.history[-1]["loss"] < result.history[0]["loss"] - 0.05
    assert {t.dtype for t in load_file(result.adapter / "adapter_model.safetensors").values()} == {torch.float32}


def test_float16_is_refused(tmp_path: Path) -> None:
    found, made = example(tmp_path, "qwen2", "float16")
    with pytest.raises(TuningError, match="bfloat16"):
        run(found, made, tmp_path / "out")


def test_too_few_placeholders_are_found_before_any_step(
    ready: tuple[Bench, list[Row], torch.Tensor], tmp_path: Path
) -> None:
    found, made, _ = ready
    short = next(row for row in made if row.images)
    data = {**vars(short), "image_places": short.image_places[:-1]}
    with pytest.raises(TuningError, match=f"{short.trajectory}: .* placeholders"):
        run(found, [Row(**data)], tmp_path)
    assert not (tmp_path / "reference.json").exists()


def test_a_model_that_reads_text_only_refuses_pictures(
    ready: tuple[Bench, list[Row], torch.Tensor], tmp_path: Path
) -> None:
    blind = bench(tmp_path, "float32", "qwen2")
    with pytest.raises(CheckpointError, match="a qwen2 cannot see"):
        Scorer(blind.checkpoint.model, blind.renderer.picture).check(ready[1])


def test_remote_code_is_refused_with_a_way_out(tmp_path: Path) -> None:
    KINDS["qwen2"](tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "minicpmv", "auto_map": {"AutoModel": "modeling_minicpmv.MiniCPMV"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"cannot be tuned; serve it elsewhere .* by its endpoint"):
        checkpoint.check(tmp_path)


def test_no_warning_for_a_kind_that_is_proven(
    ready: tuple[Bench, list[Row], torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run(ready[0], ready[1], tmp_path, SHORT.model_copy(update={"epochs": 1}))
    assert not [record for record in caplog.records if record.name.startswith("sport")]


def test_a_model_that_can_only_be_tuned_here_says_so_when_asked_to_answer(tmp_path: Path) -> None:
    found = bench(tmp_path, "float32", "llava_next")
    with pytest.raises(CheckpointError, match=r"llava_next: sees, .* use its endpoint"):
        LocalLLM(found.checkpoint, found.blobs.__getitem__)
