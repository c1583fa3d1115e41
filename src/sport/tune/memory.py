"""How much memory a stage needed."""

from __future__ import annotations

import resource
import sys

import torch

MB = 2**20


def watch() -> None:
    """Count the device's peak from here on."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peaks() -> dict[str, float | None]:
    """Peaks in MB: of this process since it began (not of its tools and sandboxes), and of the device since `watch`.

    The device's is what torch has allocated; None where there is no device.
    """
    unit = 1 if sys.platform == "darwin" else 1024  # the kernels do not agree on it
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB
    device = torch.cuda.max_memory_allocated() / MB if torch.cuda.is_available() else None
    return {"peak_host_mb": round(host, 1), "peak_device_mb": None if device is None else round(device, 1)}
