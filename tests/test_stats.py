"""Intervals against known values and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sport.stats import paired_bootstrap, ratio, resampled, unpaired, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (8, 10, 0.4901625, 0.9433178),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
    ],
)
def test_wilson_against_known_values(successes: int, n: int, low: float, high: float) -> None:
    metric = wilson(successes, n)
    assert (metric.value, metric.n) == (successes / n, n)
    assert (metric.low, metric.high) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(("successes", "n"), [(94, 156), (1, 3), (60, 165)])
def test_wilson_inverts_the_score_test(successes: int, n: int) -> None:
    metric = wilson(successes, n)
    for end in (metric.low, metric.high):  # the shares that the normal test at 5 % just does not reject
        assert abs(successes / n - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / n), rel=1e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_stays_within_bounds_and_holds_its_value(case: tuple[int, int]) -> None:
    metric = wilson(*case)
    assert 0 <= metric.low <= metric.value <= metric.high <= 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


def test_ratio_is_the_share_of_all_and_wider_when_failures_cluster() -> None:
    spread = ratio([3, 4, 3, 4] * 10, [4] * 40)
    clustered = ratio([0, 4, 4, 4, 0, 4, 4, 4] * 5, [4] * 40)
    assert (spread.value, spread.n) == (0.875, 160)
    assert clustered.value == 0.75
    assert clustered.high - clustered.low > wilson(120, 160).high - wilson(120, 160).low
    assert spread.high - spread.low < wilson(140, 160).high - wilson(140, 160).low


def test_ratio_without_spread_falls_back_on_wilson() -> None:
    assert ratio([2, 3], [2, 3]) == wilson(5, 5)
    with pytest.raises(ValueError, match="no denominator"):
        ratio([0], [0])


def test_paired_bootstrap_finds_a_gain_that_hard_tasks_hide() -> None:
    difficulty = np.random.default_rng(0).random(200)
    gain = paired_bootstrap(difficulty, difficulty + 0.05)
    assert gain == pytest.approx((0.05, 0.05, 0.05))


def test_paired_bootstrap_is_seeded_and_agrees_with_the_normal_interval() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.integers(0, 2, 200).astype(float), rng.integers(0, 2, 200).astype(float)
    first = paired_bootstrap(before, after, seed=3)
    assert first == paired_bootstrap(before, after, seed=3)
    half = 1.96 * np.std(after - before) / np.sqrt(200)
    assert (first.low, first.high) == pytest.approx((first.value - half, first.value + half), abs=0.02)


def test_paired_bootstrap_needs_pairs() -> None:
    with pytest.raises(ValueError, match="cannot pair"):
        paired_bootstrap([1.0], [])


def test_a_figure_of_sums_is_resampled_over_rows() -> None:
    found = resampled([[1, 1], [0, 1], [1, 1], [1, 1]], lambda sums: sums[0] / sums[1], 4)
    assert (found.value, found.n) == (0.75, 4)
    assert found.low < 0.75 <= found.high
    assert resampled([[0, 1]] * 4, lambda sums: sums[0] / sums[1], 4) == wilson(0, 4)
    with pytest.raises(ValueError, match="no denominator"):
        resampled([], lambda sums: 0.0, 0)


def test_two_shares_measured_apart_differ_as_in_newcombes_example() -> None:
    """56/70 against 48/80: 0.2000 [0.0524, 0.3339], method 10 of his table II."""
    found = unpaired(wilson(48, 80), wilson(56, 70))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
