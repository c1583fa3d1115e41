"""Our settings in the words of transformers' Trainer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments

from sport.config import Tune
from sport.errors import ConfigError, TuningError
from sport.events import Progress

STAGE = "tune"


def arguments(
    settings: Tune, out: Path, device: torch.device, seed: int, dtype: torch.dtype = torch.float32
) -> TrainingArguments:
    """AdamW, cosine, warm-up as a share of all steps; no terminal output. Several processes talk over gloo on CPUs.

    Raises:
        TuningError: float16, whose gradients vanish.
        ConfigError: ``report_to`` names a tracker that is unknown or not installed.
    """
    if dtype == torch.float16:
        raise TuningError("float16 is for answering: gradients vanish in it; load the checkpoint as bfloat16 to tune")
    _check_trackers(settings.report_to)
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    args = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,
        weight_decay=0.0,
        optim="adamw_torch",
        bf16=dtype == torch.bfloat16,
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to),
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=[],
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        use_cpu=device.type == "cpu",
        ddp_backend="gloo" if device.type == "cpu" and several else None,
        seed=seed % 2**32,
    )
    if args.n_gpu > 1:
        args._n_gpu = 1  # else Trainer would copy the model to every GPU it sees, and take as many more rows at once
    return args


def _check_trackers(names: Sequence[str]) -> None:
    """Have transformers make each once: they say themselves what they lack, but only when a Trainer is made."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    for name in names:
        if name in ("all", "none"):
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise ConfigError(f"tune.report_to: unknown tracker {name!r}; expected one of {known}")
        try:
            INTEGRATION_TO_CALLBACK[name]()
        except (RuntimeError, ImportError) as error:
            words = " ".join(str(error).split())
            raise ConfigError(
                f"tune.report_to: {name} cannot be used here ({words}); install it or leave it out"
            ) from error


class Watch(TrainerCallback):
    """Passes Trainer's steps on to whoever watches the run."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.note = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The bar begins where a resumed run left off."""
        if state.is_world_process_zero:
            self.progress.start(STAGE, state.max_steps, "step")
            if state.global_step:
                self.progress.advance(STAGE, state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Logging follows every step."""
        if logs and "loss" in logs and state.is_world_process_zero:
            margin = f", margin {logs['margin']:.3f}" if "margin" in logs else ""
            self.note = f"loss {logs['loss']:.3f}{margin}"
            self.progress.advance(STAGE, 1, self.note)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The bar ends with the last step's figures."""
        if state.is_world_process_zero:
            self.progress.finish(STAGE, self.note)
