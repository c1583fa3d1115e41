"""The mathematics, worked by hand and against plain formulas."""

from __future__ import annotations

import math

import pytest
import torch

from sport.tune import loss
from sport.tune.loss import negative_log_likelihood, preference_loss, sequence_log_probs


def one(*values: float) -> list[torch.Tensor]:
    return [torch.tensor([value], dtype=torch.float64) for value in values]


def test_sigmoid_by_hand() -> None:
    # log-ratios: chosen -10 - (-12) = 2, rejected -20 - (-19) = -1; beta h = 0.1 * 3 = 0.3
    found = preference_loss(*one(-10, -20, -12, -19), beta=0.1)
    assert found.losses.item() == pytest.approx(math.log(1 + math.exp(-0.3)))
    assert found.losses.item() == pytest.approx(0.554355, abs=1e-6)
    assert (found.chosen.item(), found.rejected.item()) == pytest.approx((0.2, -0.1))


def test_smoothing_by_hand() -> None:
    found = preference_loss(*one(-10, -20, -12, -19), beta=0.1, label_smoothing=0.25)
    expected = 0.75 * math.log(1 + math.exp(-0.3)) + 0.25 * math.log(1 + math.exp(0.3))
    assert found.losses.item() == pytest.approx(expected)


def test_ipo_by_hand() -> None:
    # h = 3, 1 / (2 * 0.1) = 5
    assert preference_loss(*one(-10, -20, -12, -19), beta=0.1, kind="ipo").losses.item() == pytest.approx(4.0)


def test_the_reference_alone_costs_ln_2() -> None:
    assert preference_loss(*one(-3, -4, -3, -4), beta=0.1).losses.item() == pytest.approx(math.log(2))


def test_a_huge_margin_stays_finite() -> None:
    found = preference_loss(*one(-1e5, 0, 0, -1e5), beta=0.1).losses
    assert torch.isfinite(found).all()
    assert found.item() == pytest.approx(2e4)


def test_likelihood_is_per_token_and_nothing_for_nothing() -> None:
    found = negative_log_likelihood(torch.tensor([-6.0, 0.0]), torch.tensor([3, 0]))
    assert found.tolist() == [2.0, 0.0]


@pytest.mark.parametrize("at_once", [2**26, 64, 1], ids=["one chunk", "some", "one place each"])
def test_log_probs_in_chunks_equal_log_softmax(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", at_once)
    torch.manual_seed(0)
    hidden = torch.randn(12, 8, dtype=torch.float64, requires_grad=True)
    head = torch.nn.Linear(8, 16, bias=False, dtype=torch.float64)
    predicting = torch.tensor([3, 4, 5, 3, 9, 3])  # place 3 predicts the first token of three completions
    targets, owner = torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor([0, 0, 0, 1, 1, 3])
    found = sequence_log_probs(hidden, head, predicting, targets, owner, 4, vocabulary=16)
    scores = head(hidden).log_softmax(-1)[predicting, targets]
    expected = torch.stack([scores[:3].sum(), scores[3:5].sum(), scores.new_zeros(()), scores[5]])
    torch.testing.assert_close(found, expected)
    weight = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
    got, want = (torch.autograd.grad((x * weight).sum(), [hidden, head.weight]) for x in (found, expected))
    torch.testing.assert_close(got, want)


def test_bfloat16_is_summed_in_float32() -> None:
    head = torch.nn.Linear(4, 8, dtype=torch.bfloat16)
    places = torch.arange(3)
    found = sequence_log_probs(torch.ones(3, 4, dtype=torch.bfloat16), head, places, places, places, 3, vocabulary=8)
    assert found.dtype == torch.float32
