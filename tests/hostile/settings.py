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
