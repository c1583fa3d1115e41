"""Rows as tensors: packed one after another, with flat indices of what predicts what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sport.tune.row import Identity, Row
from sport.tune.table import Table
from sport.types import File


@dataclass(frozen=True)
class Batch:
    """Rows of S tokens in all, with C completions and P pairs. There is no padding.

    Attributes:
        rows: What it was made of.
        ids: (1, S).
        positions: (3, 1, S).
        table: Who sees whom.
        images: In the order of their places.
        image_places: Places of their vectors.
        predicting: Places, (M,), with ``targets`` (M,) and ``owner`` (M,), an index below C.
        identities: C of them.
        sizes: Tokens per completion, (C,).
        chosen: Index of the chosen completion per pair, (P,).
        rejected: Index of the rejected one, (P,).
    """

    rows: tuple[Row, ...]
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

    @property
    def tokens(self) -> int:
        """S."""
        return self.ids.shape[1]


def collate(rows: Sequence[Row], device: torch.device | str = "cpu") -> Batch:
    """Rows, one after another, on a device."""
    begins = np.cumsum([0, *(len(row) for row in rows)]).tolist()
    first = np.cumsum([0, *(len(row.completions) for row in rows)]).tolist()
    completions = [(begin, c) for begin, row in zip(begins, rows, strict=False) for c in row.completions]
    pairs = [(at + c, at + r) for at, row in zip(first, rows, strict=False) for c, r in row.pairs]

    def long(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.int64), device=device)

    return Batch(
        rows=tuple(rows),
        ids=long(np.concatenate([row.ids for row in rows]))[None],
        positions=long(np.concatenate([row.positions for row in rows], axis=1))[:, None],
        table=Table.of(rows),
        images=tuple(file for row in rows for file in row.images),
        image_places=long([b + p for b, row in zip(begins, rows, strict=False) for p in row.image_places]),
        predicting=long([b + p for b, c in completions for p in c.predicting]),
        targets=long([t for _, c in completions for t in c.targets]),
        owner=long([i for i, (_, c) in enumerate(completions) for _ in c.targets]),
        identities=tuple(c.identity for _, c in completions),
        sizes=long([len(c.targets) for _, c in completions]),
        chosen=long([c for c, _ in pairs]),
        rejected=long([r for _, r in pairs]),
    )


def split(rows: Iterable[Row], budget: int) -> list[list[Row]]:
    """Groups of at most ``budget`` tokens, filled first fit from the longest row down; one row always fits."""
    groups: list[tuple[int, list[Row]]] = []
    for row in sorted(rows, key=len, reverse=True):
        for place, (taken, members) in enumerate(groups):
            if taken + len(row) <= budget:
                members.append(row)
                groups[place] = (taken + len(row), members)
                break
        else:
            groups.append((len(row), [row]))
    return [members for _, members in groups]
