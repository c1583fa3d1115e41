"""Reference log-probabilities: one number per candidate, computed once and kept beside the checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from sport.config import Tune
from sport.errors import RunError, TuningError
from sport.events import Progress
from sport.tune.batch import collate, split
from sport.tune.forward import Scorer
from sport.tune.row import Identity, Row

FILE = "reference.json"
STAGE = "reference"


def fingerprint(rows: Sequence[Row], settings: Tune, seed: int, base: str, previous: Path | None) -> str:
    """A hash of everything that tuning depends on: whoever resumes must come with the same."""
    digest = hashlib.sha256(f"{base}\n{seed}\n{settings.model_dump_json()}\n".encode())
    if previous is not None:
        digest.update((previous / "adapter_model.safetensors").read_bytes())
    for row in rows:
        digest.update(repr((row.trajectory, row.completions, row.pairs, row.images, row.image_places)).encode())
        for array in (row.ids, row.positions, row.segment, row.sees):
            digest.update(array.tobytes())
    return digest.hexdigest()


def load(out: Path, mark: str) -> dict[Identity, float] | None:
    """What an earlier attempt stored in ``out``, or None.

    Raises:
        RunError: it was computed for other rows or settings.
    """
    try:
        data = json.loads((out / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if data["fingerprint"] != mark:
        raise RunError(f"{out}: belongs to other trajectories or settings; start afresh, without resuming")
    return {(trajectory, step, candidate): value for trajectory, step, candidate, value in data["log_probs"]}


def store(out: Path, mark: str, values: Mapping[Identity, float]) -> None:
    """Write them so that the file is whole or absent. JSON keeps every bit of a float."""
    half = out / (FILE + ".half")
    data = {"fingerprint": mark, "log_probs": [[*identity, value] for identity, value in values.items()]}
    half.write_text(json.dumps(data), encoding="utf-8")
    os.replace(half, out / FILE)


def compute(
    scorer: Scorer, tuned: Any, rows: Sequence[Row], settings: Tune, progress: Progress
) -> dict[Identity, float]:
    """Give log pi_ref of every completion of every row with pairs.

    pi_ref is the model without an adapter (``reference = "start"``, the paper's: the same in all iterations) or with
    the adapter that this iteration starts from (``"previous"``).

    Raises:
        TuningError: a log-probability is not finite.
    """
    rows = [row for row in rows if row.pairs]
    values: dict[Identity, float] = {}
    tuned.eval()
    progress.start(STAGE, len(rows), "trajectory")
    with torch.no_grad(), tuned.disable_adapter() if settings.reference == "start" else nullcontext():
        for group in split(rows, settings.max_row_tokens):
            batch = collate(group, scorer.device)
            scores = scorer.log_probs(batch)
            if not bool(torch.isfinite(scores).all()):
                raise TuningError(f"reference log-probabilities are not finite: {_names(group)}")
            values.update(zip(batch.identities, scores.tolist(), strict=True))
            progress.advance(STAGE, len(group))
    progress.finish(STAGE)
    return values


def _names(rows: Sequence[Row]) -> str:
    return "trajectories " + ", ".join(sorted({row.trajectory for row in rows}))
