"""The mathematics of tuning, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.utils.checkpoint import checkpoint

LOGITS_AT_ONCE = 2**26  # numbers; 256 MiB in float32


@dataclass(frozen=True)
class Preference:
    """Per pair (P,): the loss, and the implicit rewards beta log pi/pi_ref of both sides, which carry no gradient."""

    losses: Tensor
    chosen: Tensor
    rejected: Tensor


def preference_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float,
    kind: Literal["sigmoid", "ipo"] = "sigmoid",
    label_smoothing: float = 0.0,
) -> Preference:
    """Step-wise DPO (SPORT, arXiv 2504.21561, equation 3) over log-probabilities of whole actions, (P,) each.

    ``ipo`` is the squared loss of arXiv 2310.12036, equation 17, on sums over tokens as the paper has it; TRL divides
    each log-probability by its length, so its beta means something else. ``label_smoothing`` (conservative DPO) is the
    chance that a verdict is wrong; ``ipo`` has none.
    """
    ratio_chosen = policy_chosen - ref_chosen  # log pi(a_pre|x) / pi_ref(a_pre|x)
    ratio_rejected = policy_rejected - ref_rejected  # log pi(a_dis|x) / pi_ref(a_dis|x)
    h = ratio_chosen - ratio_rejected
    if kind == "ipo":
        losses = (h - 1 / (2 * beta)) ** 2
    else:  # -log sigma(beta h), and with smoothing e: -(1 - e) log sigma(beta h) - e log sigma(-beta h)
        losses = -(1 - label_smoothing) * logsigmoid(beta * h) - label_smoothing * logsigmoid(-beta * h)
    return Preference(losses, beta * ratio_chosen.detach(), beta * ratio_rejected.detach())


def negative_log_likelihood(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """-log pi(a|x) / |a| per completion, (C,) each; 0 for an empty one, which has nothing to say."""
    return -log_probs / tokens.clamp(min=1)


def sequence_log_probs(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    predicting: Tensor,
    targets: Tensor,
    owner: Tensor,
    completions: int,
    *,
    vocabulary: int,
) -> Tensor:
    """Sum over its tokens of log pi(token | path) for every completion, (C,), in float32 or better.

    Args:
        hidden: Hidden states after the last norm, (N, H).
        head: The LM head, (K, H) to (K, V). It runs once on every place that predicts something, in chunks; of more
            than one chunk the logits are computed again in the backward pass and never kept.
        predicting: Rows of ``hidden``, (M,); a place may predict the first token of several completions.
        targets: Token ids, (M,).
        owner: Which completion each target belongs to, (M,).
        completions: C. One without tokens gets 0.
        vocabulary: V; decides the size of a chunk.
    """
    wide = torch.promote_types(hidden.dtype, torch.float32)
    sums = torch.zeros(completions, dtype=wide, device=hidden.device)
    places, which = torch.unique(predicting, return_inverse=True)  # sorted; each once, so no sum in hidden's dtype
    order = torch.argsort(which, stable=True)
    which, targets, owner = which[order], targets[order], owner[order]
    states = hidden.index_select(0, places)
    size = max(1, LOGITS_AT_ONCE // vocabulary)

    def part(states: Tensor, which: Tensor, targets: Tensor) -> Tensor:
        logits = head(states).to(wide)
        return logits[which, targets] - logits.logsumexp(dim=-1)[which]

    for begin in range(0, len(places), size):
        low, high = torch.searchsorted(which, torch.tensor([begin, begin + size], device=which.device)).tolist()
        arguments = (states[begin : begin + size], which[low:high] - begin, targets[low:high])
        single = len(places) <= size
        scores = part(*arguments) if single else checkpoint(part, *arguments, use_reentrant=False)
        sums = sums.index_add(0, owner[low:high], scores)
    return sums
