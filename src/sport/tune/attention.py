"""Attention over rows: a token sees its own branch up to itself, and the history that its branch grows from.

It is registered with transformers under :data:`NAME`, for the language model only; the vision tower keeps its own. The
sum is exact on every device, and no mask of S x S numbers is built (``kernels``). On a CUDA device the kernel is proven
against plain matrix products, forwards and backwards, before it is used; where it fails or is missing, the plain one
takes its place with a warning. Dropout inside attention is off: preferences compare probabilities.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sport.tune.kernels import CUDA, FUSED, PLAIN, Dense, Kernel, Ragged, tree_attention
from sport.tune.table import Table

NAME = "tree_rows"  # transformers tests attention names for substrings: neither "sdpa" nor "flex_attention" may occur
TOLERANCE = 0.02  # of a 16-bit kernel's results and gradients against plain ones, as a share of their norm


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree_rows: Table,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: query (1, H, S, D), key and value (1, K, S, D); gives (1, S, H, D)."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = tree_attention(query, key, value, tree_rows, kernel(query.device, query.dtype), scale)
    return out.transpose(1, 2).contiguous(), None


@lru_cache
def kernel(device: torch.device, dtype: torch.dtype) -> Kernel:
    """The fastest exact kernel for a device and precision; chosen, and on a CUDA device proven, once per process."""
    if device.type == "cpu":
        return Dense(FUSED)
    if device.type == "cuda" and dtype in (torch.bfloat16, torch.float16):
        found = Ragged(CUDA)
        problem = flaw(found, device, dtype)
        if problem is None:
            return found
        logging.getLogger(__name__).warning("%s: the fused attention is not used: %s", device, problem)
    return Dense(PLAIN)


def flaw(candidate: Kernel, device: torch.device, dtype: torch.dtype) -> str | None:
    """What is wrong with a kernel, judged by a small tree and float32 matrix products; None if nothing is."""
    table = Table(
        ((0, 70), (70, 75), (75, 78), (78, 90), (90, 120), (120, 140)),
        ((70, 78, 0, 31), (78, 90, 0, 64), (120, 140, 90, 119)),
    )
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, 4, 140, 64), (1, 2, 140, 64), (1, 2, 140, 64), (1, 4, 140, 64))
    drawn = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
    try:
        with _by_itself(device):
            found = [
                _tried(way, table, [t.to(precision) for t in drawn])
                for way, precision in ((candidate, dtype), (Dense(PLAIN), torch.float32))
            ]
    except RuntimeError as error:  # torch was built without the kernel, or the device is too old for it
        return str(error).splitlines()[0]
    for name, x, y in zip(("result", "q", "k", "v"), *found, strict=True):
        off = float((x - y).norm() / y.norm())
        if not off <= TOLERANCE:  # NaN is a flaw too
            return f"{name} is off by {off:.2g} of its norm"
    return None


def _tried(way: Kernel, table: Table, drawn: list[Tensor]) -> list[Tensor]:
    """Result and gradients of a kernel, in float32."""
    q, k, v = (t.detach().requires_grad_() for t in drawn[:3])
    out = tree_attention(q, k, v, table, way, 0.125)
    return [t.detach().float() for t in (out, *torch.autograd.grad(out, (q, k, v), drawn[3]))]


@contextmanager
def _by_itself(device: torch.device) -> Iterator[None]:
    """Differentiate apart from whatever goes on around: a pass without gradients, a checkpointed one, autocast."""
    with (
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t),
    ):
        yield


@contextmanager
def installed(model: Any) -> Iterator[None]:
    """The language model of ``model`` attends by rows inside, and as before afterwards."""
    from transformers import AttentionInterface, AttentionMaskInterface

    text = model.config.get_text_config()
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _no_mask)
    before = text._attn_implementation
    _switch(model, text, NAME)
    try:
        yield
    finally:
        _switch(model, text, before)


def _switch(model: Any, text: Any, name: str) -> None:
    model.set_attn_implementation(name if text is model.config else {"text_config": name})


def _no_mask(*_: Any, **__: Any) -> None:
    """Rows bring their own table."""
