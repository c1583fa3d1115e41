"""Attention over a packed sequence of trees, exactly and without a mask of S x S numbers.

Softmax over the union of two sets of keys follows from the softmax over each and their log-sum-exps: so a leaf attends
to itself (causally) and to its history (fully) in two calls of a fused kernel, and the two are merged,

    lse = log(exp(lse_1) + exp(lse_2)),    out = exp(lse_1 - lse) out_1 + exp(lse_2 - lse) out_2.

Backwards, a fused kernel computes its probabilities anew as exp(q k - lse); given the *merged* ``lse`` and ``out``
these are the probabilities of the whole, so each call gives its own share of the gradients, and they add up.

Three kinds of kernel. :class:`Dense` calls one on every stretch of tokens: torch's fused one for processors, or plain
matrix products (:data:`PLAIN`) where there is no better. :class:`Ragged` makes two calls for a whole batch, of the
variable-length kernel of CUDA devices, with every group's history gathered by index.

Not covered: sliding windows, dropout, caches, a second derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sport.tune.table import Table

Grads = tuple[Tensor, Tensor, Tensor]


class Kernel(Protocol):
    """Attention over a table, forwards and backwards. Queries are (1, H, S, D), keys and values (1, K, S, D)."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, table: Table, scale: float) -> tuple[Tensor, Tensor]:
        """The result, (1, H, S, D), and log-sum-exps, in a shape of the kernel's own."""
        ...

    def backward(self, grad: Tensor, saved: tuple[Tensor, ...], table: Table, scale: float) -> Grads:
        """Gradients of queries, keys and values; ``saved`` is q, k, v and what :meth:`forward` gave."""
        ...


class TreeAttention(torch.autograd.Function):
    """A kernel as a step of automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, table: Table, kernel: Kernel, scale: float) -> Tensor:
        """(1, H, S, D)."""
        out, lse = kernel.forward(q, k, v, table, scale)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.rest = (table, kernel, scale)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """For q, k and v."""
        table, kernel, scale = ctx.rest
        return (*kernel.backward(grad, ctx.saved_tensors, table, scale), None, None, None)


def tree_attention(q: Tensor, k: Tensor, v: Tensor, table: Table, kernel: Kernel, scale: float) -> Tensor:
    """Queries (1, H, S, D) over keys and values (1, K, S, D), as a table allows: (1, H, S, D)."""
    out: Tensor = TreeAttention.apply(q, k, v, table, kernel, scale)  # type: ignore[no-untyped-call]
    return out


def merge(out: Tensor, lse: Tensor, more: Tensor, more_lse: Tensor) -> tuple[Tensor, Tensor]:
    """Two results over disjoint sets of keys as one; results (..., D), log-sum-exps (...)."""
    both = torch.logaddexp(lse, more_lse)
    wide = lse.dtype
    whole = (lse - both).exp()[..., None] * out.to(wide) + (more_lse - both).exp()[..., None] * more.to(wide)
    return whole.to(out.dtype), both


# -------------------------------------------------------------------------------------------------- dense


@dataclass(frozen=True)
class Pieces:
    """Attention of (1, H, Q, D) to (1, H, L, D): forward(q, k, v, causal, scale), backward(grad, saved, ...)."""

    forward: Callable[[Tensor, Tensor, Tensor, bool, float], tuple[Tensor, Tensor]]
    backward: Callable[[Tensor, tuple[Tensor, ...], bool, float], Grads]


@dataclass(frozen=True)
class Dense:
    """One call for every chain and every group; heads of keys are repeated to those of queries. lse is (1, H, S)."""

    pieces: Pieces

    def forward(self, q: Tensor, k: Tensor, v: Tensor, table: Table, scale: float) -> tuple[Tensor, Tensor]:
        """See :class:`Kernel`."""
        k, v = _repeated(k, q), _repeated(v, q)
        outs, sums = [], []
        for begin, end in table.chains:
            part = slice(begin, end)
            out, lse = self.pieces.forward(q[:, :, part], k[:, :, part], v[:, :, part], True, scale)
            outs.append(out)
            sums.append(lse)
        whole, total = torch.cat(outs, dim=2), torch.cat(sums, dim=2)
        for begin, end, first, last in table.groups:
            mine, past = slice(begin, end), slice(first, last)
            out, lse = self.pieces.forward(q[:, :, mine], k[:, :, past], v[:, :, past], False, scale)
            whole[:, :, mine], total[:, :, mine] = merge(whole[:, :, mine], total[:, :, mine], out, lse)
        return whole, total

    def backward(self, grad: Tensor, saved: tuple[Tensor, ...], table: Table, scale: float) -> Grads:
        """See :class:`Kernel`. Shares of one token's gradient are added in float32 or better."""
        q, k, v, out, lse = saved
        heads = k.shape[1]
        k, v = _repeated(k, q), _repeated(v, q)
        wide = torch.promote_types(q.dtype, torch.float32)
        dq, dk, dv = (torch.zeros(t.shape, dtype=wide, device=t.device) for t in (q, k, v))
        calls = [(slice(a, b), slice(a, b), True) for a, b in table.chains]
        calls += [(slice(a, b), slice(c, d), False) for a, b, c, d in table.groups]
        for mine, keys, causal in calls:
            part = (q[:, :, mine], k[:, :, keys], v[:, :, keys], out[:, :, mine], lse[:, :, mine])
            found = self.pieces.backward(grad[:, :, mine], part, causal, scale)
            dq[:, :, mine] += found[0]
            dk[:, :, keys] += found[1]
            dv[:, :, keys] += found[2]
        folded = [d.view(1, heads, -1, *d.shape[2:]).sum(dim=2) for d in (dk, dv)]
        return dq.to(q.dtype), folded[0].to(k.dtype), folded[1].to(v.dtype)


