"""Step-wise DPO and SFT over rows: transformers' Trainer with our layout, our attention and our loss.

One optimiser step sees so many trajectories or pairs (``plan``). They go through the model in as few packs as the token
budget allows, and the loss is the mean over all pairs of the step, whatever trajectory they come from and whichever
process read them. One process or several (DDP, FSDP, as accelerate is told).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate.utils import save_fsdp_optimizer
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from sport.config import Tune
from sport.errors import TuningError
from sport.events import Progress, Silent
from sport.tune import adapter, reference
from sport.tune.arguments import Watch
from sport.tune.batch import Batch, collate
from sport.tune.forward import Scorer
from sport.tune.kept import COMPLETE, advice
from sport.tune.loss import negative_log_likelihood, preference_loss
from sport.tune.plan import Plan, Share
from sport.tune.row import Identity, Row
from sport.tune.sharding import gathered, prepare, put_back

COUNTS = ("tokens", "pairs", "trajectories", "images")
_log = logging.getLogger(__name__)


class TreeSFTTrainer(Trainer):
    """Tunes a LoRA on rows by likelihood: every completion is learnt, and the loss is the mean over their tokens.

    It is transformers' Trainer, but for three things: ``args.per_device_train_batch_size`` and accumulation say nothing
    here (``settings.rows_per_step`` or ``pairs_per_step`` says what a step sees, ``batch_tokens`` what memory allows);
    a checkpoint holds the adapter, never the model; there is no evaluation loop.

    Args:
        scorer: A ``Scorer`` over the PEFT model, whose language model attends by rows (``forward.installed``).
        rows: What to learn.
        settings: Of the stage.
        args: Of transformers; ``arguments.arguments`` makes them.
        seed: Of the order of rows.
        progress: Told after every optimiser step.
    """

    figures: ClassVar[tuple[str, ...]] = ("logp_chosen",)

    def __init__(
        self,
        scorer: Scorer,
        rows: Sequence[Row],
        settings: Tune,
        args: TrainingArguments,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.settings, self.rows = settings, rows
        self.tuned = scorer.tuned
        self.budget = settings.batch_tokens or settings.max_row_tokens
        self.progress = progress or Silent()
        self._logged: dict[str, float] = {}
        self._clock = time.monotonic()
        if args.gradient_accumulation_steps != 1:
            raise TuningError(
                "gradient_accumulation_steps: say tune.pairs_per_step instead; packs add up by themselves"
            )
        self._read = Plan(
            rows, settings.rows_per_step, settings.pairs_per_step, self.budget, seed, args.process_index,
            args.world_size,
        )  # fmt: skip
        if args.should_save:  # one process speaks
            self._warn_of_crowded()
        super().__init__(model=scorer, args=args, train_dataset=rows, callbacks=[Watch(self.progress), *callbacks])
        self.remove_callback(PrinterCallback)
        prepare(self, scorer)
        if settings.gradient_checkpointing:
            scorer.model.gradient_checkpointing_enable({"use_reentrant": False})

    def _warn_of_crowded(self) -> None:
        """A trajectory is never taken apart, so ``pairs_per_step`` may be less than one has: then a step sees more."""
        if crowded := self._read.crowded:
            fullest = crowded[0]
            has = f"{len(fullest.pairs)} pairs" if fullest.pairs else f"{len(fullest.completions)} actions"
            _log.warning(
                "tune.pairs_per_step = %d: %d of %d trajectories alone have more (%s has %s); a trajectory is never "
                "taken apart, so their steps see all of it",
                self.settings.pairs_per_step, len(crowded), len(self.rows), fullest.trajectory, has,
            )  # fmt: skip

    # ---------------------------------------------------------------------------------------------- a step

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Gradients of one optimiser step's loss; returns the loss over all processes.

        Raises:
            TuningError: it is not finite; names the trajectories, and no weight has changed.
        """
        part = self._read.step(self.state.global_step)
        model.train()
        sums = torch.zeros(1 + len(self.figures), dtype=torch.float64)
        for number, group in enumerate(part.groups, start=1):
            last, counts = number == len(part.groups), number <= len(part.groups) - part.idle
            self.accelerator.gradient_state._set_sync_gradients(last)  # what DeepSpeed goes by
            with nullcontext() if last else self.accelerator.no_sync(model):
                loss, found = self._loss(model, collate(group, self.args.device))
                # Processes' gradients are averaged, so each counts its pairs as a share of everybody's.
                self.accelerator.backward(loss * (self.args.world_size * counts / self._weight(part)))
            sums += torch.stack([loss.detach(), *found]).double().cpu() * counts
        sums = self._everybodys(sums) / self._weight(part)
        if not bool(torch.isfinite(sums[0])):
            raise self._not_finite("loss", part)
        self._note(part, sums[1:])
        return sums[0].to(self.args.device, torch.float32)

    def _weight(self, part: Share) -> int:
        """What a step's loss is averaged over."""
        return max(1, part.targets)

    def _loss(self, model: torch.nn.Module, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """The sum of a pack's losses, and the sums of what is logged besides."""
        log_probs = model(batch)
        return -log_probs.sum(), [log_probs.detach().sum()]

    def _everybodys(self, sums: Tensor) -> Tensor:
        if self.args.world_size == 1:
            return sums
        total: Tensor = self.accelerator.reduce(sums.to(self.args.device), "sum")
        return total.cpu()

    def _note(self, part: Share, sums: Tensor) -> None:
        """Keep a step's figures for the log. Rates are over the time since the last step ended."""
        now = time.monotonic()
        seconds, self._clock = max(now - self._clock, 1e-9), now
        counts = {
            "tokens": sum(len(row) for row in part.rows),
            "pairs": part.pairs,
            "trajectories": len({row.trajectory for row in part.rows}),
            "images": sum(len(row.images) for row in part.rows),
        }
        rates = {f"{name}_per_second": counts[name] / seconds for name in COUNTS}
        self._logged = {**dict(zip(self.figures, sums.tolist(), strict=True)), **counts, **rates}

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        """Trainer asks for it before every optimiser step: the last moment to stop."""
        norm = super()._get_grad_norm(model, grad_norm)  # type: ignore[no-untyped-call]
        if not bool(torch.isfinite(torch.as_tensor(norm))):
            raise self._not_finite("gradient", self._read.step(self.state.global_step))
        return norm

    def _not_finite(self, what: str, part: Share) -> TuningError:
        names = ", ".join(sorted({row.trajectory for row in part.rows}))
        step = self.state.global_step
        kept = advice(Path(str(self.args.output_dir)), step)
        return TuningError(f"step {step + 1}: the {what} is not finite in trajectories {names}. {kept}")

    # --------------------------------------------------------------------------------- what Trainer asks for

    def get_train_dataloader(self) -> torch.utils.data.DataLoader[Any]:
        """As many empty items as an epoch has steps: what a step reads follows from its number alone."""
        return torch.utils.data.DataLoader(range(len(self._read)), batch_size=1, collate_fn=_nothing)  # type: ignore[arg-type]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the figures of the last step to what is logged of it."""
        if "loss" in logs:
            logs = {**logs, **self._logged}
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the adapter as a PEFT directory. Every process must call it; the first one writes."""
        state = gathered(self.tuned)
        if self.args.should_save:
            adapter.save(self.tuned, Path(output_dir or str(self.args.output_dir)), state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        put_back(self.tuned, Path(resume_from_checkpoint))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Of weights in shards Trainer would save the whole model besides; :meth:`save_model` has the adapter."""
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        save_fsdp_optimizer(
            self.accelerator.state.fsdp_plugin, self.accelerator, self.optimizer, self.model, output_dir
        )
        if self.args.should_save and self.lr_scheduler is not None:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / "scheduler.pt")

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            (Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}" / COMPLETE).touch()


