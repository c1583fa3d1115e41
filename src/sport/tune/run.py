"""The stage as the loop calls it: rows in, an adapter out; killed at any moment, it goes on where it was."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import TrainingArguments

from sport.checkpoint import quiet
from sport.config import Tune
from sport.errors import TuningError
from sport.events import Progress, Silent
from sport.render import Picture
from sport.seeds import derive
from sport.tune import adapter, reference
from sport.tune.arguments import arguments
from sport.tune.forward import Scorer, installed
from sport.tune.kept import last_complete
from sport.tune.row import Identity, Row
from sport.tune.sharding import gathered
from sport.tune.trainer import TreeDPOTrainer, TreeSFTTrainer
from sport.types import File

ADAPTER = "adapter"
RESULT = "result.json"


class Loaded(Protocol):
    """What tuning needs of a loaded checkpoint."""

    @property
    def path(self) -> Path:
        """Its directory; only the name is written anywhere."""
        ...

    @property
    def model(self) -> Any:
        """A transformers model without adapters."""
        ...


@dataclass(frozen=True)
class TuneResult:
    """A finished stage.

    Attributes:
        adapter: A PEFT directory.
        steps: Optimiser steps.
        rows: Trajectories, cut ones included.
        pairs: Pairs in them; 0 for SFT.
        tokens: Of all rows, once.
        history: What was logged, step by step: loss, accuracy, margin, reward_chosen, reward_rejected, logp_chosen
            (means over pairs), tokens, pairs, trajectories (counts), grad_norm, learning_rate.
    """

    adapter: Path
    steps: int
    rows: int
    pairs: int
    tokens: int
    history: tuple[dict[str, float], ...]


def tune(
    checkpoint: Loaded,
    rows: Sequence[Row],
    out: Path,
    settings: Tune,
    *,
    picture: Callable[[File], Picture],
    seed: int,
    previous: Path | None = None,
    progress: Progress | None = None,
    resume: bool = False,
) -> TuneResult:
    """Tune a LoRA on ``rows`` (``pack.rows``, or ``pack.sft_rows`` for SFT) and save it as ``out/adapter``.

    The reference is the checkpoint itself for ``reference = "start"``: whoever starts a run from an adapter merges it
    into the checkpoint first. Afterwards the model answers as before: no LoRA, and in evaluation mode.

    Args:
        checkpoint: Loaded by the caller, without an adapter.
        rows: All with pairs, or all without.
        out: A directory for this stage alone: reference, checkpoints (gone once the adapter is there), result.
        settings: Of the stage.
        picture: Patches of a file (``Renderer.picture``).
        seed: Of the LoRA's first weights and of the order of rows.
        previous: The adapter of the last iteration, to go on with; None for a fresh one.
        progress: Told of the stages ``reference`` and ``tune``.
        resume: Go on from the last complete checkpoint, if there is one; else what ``out`` holds is deleted.

    Raises:
        TuningError: no rows, a mixture of rows, or a loss that is not finite; the last complete checkpoint is kept.
        CheckpointError: a model of an unknown kind, or ``previous`` is no adapter of it.
        RunError: ``resume``, but ``out`` belongs to other rows or settings.
    """
    if not rows or len({bool(row.pairs) for row in rows}) != 1:
        raise TuningError("rows with pairs and rows without cannot be tuned together" if rows else "no rows to tune on")
    progress, base, model = progress or Silent(), Path(checkpoint.path).name, checkpoint.model
    args = arguments(settings, out, torch.device(model.device), seed, model.dtype)
    mark = reference.fingerprint(rows, settings, seed, base, previous)
    stored = reference.load(out, mark) if resume else None
    if stored is not None and (out / RESULT).exists():
        return _result(out)
    with (
        _randomness_of_its_own(),
        adapter.attached(model, base, settings, previous, derive(seed, "lora") % 2**32) as tuned,
        installed(model),
    ):
        scorer = Scorer(tuned, picture)
        scorer.check(rows)
        if args.should_save:  # nothing is written, or deleted, before everything was looked at
            out.mkdir(parents=True, exist_ok=True)
            if not resume:
                _clear(out)
        _meet(args)
        last = last_complete(out)
        _meet(args)
        if args.should_save:
            _drop_checkpoints(out, keep=last)
        _meet(args)
        keep = partial(reference.store, out, mark)
        try:
            with quiet():
                trainer = _trainer(scorer, rows, settings, args, stored, keep, seed, progress)
                trainer.train(resume_from_checkpoint=str(last) if last else None)
        finally:
            model.eval()
            if settings.gradient_checkpointing:
                with quiet():  # newer versions have another name for it and say so
                    model.gradient_checkpointing_disable()
        state = gathered(tuned)
        if args.should_save:
            shutil.rmtree(out / ADAPTER, ignore_errors=True)
            adapter.publish(tuned, out / ADAPTER, state)
            _finish(out, rows, trainer)
        _meet(args)
    return _result(out)


def _trainer(
    scorer: Scorer,
    rows: Sequence[Row],
    settings: Tune,
    args: TrainingArguments,
    stored: Mapping[Identity, float] | None,
    keep: Callable[[Mapping[Identity, float]], None],
    seed: int,
    progress: Progress,
) -> TreeSFTTrainer:
    if not rows[0].pairs:
        keep({})
        return TreeSFTTrainer(scorer, rows, settings, args, seed=seed, progress=progress)
    return TreeDPOTrainer(scorer, rows, settings, args, reference=stored, keep=keep, seed=seed, progress=progress)


def _meet(args: TrainingArguments) -> None:
    """Where several processes tune together, wait for all of them."""
    if args.world_size > 1:
        torch.distributed.barrier()


def _finish(out: Path, rows: Sequence[Row], trainer: TreeSFTTrainer) -> None:
    result = TuneResult(
        adapter=out / ADAPTER,
        steps=trainer.state.global_step,
        rows=len(rows),
        pairs=sum(len(row.pairs) for row in rows),
        tokens=sum(len(row) for row in rows),
        history=tuple(entry for entry in trainer.state.log_history if "loss" in entry),
    )
    half = out / (RESULT + ".half")
    half.write_text(json.dumps({**asdict(result), "adapter": ADAPTER}), encoding="utf-8")
    half.rename(out / RESULT)
    _drop_checkpoints(out, keep=None)


def _result(out: Path) -> TuneResult:
    data = json.loads((out / RESULT).read_text(encoding="utf-8"))
    return TuneResult(**{**data, "adapter": out / data["adapter"], "history": tuple(data["history"])})


def _clear(out: Path) -> None:
    """Delete what an earlier attempt wrote here, and nothing else."""
    _drop_checkpoints(out, keep=None)
    shutil.rmtree(out / ADAPTER, ignore_errors=True)
    for name in (reference.FILE, RESULT):
        (out / name).unlink(missing_ok=True)


def _drop_checkpoints(out: Path, keep: Path | None) -> None:
    for path in out.glob("checkpoint-*"):
        if path != keep:
            shutil.rmtree(path)


@contextmanager
def _randomness_of_its_own() -> Iterator[None]:
    """Trainer seeds Python, numpy and torch for the whole process; give all three back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
