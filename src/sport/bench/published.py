"""Published figures, in shares, with their denominators: what ``sport table`` prints beside measured ones.

Sources: SPORT (arXiv 2504.21561, table of results) and T3 (arXiv 2412.15606). GTA's AnsAcc there is over the 156
objective tasks, by a substring rule; GTA's ToolAcc and CodeExec have no published denominator and no code; the Lego
agents' AnsAcc is the official one over 172. GAIA is its validation set, by level.
"""

from __future__ import annotations

from collections.abc import Mapping

from sport.stats import wilson
from sport.types import Metric

_LEVELS = (53, 86, 26, 165)
_GAIA = ("AnsAcc level 1", "AnsAcc level 2", "AnsAcc level 3", "AnsAcc")

GTA: Mapping[str, tuple[str, float, int]] = {
    "lego-gpt-4": ("AnsAcc official", 46.59, 172),
    "lego-gpt-4o": ("AnsAcc official", 41.52, 172),
    "hf-gpt-4o": ("AnsAcc SPORT, objective", 57.05, 156),
    "hf-gpt-4o-mini": ("AnsAcc SPORT, objective", 57.69, 156),
    "hf-llava-next-8b": ("AnsAcc SPORT, objective", 14.10, 156),
    "hf-internvl2-8b": ("AnsAcc SPORT, objective", 32.05, 156),
    "hf-minicpm-v-8.5b": ("AnsAcc SPORT, objective", 33.97, 156),
    "hf-qwen2-vl-7b": ("AnsAcc SPORT, objective", 42.31, 156),
    "t3-minicpm-v-8.5b": ("AnsAcc SPORT, objective", 52.56, 156),
    "t3-qwen2-vl-7b": ("AnsAcc SPORT, objective", 53.85, 156),
    "sport-qwen2-vl-7b": ("AnsAcc SPORT, objective", 60.26, 156),
}
"""By row: the figure's name here, per cent, denominator."""

GAIA: Mapping[str, tuple[float, float, float, float]] = {
    "warmup-gpt-4-turbo": (30.20, 15.10, 0.00, 17.60),
    "hf-gpt-4o": (47.17, 31.40, 11.54, 33.40),
    "hf-gpt-4o-mini": (33.96, 27.91, 3.84, 26.06),
    "hf-llava-next-8b": (9.43, 1.16, 0.00, 3.64),
    "hf-internvl2-8b": (7.55, 4.65, 0.00, 4.85),
    "hf-minicpm-v-8.5b": (13.21, 5.81, 0.00, 7.27),
    "hf-qwen2-vl-7b": (16.98, 8.14, 0.00, 9.70),
    "t3-minicpm-v-8.5b": (26.42, 11.63, 3.84, 15.15),
    "t3-qwen2-vl-7b": (26.42, 15.12, 3.84, 16.97),
    "sport-qwen2-vl-7b": (35.85, 16.28, 3.84, 20.61),
}
"""By row: per cent at levels 1, 2, 3 and over all."""


def published(row: str, kind: str) -> dict[str, Metric]:
    """A row's figures by the names that measured ones have, each with Wilson's interval; empty for an unknown row."""
    if kind == "gta" and row in GTA:
        name, percent, n = GTA[row]
        return {name: _share(percent, n)}
    if kind == "gaia" and row in GAIA:
        return {name: _share(p, n) for name, p, n in zip(_GAIA, GAIA[row], _LEVELS, strict=True)}
    return {}


def _share(percent: float, n: int) -> Metric:
    """The printed value as it is (means over runs are no whole number of tasks)."""
    return wilson(percent / 100 * n, n)
