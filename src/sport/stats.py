"""Figures with their uncertainty: intervals for shares, means and ratios, and paired comparisons. Pure functions.

All intervals are at 95 %. Resampling is seeded: the same figures give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sport.types import Metric

_Z = 1.959963984540054  # the 97.5 % point of the standard normal distribution


class Difference(NamedTuple):
    """A mean difference with its interval, in the units of what was compared."""

    value: float
    low: float
    high: float


def wilson(successes: float, n: int) -> Metric:
    """A share of independent trials with Wilson's score interval (1927), which stays within [0, 1].

    ``successes`` may be fractional (partial credit); the interval is then a little too wide, never too narrow.

    Raises:
        ValueError: no trials (an unscored metric is absent, not 0), or more successes than trials.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials have no share")
    share = successes / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Metric(value=share, low=min(share, max(0.0, centre - half)), high=max(share, min(1.0, centre + half)), n=n)


def mean(values: Sequence[float]) -> Metric:
    """A mean with its normal 95 % interval; with one value, or equal ones, the interval is that value.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no denominator: nothing was counted")
    data = np.asarray(values, dtype=np.float64)
    middle = float(data.mean())
    half = _Z * float(data.std(ddof=1)) / math.sqrt(len(data)) if len(data) > 1 else 0.0
    return Metric(value=middle, low=middle - half, high=middle + half, n=len(data), unit="mean")


def ratio(parts: Sequence[float], wholes: Sequence[float], seed: int = 0, rounds: int = 2000) -> Metric:
    """``sum(parts) / sum(wholes)``, resampled over its groups: the share of steps that ran, grouped by trajectory.

    Steps of one trajectory fail together, so Wilson's interval over steps would be too narrow; this one resamples
    trajectories (percentile bootstrap). With one group, or with nothing but successes or failures, resampling knows no
    spread, and Wilson's interval over ``sum(wholes)`` stands in. ``n`` is ``sum(wholes)``, rounded.

    Raises:
        ValueError: the wholes sum to nothing.
    """
    part, whole = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
    n = round(float(whole.sum()))
    if n < 1:
        raise ValueError("no denominator: nothing was counted")
    value = float(part.sum() / whole.sum())
    chosen = np.random.default_rng(seed).integers(0, len(part), size=(rounds, len(part)))
    totals = whole[chosen].sum(axis=1)
    shares = part[chosen].sum(axis=1)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(shares, [2.5, 97.5])
    if low == high:
        return wilson(float(part.sum()), n)
    return Metric(value=value, low=min(value, float(low)), high=max(value, float(high)), n=n)


def paired_bootstrap(before: Sequence[float], after: Sequence[float], seed: int = 0, rounds: int = 10000) -> Difference:
    """The mean of ``after - before`` over the same tasks, with a percentile bootstrap over tasks.

    Pairing takes the tasks' difficulty out of the comparison: the interval is narrower than that of two shares.

    Raises:
        ValueError: nothing to compare, or lists of different lengths.
    """
    if len(before) != len(after) or len(before) == 0:
        raise ValueError(f"cannot pair {len(before)} figures with {len(after)}")
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = np.array([generator.choice(differences, size=len(differences)).mean() for _ in range(rounds)])
    low, high = np.percentile(means, [2.5, 97.5])
    return Difference(float(differences.mean()), float(low), float(high))


def resampled(
    rows: Sequence[Sequence[float]], figure: Callable[[Sequence[float]], float], n: int, rounds: int = 1000
) -> Metric:
    """A figure of column sums (an F1 of counts, say), with a percentile bootstrap over rows; ``n`` is its denominator.

    Where resampling knows no spread, Wilson's interval of a share of that value stands in, as in :func:`ratio`.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("no denominator: nothing was counted")
    data = np.asarray(rows, dtype=np.float64)
    chosen = np.random.default_rng(0).integers(0, len(data), size=(rounds, len(data)))
    values = [figure(data[row].sum(axis=0).tolist()) for row in chosen]
    value = figure(data.sum(axis=0).tolist())
    low, high = np.percentile(values, [2.5, 97.5])
    if low == high:
        return wilson(value * n, n)
    return Metric(value=value, low=min(value, float(low)), high=max(value, float(high)), n=n)


def unpaired(first: Metric, second: Metric) -> Difference:
    """``second - first`` of two shares that were measured apart, with Newcombe's hybrid score interval (1998, no. 10).

    It takes the two intervals as they are, so they should be Wilson's.
    """
    change = second.value - first.value
    down = math.hypot(second.value - second.low, first.high - first.value)
    up = math.hypot(second.high - second.value, first.value - first.low)
    return Difference(change, max(-1.0, change - down), min(1.0, change + up))


def sign_test(better: int, worse: int) -> float:
    """The two-sided p of so many pairs that changed for the better and for the worse, if either were as likely.

    Exact (binomial); with right or wrong answers to the same tasks it is McNemar's test (1947). No change at all: 1.

    >>> sign_test(8, 1), sign_test(0, 0)
    (0.0390625, 1.0)

    Raises:
        ValueError: a negative count.
    """
    if better < 0 or worse < 0:
        raise ValueError(f"{better} and {worse} are no counts")
    changed = better + worse
    tail = sum(math.comb(changed, k) for k in range(min(better, worse) + 1))
    return min(1.0, math.ldexp(tail, 1 - changed))


def paired_ratios(
    before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]], seed: int = 0, rounds: int = 5000
) -> Difference:
    """How ``sum(parts) / sum(wholes)`` changed over the same tasks, each a (part, whole), resampled over tasks.

    With wholes of 1 it is :func:`paired_bootstrap`. A resample in which a sum of wholes is nothing is left out.

    Raises:
        ValueError: nothing to compare, lists of different lengths, or wholes that sum to nothing.
    """
    if len(before) != len(after) or len(before) == 0:
        raise ValueError(f"cannot pair {len(before)} figures with {len(after)}")
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if old[:, 1].sum() <= 0 or new[:, 1].sum() <= 0:
        raise ValueError("no denominator: nothing was counted")
    chosen = np.random.default_rng(seed).integers(0, len(old), size=(rounds, len(old)))
    was, now = old[chosen].sum(axis=1), new[chosen].sum(axis=1)
    sound = (was[:, 1] > 0) & (now[:, 1] > 0)
    changes = now[sound, 0] / now[sound, 1] - was[sound, 0] / was[sound, 1]
    value = float(new[:, 0].sum() / new[:, 1].sum() - old[:, 0].sum() / old[:, 1].sum())
    low, high = np.percentile(changes, [2.5, 97.5])
    return Difference(value, min(value, float(low)), max(value, float(high)))
