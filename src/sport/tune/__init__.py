"""Tuning: one trajectory is one row of tokens, and one forward pass (step-wise DPO and SFT, with LoRA).

``pack`` lays a tree out as a row, ``attention`` keeps its branches apart, ``loss`` is the mathematics, ``trainer`` the
optimiser, ``run.tune`` the whole stage; ``readers`` make trees of other people's data, ``adapter``, ``card`` and
``merge`` see to what comes out. ``from sport.tune import read, tune_data`` is the door for data of one's own.

Importing this package loads nothing; the names below load what they need when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Share": "sport.tune.mixing",
    "TreeDPOTrainer": "sport.tune.trainer",
    "TreeSFTTrainer": "sport.tune.trainer",
    "merge_adapter": "sport.tune.merge",
    "read": "sport.tune.readers.read",
    "tune_data": "sport.tune.own",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
