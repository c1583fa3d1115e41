"""The configurations in which the programs run: who runs the host, and which layers it goes without."""

from __future__ import annotations

import os
from typing import Any

from hostile.cage import ORDINARY

USERS: dict[str, int | None] = {"root": None, "ordinary": ORDINARY} if os.getuid() == 0 else {"ordinary": None}

TIERS: dict[str, dict[str, Any]] = {
    "full": {},
    "without_namespaces": {"without": ["namespaces"]},
    "without_landlock": {"without": ["landlock"]},
    "without_gate": {"without": ["gate"]},
}
"""At or above the floor: seccomp, and one of namespaces and Landlock."""

_REACHING_OUT = ("attack", "kernel", "files", "outputs", "network", "mustwork")
TOUCHED: dict[str, tuple[str, ...]] = {
    "without_namespaces": (
        *_REACHING_OUT, "processes", "memory", "winner", "libraries", "time", "crash",
    ),
    "without_landlock": _REACHING_OUT,
    "without_gate": ("attack", "kernel", "processes", "winner", "mustwork", "time"),
}  # fmt: skip
"""The kinds of programs that meet something else in a lesser tier; all others are tried in the full one alone.

Without namespaces paths, the disk, the ways to signal and the ways in which ends are told are others; without Landlock
only files and what lies behind them; without the gate all that forks. What the host does with text, the channel, tools
and what a fork of a state sees meets no wall that is missing there.
"""


def belongs(tier: str, kind: str) -> bool:
    """Whether programs of that kind are tried in that tier."""
    return kind in TOUCHED.get(tier, (kind,))
