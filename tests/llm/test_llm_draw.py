"""The mathematics of sampling, against distributions worked out by hand."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sport.llm.local import draw

PROBABILITIES = torch.tensor([0.05, 0.4, 0.1, 0.3, 0.15])
ROWS = 4000


def shares(temperature: float = 1.0, top_k: int = 5, top_p: float = 1.0) -> list[float]:
    """How often each token is drawn with evenly spread numbers."""
    uniform = (torch.arange(ROWS, dtype=torch.float64) + 0.5) / ROWS
    ids = draw(
        PROBABILITIES.log().expand(ROWS, -1),
        torch.full((ROWS,), temperature),
        torch.full((ROWS,), top_k),
        torch.full((ROWS,), top_p),
        uniform,
    )
    return (torch.bincount(ids, minlength=5) / ROWS).tolist()


def test_plain_sampling_follows_the_distribution():
    np.testing.assert_allclose(shares(), PROBABILITIES, atol=1e-3)


def test_temperature_divides_the_logits():
    wanted = PROBABILITIES**0.5 / (PROBABILITIES**0.5).sum()
    np.testing.assert_allclose(shares(temperature=2.0), wanted, atol=1e-3)


def test_temperature_zero_takes_the_likeliest():
    assert shares(temperature=0.0) == [0, 1, 0, 0, 0]


def test_top_k_keeps_the_k_likeliest_and_their_ratios():
    np.testing.assert_allclose(shares(top_k=2), [0, 4 / 7, 0, 3 / 7, 0], atol=1e-3)


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    np.testing.assert_allclose(shares(top_p=0.75), [0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85], atol=1e-3)
    assert shares(top_p=0.01) == [0, 1, 0, 0, 0]


def test_top_p_is_taken_of_what_top_k_leaves():
    np.testing.assert_allclose(shares(top_k=2, top_p=0.5), [0, 1, 0, 0, 0], atol=1e-3)


def test_rows_do_not_share_their_settings():
    logits = PROBABILITIES.log().expand(3, -1)
    ids = draw(
        logits,
        torch.tensor([0.0, 1.0, 1.0]),
        torch.tensor([5, 1, 5]),
        torch.tensor([1.0, 1.0, 1.0]),
        torch.tensor([0.999, 0.999, 0.999], dtype=torch.float64),
    )
    assert ids.tolist() == [1, 1, 4]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True), st.integers(1, 50), st.floats(0.01, 1))
def test_a_token_without_probability_is_never_drawn(seed, uniform, top_k, top_p):
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, 8, (1, 50))).float()
    one = torch.ones(1)
    token = int(draw(logits, one, one.long() * top_k, one * top_p, torch.tensor([uniform], dtype=torch.float64))[0])
    rank = int((logits[0] > logits[0, token]).sum())
    mass = float(logits.softmax(-1)[0][logits[0] > logits[0, token]].sum())
    within = float(logits.softmax(-1).sort(descending=True).values[0, :top_k].sum())
    assert rank < top_k
    assert mass / within < top_p + 1e-6
