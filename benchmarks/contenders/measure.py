"""Seconds, peak memory above what was there before, and the gradient of the first optimiser step."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

CLOCK = "SPORT_BENCHMARK_CLOCK"


@dataclass
class Measured:
    """Of one run: seconds (:func:`clock`), bytes above the start, all LoRA gradients as one vector."""

    seconds: float = 0.0
    peak_bytes: int = 0
    gradient: np.ndarray[Any, Any] | None = None

    def done(self, gradient: np.ndarray[Any, Any] | None) -> Measured:
        """With the gradient, which is known only afterwards."""
        self.gradient = gradient
        return self


def clock() -> float:
    """Wall seconds; or the processor's own, which with one thread are what the wall would show without other work."""
    return time.process_time() if os.environ.get(CLOCK) == "processor" else time.perf_counter()


@contextmanager
def measured(device: Any) -> Iterator[Measured]:
    """Measure the block."""
    found = Measured()
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        _forget_peak()
        before = _status("VmRSS")
    began = clock()
    yield found
    if cuda:
        torch.cuda.synchronize()
    found.seconds = clock() - began
    found.peak_bytes = (torch.cuda.max_memory_allocated() if cuda else _peak()) - before


class Gradients(TrainerCallback):
    """Keeps the gradient of the first optimiser step."""

    def __init__(self) -> None:
        self.vector: np.ndarray[Any, Any] | None = None

    def keep(self, model: torch.nn.Module) -> None:
        """All LoRA gradients by the names of their layers, whoever wrapped the model."""
        if self.vector is None:
            found = {
                re.sub(r".*?(layers\.\d+\..*?lora_[AB]).*", r"\1", name): weight.grad
                for name, weight in model.named_parameters()
                if weight.grad is not None and "lora_" in name
            }
            parts = [found[name].detach().double().flatten().cpu().numpy() for name in sorted(found)]
            self.vector = np.concatenate(parts)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Trainer is about to take a step."""
        self.keep(model)


def _status(field: str) -> int:
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    assert found is not None
    return int(found.group(1)) * 1024


def _forget_peak() -> None:
    """Let the kernel count the highest resident size from now on, where it allows that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int:
    return min(_status("VmHWM"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
