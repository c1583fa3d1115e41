"""Attention over a packed sequence of trees against one S x S mask, for every kernel; the CUDA path's gathers too."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from sport.tune import attention
from sport.tune.kernels import FUSED, PLAIN, Dense, Kernel, Ragged, Varlen, tree_attention
from sport.tune.row import Row
from sport.tune.table import Table

# a trunk of 17 with three leaves on two steps, then one of 10 with two, then one without
CHAINS = ((0, 17), (17, 22), (22, 23), (23, 30), (30, 40), (40, 44), (44, 52), (52, 55))
GROUPS = ((17, 23, 0, 9), (23, 30, 0, 17), (40, 44, 30, 33), (44, 52, 30, 40))
TABLE = Table(CHAINS, GROUPS)


def loop_forward(
    q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, longest_q: int, longest_k: int, *rest: Any
) -> tuple[Tensor, Tensor]:
    """What a variable-length kernel does, one sequence at a time."""
    out, lse = torch.empty_like(q), torch.empty(q.shape[1], q.shape[0], dtype=q.dtype)
    assert longest_q == cu_q.diff().max() and longest_k == cu_k.diff().max()
    times = q.shape[1] // k.shape[1]
    for (a, b), (c, d) in zip(pairwise(cu_q.tolist()), pairwise(cu_k.tolist()), strict=True):
        parts = [t.transpose(0, 1).repeat_interleave(n, 0) for t, n in ((q[a:b], 1), (k[c:d], times), (v[c:d], times))]
        found, lse[:, a:b] = PLAIN.forward(*parts, *rest)
        out[a:b] = found.transpose(0, 1)
    return out, lse


def loop_backward(
    grad: Tensor, saved: tuple[Tensor, ...], cu_q: Tensor, cu_k: Tensor, longest_q: int, longest_k: int, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v, out, lse = saved
    grads = [torch.zeros_like(t) for t in (q, k, v)]
    times = q.shape[1] // k.shape[1]
    for (a, b), (c, d) in zip(pairwise(cu_q.tolist()), pairwise(cu_k.tolist()), strict=True):
        keys = [t[c:d].transpose(0, 1).repeat_interleave(times, 0) for t in (k, v)]
        mine = (q[a:b].transpose(0, 1), *keys, out[a:b].transpose(0, 1), lse[:, a:b])
        dq, dk, dv = PLAIN.backward(grad[a:b].transpose(0, 1), mine, *rest)
        grads[0][a:b] = dq.transpose(0, 1)
        for whole, part in zip(grads[1:], (dk, dv), strict=True):
            whole[c:d] = part.unflatten(0, (-1, times)).sum(1).transpose(0, 1)
    return grads[0], grads[1], grads[2]


KERNELS = {"fused": Dense(FUSED), "plain": Dense(PLAIN), "ragged": Ragged(Varlen(loop_forward, loop_backward))}


def drawn(dtype: torch.dtype, heads: int = 4) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    make = lambda h: torch.randn(1, 55, h, 16, generator=generator, dtype=torch.float64).to(dtype)  # noqa: E731
    q, k, v, grad = (make(h).transpose(1, 2) for h in (4, heads, heads, 4))  # as transformers has them: not contiguous
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), grad


def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mask = torch.zeros(55, 55, dtype=q.dtype).masked_fill(~TABLE.allowed(), -torch.inf)
    times = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(times, dim=1), v.repeat_interleave(times, dim=1)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3)


@pytest.mark.parametrize("heads", [4, 2, 1], ids=["as many keys", "half", "one"])
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_equals_one_big_mask(name: str, heads: int) -> None:
    q, k, v, grad = drawn(torch.float64, heads)
    found, expected = tree_attention(q, k, v, TABLE, KERNELS[name], 0.3), masked(q, k, v)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    got, want = (torch.autograd.grad(out, (q, k, v), grad) for out in (found, expected))
    for x, y in zip(got, want, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_stays_near(dtype: torch.dtype) -> None:
    q, k, v, grad = drawn(dtype)
    wide = [t.detach().double().requires_grad_() for t in (q, k, v)]
    found, expected = tree_attention(q, k, v, TABLE, KERNELS["fused"], 0.3), masked(*wide)
    got = [found, *torch.autograd.grad(found, (q, k, v), grad)]
    want = [expected, *torch.autograd.grad(expected, wide, grad.double())]
    allowed = {torch.float32: 1e-6, torch.bfloat16: 1e-2}[dtype]
    errors = [
        float((x.detach().double() - y.detach()).norm() / y.detach().norm()) for x, y in zip(got, want, strict=True)
    ]
    assert max(errors) < allowed


def test_large_scores_do_not_overflow() -> None:
    q, k, v, grad = drawn(torch.float32)
    out = tree_attention(q * 300, k, v, TABLE, KERNELS["fused"], 0.3)
    grads = torch.autograd.grad(out, (q, k, v), grad)
    assert all(bool(torch.isfinite(t).all()) for t in (out, *grads))


class Crooked:
    """A kernel whose second gradient is a little off."""

    def forward(self, *args: Any) -> tuple[Tensor, Tensor]:
        return KERNELS["plain"].forward(*args)

    def backward(self, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
        dq, dk, dv = KERNELS["plain"].backward(*args)
        return dq, dk * 1.1, dv


class Missing(Crooked):
    """A kernel that is not in this torch."""

    def forward(self, *args: Any) -> tuple[Tensor, Tensor]:
        raise NotImplementedError("no such operator\nand more")


@pytest.mark.parametrize(
    ("kernel", "flaw"), [(Crooked(), "k is off by 0.1 of"), (Missing(), "no such operator"), (KERNELS["fused"], None)]
)
def test_a_kernel_is_proven_before_it_is_used(kernel: Kernel, flaw: str | None) -> None:
    found = attention.flaw(kernel, torch.device("cpu"), torch.bfloat16)
    assert found is None if flaw is None else flaw in str(found)


def row(segment: list[int], sees: list[int]) -> Row:
    size = len(segment)
    return Row("t", np.zeros(size, np.int64), np.zeros((3, size), np.int64), np.array(segment), np.array(sees), (), ())


def test_who_sees_whom() -> None:
    # trunk of three, leaf 1 after two of them, leaf 2 after three; then a trunk of two without leaves
    table = Table.of([row([0, 0, 0, 1, 1, 2], [3, 3, 3, 2, 2, 3]), row([0, 0], [2, 2])])
    assert table.chains == ((0, 3), (3, 5), (5, 6), (6, 8))
    assert table.groups == ((3, 5, 0, 2), (5, 6, 0, 3))
    assert table.allowed().int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1, 1],
    ]


def test_the_gather_names_every_group_and_its_history() -> None:
    index = TABLE.index(torch.device("cpu"))
    assert index.chains.tolist() == [0, 17, 22, 23, 30, 40, 44, 52, 55] and index.longest_chain == 17
    assert index.leaves.tolist() == [*range(17, 30), *range(40, 52)]
    assert index.groups.tolist() == [0, 6, 13, 17, 25] and index.longest_group == 8
    assert index.past.tolist() == [*range(9), *range(17), *range(30, 33), *range(30, 40)]
    assert index.pasts.tolist() == [0, 9, 26, 29, 39] and index.longest_past == 17
    assert TABLE.index(torch.device("cpu")) is index  # all layers share it


def test_the_proof_does_not_mind_where_it_is_run() -> None:
    def layer(x: Tensor) -> Tensor:
        assert attention.flaw(KERNELS["fused"], torch.device("cpu"), torch.bfloat16) is None
        return x.sin()

    x = torch.ones(3, requires_grad=True)
    checkpoint(layer, x, use_reentrant=False).sum().backward()
    torch.testing.assert_close(x.grad, x.detach().cos())
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x)
