"""Reference log-probabilities: one number per candidate, computed once and kept beside the checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.utils import gather_object

from sport.config import Tune
from sport.errors import RunError, TuningError
from sport.events import Progress
from sport.tune.batch import collate
from sport.tune.plan import share
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


@contextmanager
def adapter_off(model: torch.nn.Module) -> Iterator[None]:
    """Every LoRA layer lets its input pass, as if there were no adapter.

    PEFT's own switch also tells the weights that they need no gradient, which sharded ones do not forget again.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers: list[Any] = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False


@contextmanager
def _as_is(model: torch.nn.Module) -> Iterator[None]:
    yield


def compute(
    model: torch.nn.Module,
    rows: Sequence[Row],
    kind: Literal["start", "previous"],
    budget: int,
    device: torch.device,
    progress: Progress,
    *,
    rank: int = 0,
    world: int = 1,
) -> dict[Identity, float]:
    """Give log pi_ref of every completion of every row, on every process.

    ``model`` is a Scorer, or what several processes have made of one. pi_ref is the model without an adapter ("start",
    the paper's: the same in all iterations) or with the adapter that this iteration starts from ("previous").

    Raises:
        TuningError: a log-probability is not finite; names the trajectories.
    """
    part = share(rows, budget, rank, world)
    found: list[tuple[Identity, float]] = []
    model.eval()
    if rank == 0:
        progress.start(STAGE, sum(len(group) for group in part.groups), "trajectory")
    with torch.no_grad(), adapter_off(model) if kind == "start" else _as_is(model):
        for group in part.groups:
            batch = collate(group, device)
            found += zip(batch.identities, model(batch).tolist(), strict=True)
            if rank == 0:
                progress.advance(STAGE, len(group))
    values = dict(gather_object(found) if world > 1 else found)
    bad = sorted({identity[0] for identity, value in values.items() if not abs(value) < float("inf")})
    if bad:
        raise TuningError(f"reference log-probabilities are not finite: trajectories {', '.join(bad)}")
    if rank == 0:
        progress.finish(STAGE)
    return values
