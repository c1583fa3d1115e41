"""Checkpoints of a stage: which are whole, and which are good."""

from __future__ import annotations

from pathlib import Path

COMPLETE = "complete"  # the last file of a checkpoint: without it, the directory was being written when we died


def last_complete(out: Path, before: int | None = None) -> Path | None:
    """The newest checkpoint that was written to its end (of a step ``before`` this one, if given), or None."""
    whole = {int(path.parent.name.rsplit("-", 1)[-1]): path.parent for path in out.glob(f"checkpoint-*/{COMPLETE}")}
    return whole[max(steps)] if (steps := [k for k in whole if before is None or k < before]) else None


def advice(out: Path, step: int) -> str:
    """What to do when the weights after ``step`` steps give a loss that is not finite: their checkpoint is not good."""
    good = last_complete(out, before=step)
    if good is None:
        return "There is no checkpoint of earlier weights: start again with a lower tune.learning_rate"
    return (
        f"The last good checkpoint is kept, an adapter in {good}: start again, or from that adapter, with a lower "
        "tune.learning_rate"
    )
