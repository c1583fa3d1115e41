"""Step-wise DPO and SFT over rows: transformers' Trainer with our layout, our attention and our loss.

One optimiser step sees ``rows_per_step`` trajectories. They go through the model in as few padded batches as the token
budget allows, and the loss is the mean over all pairs of the step, whatever trajectory they come from.

One process and one device; several are not supported yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from sport.config import Tune
from sport.errors import TuningError
from sport.events import Progress
from sport.seeds import derive
from sport.tune import adapter
from sport.tune.batch import Batch, collate, split
from sport.tune.forward import Scorer
from sport.tune.loss import negative_log_likelihood, preference_loss
from sport.tune.row import Identity, Row

STAGE = "tune"
COMPLETE = "complete"  # the last file of a checkpoint: without it, the directory was being written when we died


class Shuffled(torch.utils.data.Sampler[int]):
    """Every row once an epoch, in an order that depends on the seed and the epoch alone."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed, self.epoch = size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(derive(self.seed, "order", self.epoch))
        return iter(torch.randperm(self.size, generator=generator).tolist())


class TreeDPOTrainer(Trainer):
    """Tunes a LoRA on rows. Rows with pairs are learnt by preference, rows without any by likelihood (SFT).

    Args:
        tuned: The PEFT model, whose language model attends by rows (``attention.installed``).
        scorer: Reads log-probabilities from the same weights.
        rows: All with pairs, or all without.
        reference: log pi_ref by candidate; empty for SFT.
        settings: Of the stage.
        args: Of transformers; :func:`arguments` makes them.
        seed: Of the order of rows.
        progress: Told after every optimiser step.
    """

    def __init__(
        self,
        tuned: Any,
        scorer: Scorer,
        rows: Sequence[Row],
        reference: Mapping[Identity, float],
        settings: Tune,
        args: TrainingArguments,
        seed: int,
        progress: Progress,
    ) -> None:
        self.scorer, self.settings, self.row_seed = scorer, settings, seed
        self.reference = reference
        self._figures: dict[str, float] = {}
        super().__init__(
            model=tuned,
            args=args,
            train_dataset=rows,
            data_collator=lambda rows: {"rows": rows},
            callbacks=[Watch(progress)],
        )
        self.remove_callback(PrinterCallback)

    # ---------------------------------------------------------------------------------------------- a step

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Gradients of one optimiser step's loss; returns the loss. Raises TuningError where it is not finite."""
        model.train()
        rows: list[Row] = inputs["rows"]
        whole = self._weight(rows)
        total = torch.zeros((), dtype=torch.float64)
        figures: dict[str, float] = {}
        for group in split(rows, self.settings.max_row_tokens):
            batch = collate(group, self.scorer.device)
            loss, found = self._loss(batch)
            self._finite(loss, rows)
            self.accelerator.backward(loss / whole)
            total += loss.detach().cpu() / whole
            figures = {name: figures.get(name, 0.0) + value for name, value in found.items()}
        for parameter in model.parameters():
            if parameter.grad is not None:
                self._finite(parameter.grad, rows)
        shared = {"tokens", "pairs"}
        self._figures = {name: value if name in shared else value / whole for name, value in figures.items()}
        self._figures["trajectories"] = len({row.trajectory for row in rows})
        return total.to(torch.float32)

    def _weight(self, rows: Sequence[Row]) -> int:
        """What the loss of a step is averaged over: pairs, or tokens for SFT."""
        pairs = sum(len(row.pairs) for row in rows)
        return pairs or max(1, sum(len(c.targets) for row in rows for c in row.completions))

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The sum of a batch's losses, and sums of what is worth logging."""
        log_probs = self.scorer.log_probs(batch)
        if not len(batch.chosen):
            return -log_probs.sum(), {"tokens": batch.tokens, "logp_chosen": float(log_probs.detach().sum())}
        reference = torch.tensor([self.reference[i] for i in batch.identities]).to(log_probs)
        settings = self.settings
        found = preference_loss(
            log_probs[batch.chosen],
            log_probs[batch.rejected],
            reference[batch.chosen],
            reference[batch.rejected],
            beta=settings.beta,
            kind=settings.loss,
            label_smoothing=settings.label_smoothing,
        )
        nll = negative_log_likelihood(log_probs, batch.sizes)[batch.chosen]
        loss = (found.losses + settings.nll_weight * nll).sum()
        sums = {
            "accuracy": (found.chosen > found.rejected).sum(),
            "margin": (found.chosen - found.rejected).sum(),
            "reward_chosen": found.chosen.sum(),
            "reward_rejected": found.rejected.sum(),
            "logp_chosen": log_probs.detach()[batch.chosen].sum(),
        }
        return loss, {"tokens": batch.tokens, "pairs": len(batch.chosen), **{k: float(v) for k, v in sums.items()}}

    def _finite(self, value: Tensor, rows: Sequence[Row]) -> None:
        if not bool(torch.isfinite(value).all()):
            names = ", ".join(sorted({row.trajectory for row in rows}))
            raise TuningError(
                f"step {self.state.global_step + 1}: loss or gradient is not finite in trajectories {names}. "
                "The last complete checkpoint is kept; try a lower tune.learning_rate"
            )

    # --------------------------------------------------------------------------------- what Trainer asks for

    def _get_train_sampler(self, train_dataset: Any = None) -> Shuffled:
        return Shuffled(len(self.train_dataset), self.row_seed)  # type: ignore[arg-type]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the figures of the last step to what is logged of it."""
        if "loss" in logs:
            logs = {**logs, **self._figures}
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        adapter.save(self.model, Path(output_dir or str(self.args.output_dir)))

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        (Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}" / COMPLETE).touch()


class Watch(TrainerCallback):
    """Passes Trainer's steps on to whoever watches the run."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.note = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The bar begins where a resumed run left off."""
        self.progress.start(STAGE, state.max_steps, "step")
        if state.global_step:
            self.progress.advance(STAGE, state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Logging follows every step."""
        if logs and "loss" in logs:
            margin = f", margin {logs['margin']:.3f}" if "margin" in logs else ""
            self.note = f"loss {logs['loss']:.3f}{margin}"
            self.progress.advance(STAGE, 1, self.note)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The bar ends with the last step's figures."""
        self.progress.finish(STAGE, self.note)


def arguments(settings: Tune, out: Path, device: torch.device, seed: int) -> TrainingArguments:
    """AdamW, cosine, warm-up as a share of all steps; no terminal output.

    Raises:
        TuningError: started as one of several processes.
    """
    args = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.rows_per_step,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,
        weight_decay=0.0,
        optim="adamw_torch",
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to),
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=[],
        dataloader_pin_memory=False,
        use_cpu=device.type == "cpu",
        seed=seed % 2**32,
    )
    if args.world_size > 1:
        raise TuningError(f"{args.world_size} processes were started, but tuning takes one")
    if args.n_gpu > 1:
        args._n_gpu = 1  # else Trainer would copy the model to every GPU it sees, and take as many more rows at once
    return args


def last_complete(out: Path) -> Path | None:
    """The newest checkpoint that was written to its end, or None."""
    whole = [path.parent for path in out.glob(f"checkpoint-*/{COMPLETE}")]
    return max(whole, key=lambda path: int(path.name.rsplit("-", 1)[-1]), default=None)
