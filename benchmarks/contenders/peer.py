"""TRL's DPOTrainer on the same pairs, the same weights, the same LoRA and the same dtype, with settings of its liking.

It is given every advantage that changes nothing in the mathematics: the batch size and checkpointing that were fastest,
no truncation, pairs of one step beside each other (no padding), its fused head, and no logging or saving.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset, Image, disable_progress_bars
from trl import DPOConfig, DPOTrainer

from contenders.measure import Gradients, Measured, clock, measured
from contenders.problem import SEED, Problem, small_one
from sport.checkpoint import quiet
from sport.types import Message, Text

Pairs = list[dict[str, Any]]


class InOrder(DPOTrainer):
    """Reads pairs in the order given."""

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)


def sweep(problem: Problem) -> list[dict[str, Any]]:
    """Seconds per pair over the four pairs of the middle step, for every setting."""
    rows = pairs(problem)
    middle = problem.shape.steps // 2 * (problem.shape.n - 1)
    four = rows[middle : middle + 4]
    found = []
    for batch in (1, 2, 4):
        for checkpointing in (False, True):
            with problem.adapted() as tuned, quiet():
                seconds = _train(problem, tuned, four, batch, checkpointing, Gradients()).seconds / len(four)
            found.append({"batch": batch, "checkpointing": checkpointing, "seconds_per_pair": seconds})
    return found


def once(problem: Problem, batch: int, checkpointing: bool) -> Measured:
    """One epoch over all pairs in one optimiser step; the reference is computed on the way, as TRL does by default."""
    with problem.adapted() as tuned, quiet():
        _warm(problem, tuned, checkpointing)
        gradients = Gradients()
        found = _train(problem, tuned, pairs(problem), batch, checkpointing, gradients)
    return found.done(gradients.vector)


def ahead(problem: Problem, batch: int, checkpointing: bool) -> tuple[float, float]:
    """Seconds of the reference pass (``precompute_ref_log_probs``), and of one epoch after it."""
    with problem.adapted() as tuned, quiet():
        _warm(problem, tuned, checkpointing)
        began = clock()
        rows = _data(pairs(problem))
        with tempfile.TemporaryDirectory() as folder:
            trainer = _trainer(problem, tuned, rows, folder, batch, checkpointing, Gradients(), precompute=True)
            reference = clock() - began
            with measured(problem.model.device) as found:
                trainer.train()
    return reference, found.seconds


def worst(problem: Problem, checkpointing: bool) -> Measured:
    """The longest pair alone: what memory TRL cannot do without."""
    with problem.adapted() as tuned, quiet():
        _warm(problem, tuned, checkpointing)
        return _train(problem, tuned, pairs(problem)[-1:], 1, checkpointing, Gradients())


def pairs(problem: Problem) -> Pairs:
    """The pairs of all trees as TRL's conversational preferences."""
    rows = []
    for tree in problem.trees:
        for place, fork in enumerate(tree.forks):
            prompt = [_turn(message) for message in tree.history(place)]
            images = [
                {"bytes": problem.pictures.read(p.file), "path": None}
                for m in tree.history(place)
                for p in m.parts
                if hasattr(p, "file")
            ]
            for rejected in fork.rejected:
                row = {"prompt": prompt, "chosen": [_answer(fork.trunk.raw)], "rejected": [_answer(rejected.raw)]}
                rows.append({**row, **({"images": images} if images else {})})
    return rows


def _data(rows: Sequence[Any]) -> Dataset:
    found = Dataset.from_list(list(rows))
    return found.cast_column("images", [Image()]) if "images" in found.column_names else found


# ------------------------------------------------------------------------------------------------ details


def _turn(message: Message) -> dict[str, Any]:
    if all(isinstance(part, Text) for part in message.parts):
        return {"role": message.role, "content": message.text}
    parts = [{"type": "text", "text": p.text} if isinstance(p, Text) else {"type": "image"} for p in message.parts]
    return {"role": message.role, "content": parts}


def _answer(raw: str) -> dict[str, str]:
    return {"role": "assistant", "content": raw}


def _warm(problem: Problem, tuned: Any, checkpointing: bool) -> None:
    """A small pair first, and the weights as they were afterwards."""
    state = {name: weight.detach().clone() for name, weight in tuned.named_parameters() if weight.requires_grad}
    small = small_one(problem)
    _train(problem, tuned, pairs(small), 1, checkpointing, Gradients())
    tuned.delete_adapter("ref")
    for name, weight in tuned.named_parameters():
        if name in state:
            weight.data.copy_(state[name])
            weight.requires_grad_(True)


def _train(
    problem: Problem, tuned: Any, rows: Sequence[Any], batch: int, checkpointing: bool, gradients: Gradients
) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(problem, tuned, _data(rows), folder, batch, checkpointing, gradients)
        with measured(problem.model.device) as found:
            trainer.train()
    return found


def _trainer(
    problem: Problem,
    tuned: Any,
    rows: Dataset,
    folder: str,
    batch: int,
    checkpointing: bool,
    gradients: Gradients,
    precompute: bool = False,
) -> DPOTrainer:
    disable_progress_bars()
    args = DPOConfig(
        output_dir=folder,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=max(1, len(rows) // batch),
        gradient_checkpointing=checkpointing,
        precompute_ref_log_probs=precompute,
        num_train_epochs=1,
        max_length=None,
        beta=0.1,
        learning_rate=1e-6,
        weight_decay=0.0,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=problem.model.device.type == "cpu",
        bf16=problem.shape.dtype == "bfloat16",
        seed=SEED,
    )
    return InOrder(tuned, args=args, train_dataset=rows, processing_class=_processor(problem), callbacks=[gradients])


def _processor(problem: Problem) -> Any:
    """The tokenizer, or for a model that sees TRL's processor, which needs torchvision."""
    if problem.image_processor is None:
        return problem.tokenizer
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    return Qwen2VLProcessor(
        Qwen2VLImageProcessor(),
        problem.tokenizer,
        Qwen2VLVideoProcessor(),
        chat_template=problem.tokenizer.chat_template,
    )
