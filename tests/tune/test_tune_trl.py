"""The same pairs in TRL's DPOTrainer: its loss and its LoRA gradients are ours. Text only, float32."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from sport import pairs
from sport.checkpoint import quiet
from sport.tune.batch import collate
from sport.tune.forward import Scorer, installed
from sport.tune.loss import preference_loss
from sport.tune.pack import rows
from sport.tune.reference import adapter_off
from sport.types import Pair, Trajectory
from tune.test_tune_gates import tuned
from tune.trees import Bench, Shape, bench

SHAPES = (Shape(steps=3, n=4), Shape(steps=2, n=3, length=30), Shape(steps=1, n=5, tie=0))
Grads = dict[str, torch.Tensor]


def lora(model: Any) -> dict[str, torch.nn.Parameter]:
    """By layer and matrix, whatever the model is wrapped in."""
    found = {name: weight for name, weight in model.named_parameters() if ".lora_" in name and weight.requires_grad}
    return {name.split("layers.")[1]: weight for name, weight in found.items()}


def ours(found: Bench, trajectories: list[Trajectory], asked: list[Pair]) -> tuple[float, Grads, Grads]:
    """Loss, gradients and weights of one pack."""
    made, _ = rows(trajectories, asked, found.dialect, found.renderer, 4096)
    batch = collate(made)
    with ExitStack() as stack:
        model = tuned(found, stack)
        stack.enter_context(installed(found.checkpoint.model))
        scorer = Scorer(model, found.renderer.picture)
        with torch.no_grad(), adapter_off(scorer):
            before = scorer(batch)
        now, chosen, rejected = scorer(batch), batch.chosen, batch.rejected
        losses = preference_loss(now[chosen], now[rejected], before[chosen], before[rejected], beta=0.1).losses
        losses.mean().backward()
        weights = lora(scorer)
        grads = {name: weight.grad.clone() for name, weight in weights.items() if weight.grad is not None}
        return losses.mean().item(), grads, {name: weight.detach().clone() for name, weight in weights.items()}


def theirs(found: Bench, data: list[dict[str, str]], weights: Grads, out: Path) -> tuple[float, Grads]:
    """Loss and gradients of TRL's trainer over all pairs in one batch, from the same weights."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    args = DPOConfig(
        output_dir=str(out), per_device_train_batch_size=len(data), beta=0.1, max_length=None, use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj"])
    trainer = DPOTrainer(
        model=found.checkpoint.model,
        args=args,
        train_dataset=Dataset.from_list(data),
        processing_class=found.checkpoint.tokenizer,
        peft_config=settings,
    )
    model: Any = trainer.model
    places = lora(model)
    assert places.keys() == weights.keys()
    with torch.no_grad():
        for name, place in places.items():
            place.copy_(weights[name])
    (batch,) = trainer.get_train_dataloader()
    loss = trainer.compute_loss(model, batch)
    loss.backward()
    return loss.item(), {name: place.grad for name, place in places.items() if place.grad is not None}


@pytest.mark.slow
def test_trl_finds_the_same_loss_and_gradients(tmp_path: Path) -> None:
    found = bench(tmp_path / "model", "float32", "qwen2")
    trajectories = [found.trajectory(shape, seed=i, name=f"t{i}") for i, shape in enumerate(SHAPES)]
    asked = [pair for t in trajectories for pair in pairs.read(t)[0]]
    loss, grads, weights = ours(found, trajectories, asked)
    data = []
    for pair in asked:
        trajectory = next(t for t in trajectories if t.id == pair.trajectory)
        step = trajectory.steps[pair.step]
        history = found.renderer.words(found.dialect.history(trajectory.task, trajectory.steps[: pair.step]))
        texts = [step.candidates[i].action.raw + "<|im_end|>" for i in (pair.chosen, pair.rejected)]
        data.append({"prompt": history, "chosen": texts[0], "rejected": texts[1]})
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a third party warns about itself
        their_loss, their_grads = theirs(found, data, weights, tmp_path / "out")
    assert loss == pytest.approx(their_loss, rel=1e-5)
    assert abs(loss - 0.6931) > 1e-2  # the reference is not what is tuned, or nothing would be compared
    x, y = (torch.cat([g[name].flatten().double() for name in sorted(g)]) for g in (grads, their_grads))
    assert float((x - y).norm() / y.norm()) <= 1e-5