class TreeDPOTrainer(TreeSFTTrainer):
    """Tunes a LoRA on rows with pairs by preference (SPORT, arXiv 2504.21561, equation 3): the mean over pairs.

    Args:
        scorer: As above; so are ``rows``, ``settings``, ``args``, ``seed`` and ``progress``.
        reference: log pi_ref by candidate, if it is known; else it is computed before the first step.
        keep: Given the reference once it is computed; called by the first process.
    """

    figures: ClassVar[tuple[str, ...]] = (
        "accuracy", "ties", "margin", "reward_chosen", "reward_rejected", "logp_chosen",
    )  # fmt: skip

    def __init__(
        self,
        scorer: Scorer,
        rows: Sequence[Row],
        settings: Tune,
        args: TrainingArguments,
        *,
        reference: Mapping[Identity, float] | None = None,
        keep: Callable[[Mapping[Identity, float]], None] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.reference = reference
        self._keep = keep
        first = _First(self)
        super().__init__(scorer, rows, settings, args, seed=seed, progress=progress, callbacks=(first, *callbacks))

    def prepare_reference(self) -> None:
        """Compute what is not known yet, with the weights as they lie: whole, or in shards."""
        if self.reference is None:
            assert self.model is not None
            self.reference = reference.compute(
                self.model, self.rows, self.settings.reference, self.budget, self.args.device, self.progress,
                rank=self.args.process_index, world=self.args.world_size,
            )  # fmt: skip
            if self._keep and self.args.should_save:
                self._keep(self.reference)
        self._clock = time.monotonic()

    def _weight(self, part: Share) -> int:
        return max(1, part.pairs)

    def _loss(self, model: torch.nn.Module, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        assert self.reference is not None
        log_probs = model(batch)
        before = torch.tensor([self.reference[i] for i in batch.identities], dtype=torch.float64).to(log_probs)
        settings = self.settings
        found = preference_loss(
            log_probs[batch.chosen],
            log_probs[batch.rejected],
            before[batch.chosen],
            before[batch.rejected],
            beta=settings.beta,
            kind=settings.loss,
            label_smoothing=settings.label_smoothing,
        )
        nll = negative_log_likelihood(log_probs, batch.sizes)[batch.chosen]
        sums = [
            (found.chosen > found.rejected).to(log_probs).sum(),
            (found.chosen == found.rejected).to(log_probs).sum(),
            (found.chosen - found.rejected).sum(),
            found.chosen.sum(),
            found.rejected.sum(),
            log_probs.detach()[batch.chosen].sum(),
        ]
        return (found.losses + settings.nll_weight * nll).sum(), sums


class _First(TrainerCallback):
    """The reference comes before the first step, but after the weights are where several processes want them."""

    def __init__(self, trainer: TreeDPOTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Once per call of ``train``."""
        self._trainer.prepare_reference()


def _nothing(_: Any) -> dict[str, Any]:
    return {}