def _repeated(keys: Tensor, queries: Tensor) -> Tensor:
    times = queries.shape[1] // keys.shape[1]
    return keys if times == 1 else keys.repeat_interleave(times, dim=1)


def _fused_forward(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, scale=scale)
    return out, lse


def _fused_backward(grad: Tensor, saved: tuple[Tensor, ...], causal: bool, scale: float) -> Grads:
    found: Grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        grad, *saved, 0.0, causal, scale=scale
    )
    return found


def _plain_scores(q: Tensor, k: Tensor, causal: bool, scale: float) -> Tensor:
    scores = (q @ k.transpose(-1, -2)).to(torch.promote_types(q.dtype, torch.float32)) * scale
    if causal:
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(ahead, -torch.inf)
    return scores


def _plain_forward(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
    scores = _plain_scores(q, k, causal, scale)
    return scores.softmax(dim=-1).to(v.dtype) @ v, scores.logsumexp(dim=-1)


def _plain_backward(grad: Tensor, saved: tuple[Tensor, ...], causal: bool, scale: float) -> Grads:
    q, k, v, out, lse = saved
    probabilities = (_plain_scores(q, k, causal, scale) - lse[..., None]).exp()
    towards = (grad @ v.transpose(-1, -2)).to(probabilities.dtype)
    share = (grad * out).sum(dim=-1, keepdim=True).to(probabilities.dtype)
    scores = (probabilities * (towards - share) * scale).to(q.dtype)
    return scores @ k, scores.transpose(-1, -2) @ q, probabilities.to(grad.dtype).transpose(-1, -2) @ grad


FUSED = Pieces(_fused_forward, _fused_backward)
PLAIN = Pieces(_plain_forward, _plain_backward)


# ------------------------------------------------------------------------------------------------- ragged


@dataclass(frozen=True)
class Varlen:
    """A variable-length kernel over (T, H, D), of sequences whose ends are counted up in ``cu`` (N + 1,) int32.

    forward(q, k, v, cu_q, cu_k, longest_q, longest_k, causal, scale) gives the result and log-sum-exps (H, T);
    backward(grad, (q, k, v, out, lse), cu_q, ...) the three gradients. Keys may have fewer heads.
    """

    forward: Callable[..., tuple[Tensor, Tensor]]
    backward: Callable[..., Grads]


@dataclass(frozen=True)
class Ragged:
    """Two calls for a whole batch: all chains causally, and all leaves to their gathered histories. lse is (H, S)."""

    varlen: Varlen

    def forward(self, q: Tensor, k: Tensor, v: Tensor, table: Table, scale: float) -> tuple[Tensor, Tensor]:
        """See :class:`Kernel`."""
        q, k, v = (t[0].transpose(0, 1) for t in (q, k, v))
        at = table.index(q.device)
        out, lse = self.varlen.forward(q, k, v, at.chains, at.chains, at.longest_chain, at.longest_chain, True, scale)
        if table.groups:
            more, more_lse = self.varlen.forward(
                q[at.leaves], k[at.past], v[at.past], at.groups, at.pasts, at.longest_group, at.longest_past,
                False, scale,
            )  # fmt: skip
            merged, sums = merge(out[at.leaves], lse[:, at.leaves].T, more, more_lse.T)
            out = out.index_copy(0, at.leaves, merged)
            lse = lse.index_copy(1, at.leaves, sums.T)
        return out.transpose(0, 1)[None], lse

    def backward(self, grad: Tensor, saved: tuple[Tensor, ...], table: Table, scale: float) -> Grads:
        """See :class:`Kernel`. A token's shares from several groups are added in float32."""
        q, k, v, out = (t[0].transpose(0, 1) for t in saved[:4])
        lse, grad = saved[4], grad[0].transpose(0, 1).contiguous()
        at = table.index(q.device)
        found = self.varlen.backward(
            grad, (q, k, v, out, lse), at.chains, at.chains, at.longest_chain, at.longest_chain, True, scale
        )
        if table.groups:
            mine = (q[at.leaves], k[at.past], v[at.past], out[at.leaves], lse[:, at.leaves].contiguous())
            more = self.varlen.backward(
                grad[at.leaves], mine, at.groups, at.pasts, at.longest_group, at.longest_past, False, scale
            )
            found = (
                _added(found[0], at.leaves, more[0]),
                _added(found[1], at.past, more[1]),
                _added(found[2], at.past, more[2]),
            )
        dq, dk, dv = (t.transpose(0, 1)[None] for t in found)
        return dq, dk, dv


def _added(whole: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    wide = torch.promote_types(whole.dtype, torch.float32)
    return whole.to(wide).index_add(0, places, shares.to(wide)).to(whole.dtype)


def _cuda_forward(
    q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, long_q: int, long_k: int, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    out, lse, *_ = torch.ops.aten._flash_attention_forward(
        q, k, v, cu_q, cu_k, long_q, long_k, 0.0, causal, False, scale=scale
    )
    return out, lse


def _cuda_backward(
    grad: Tensor, saved: tuple[Tensor, ...], cu_q: Tensor, cu_k: Tensor, long_q: int, long_k: int, causal: bool,
    scale: float,
) -> Grads:  # fmt: skip
    chance = torch.zeros(2, dtype=torch.uint64, device=grad.device)  # of dropout, which is 0
    unused = torch.empty(0, device=grad.device)
    found: Grads = torch.ops.aten._flash_attention_backward(
        grad, *saved, cu_q, cu_k, long_q, long_k, 0.0, causal, chance, unused, scale=scale
    )
    return found


CUDA = Varlen(_cuda_forward, _cuda_backward)
