"""Rows as tensors: padded to one length, with flat indices of what predicts what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sport.tune.attention import Table
from sport.tune.pack import Identity, Row
from sport.types import File


@dataclass(frozen=True)
class Batch:
    """B rows of at most S tokens with C completions and P pairs. Flat places count through (B, S), row by row.

    Attributes:
        ids: (B, S); padding is token 0, which nothing sees.
        positions: (3, B, S).
        table: Segments for the attention.
        images: In the order of their places.
        image_places: Flat places of their vectors.
        predicting: Flat places, (M,), with ``targets`` (M,) and ``owner`` (M,), an index below C.
        identities: C of them.
        sizes: Tokens per completion, (C,).
        chosen: Index of the chosen completion per pair, (P,).
        rejected: Index of the rejected one, (P,).
        tokens: Without padding.
    """

    ids: Tensor
    positions: Tensor
    table: Table
    images: tuple[File, ...]
    image_places: Tensor
    predicting: Tensor
    targets: Tensor
    owner: Tensor
    identities: tuple[Identity, ...]
    sizes: Tensor
    chosen: Tensor
    rejected: Tensor
    tokens: int


def collate(rows: Sequence[Row], device: torch.device | str = "cpu") -> Batch:
    """Rows, padded on the right, on a device."""
    longest = max(len(row) for row in rows)
    completions = [(b, c) for b, row in enumerate(rows) for c in row.completions]
    first = np.cumsum([0, *(len(row.completions) for row in rows)])
    pairs = [(first[b] + c, first[b] + r) for b, row in enumerate(rows) for c, r in row.pairs]

    def long(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.int64), device=device)

    def padded(name: str, fill: int) -> Tensor:
        arrays = [getattr(row, name) for row in rows]
        free = [[(0, 0)] * (a.ndim - 1) + [(0, longest - a.shape[-1])] for a in arrays]
        return long(np.stack([np.pad(a, f, constant_values=fill) for a, f in zip(arrays, free, strict=True)], axis=-2))

    return Batch(
        ids=padded("ids", 0),
        positions=padded("positions", 0),
        table=Table(padded("segment", -1), padded("sees", 0)),
        images=tuple(file for row in rows for file in row.images),
        image_places=long([b * longest + p for b, row in enumerate(rows) for p in row.image_places]),
        predicting=long([b * longest + p for b, c in completions for p in c.predicting]),
        targets=long([t for _, c in completions for t in c.targets]),
        owner=long([i for i, (_, c) in enumerate(completions) for _ in c.targets]),
        identities=tuple(c.identity for _, c in completions),
        sizes=long([len(c.targets) for _, c in completions]),
        chosen=long([c for c, _ in pairs]),
        rejected=long([r for _, r in pairs]),
        tokens=sum(len(row) for row in rows),
    )


def split(rows: Sequence[Row], budget: int) -> Iterator[list[Row]]:
    """Groups of rows of like length that take at most ``budget`` tokens with their padding; one row always fits."""
    group: list[Row] = []
    for row in sorted(rows, key=len):
        if group and len(row) * (len(group) + 1) > budget:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
