"""Attention over rows: a token sees its own branch up to itself, and the history that its branch grows from.

It is registered with transformers under :data:`NAME`, for the language model only; the vision tower keeps its own. It
is scaled dot-product attention under an explicit mask of B x S x S numbers, built once per forward pass: right
everywhere, and meant for rows of some thousand tokens. It knows no sliding windows and no caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sport.errors import CheckpointError

NAME = "tree_rows"  # transformers tests attention names for substrings: neither "sdpa" nor "flex_attention" may occur


@dataclass
class Table:
    """Which segment every token of a batch belongs to, and how much of the trunk it sees: (B, S) each.

    Segment 0 is the trunk, k is leaf k, -1 is padding, which sees padding only.
    """

    segment: Tensor
    sees: Tensor
    _mask: Tensor | None = field(default=None, repr=False)

    def allowed(self) -> Tensor:
        """(B, S, S), True where query i may see key j: j <= i, and j on i's branch or in i's history."""
        order = torch.arange(self.segment.shape[1], device=self.segment.device)
        same = self.segment[:, :, None] == self.segment[:, None, :]
        history = (self.segment[:, None, :] == 0) & (order[None, None, :] < self.sees[:, :, None])
        return (order[None, :, None] >= order[None, None, :]) & (same | history)

    def mask(self, dtype: torch.dtype) -> Tensor:
        """(B, 1, S, S): 0 where :meth:`allowed`, else minus infinity. Kept, so that all layers share it."""
        if self._mask is None or self._mask.dtype != dtype:
            allowed = self.allowed()
            self._mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
            self._mask = self._mask.masked_fill_(~allowed, -torch.inf)[:, None]
        return self._mask


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree_rows: Table,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: query (B, H, S, D), key and value (B, K, S, D); gives (B, S, H, D)."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    out = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=tree_rows.mask(query.dtype), dropout_p=dropout, scale=scaling
    )
    return out.transpose(1, 2).contiguous(), None


@contextmanager
def installed(model: Any) -> Iterator[None]:
    """The language model of ``model`` attends by rows inside, and as before afterwards.

    Raises:
        CheckpointError: a model with sliding windows.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    text = model.config.get_text_config()
    if "sliding_attention" in (getattr(text, "layer_types", None) or ()):
        raise CheckpointError(f"{model.config.model_type}: sliding-window attention is not supported in tuning")
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
    """Rows bring their own mask."""
