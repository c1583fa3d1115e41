"""Who sees whom in a packed sequence of trees, as stretches of tokens; no S x S mask is ever built from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np
import torch
from torch import Tensor

from sport.tune.row import Row


@dataclass(frozen=True)
class Index:
    """A table as tensors on one device, for kernels that take a whole batch at once.

    Attributes:
        chains: Ends of all chains, (N + 1,), int32; with ``longest_chain`` in tokens.
        leaves: Places of all tokens in groups, group by group, int64.
        past: Places that each group sees, group by group, int64: the gather of keys and values.
        groups: Ends of the groups within ``leaves``, (G + 1,), int32; with ``longest_group``.
        pasts: Ends of the groups' histories within ``past``, (G + 1,), int32; with ``longest_past``.
    """

    chains: Tensor
    leaves: Tensor
    past: Tensor
    groups: Tensor
    pasts: Tensor
    longest_chain: int
    longest_group: int
    longest_past: int


@dataclass(frozen=True)
class Table:
    """S tokens in a row, in stretches.

    Attributes:
        chains: (begin, end) of every trunk and leaf, in order and without gaps: inside one, a token sees its
            predecessors and itself.
        groups: (begin, end, first, last): neighbouring leaves, from begin to end, which besides see the history from
            first to last. All leaves of one step of one trajectory are a group.
    """

    chains: tuple[tuple[int, int], ...]
    groups: tuple[tuple[int, int, int, int], ...]
    _index: dict[torch.device, Index] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Table:
        """Rows that lie one after another."""
        chains, groups, begin = [], [], 0
        for row in rows:
            stretches = [
                (begin + start, begin + end, begin + int(row.sees[start])) for start, end in _stretches(row.segment)
            ]
            chains += [(start, end) for start, end, _ in stretches]
            for last, leaves in groupby(stretches[1:], key=lambda stretch: stretch[2]):
                members = list(leaves)
                groups.append((members[0][0], members[-1][1], begin, last))
            begin += len(row)
        return cls(tuple(chains), tuple(groups))

    def __len__(self) -> int:
        return self.chains[-1][1]

    def allowed(self) -> Tensor:
        """(S, S), True where query i may see key j. For tests: it takes the memory that this class spares."""
        found = torch.zeros(len(self), len(self), dtype=torch.bool)
        for begin, end in self.chains:
            found[begin:end, begin:end] = torch.ones(end - begin, end - begin, dtype=torch.bool).tril()
        for begin, end, first, last in self.groups:
            found[begin:end, first:last] = True
        return found

    def index(self, device: torch.device) -> Index:
        """The same as tensors; made once and kept, so that all layers share it."""
        if device not in self._index:
            self._index[device] = self._indexed(device)
        return self._index[device]

    def _indexed(self, device: torch.device) -> Index:
        mine = [end - begin for begin, end, _, _ in self.groups]
        past = [last - first for _, _, first, last in self.groups]

        def ends(lengths: Sequence[int]) -> Tensor:
            return torch.as_tensor(np.cumsum([0, *lengths]), dtype=torch.int32, device=device)

        def places(stretches: Sequence[tuple[int, int]]) -> Tensor:
            parts = [np.arange(a, b) for a, b in stretches] or [np.zeros(0, dtype=np.int64)]
            return torch.as_tensor(np.concatenate(parts), device=device)

        lengths = [end - begin for begin, end in self.chains]
        return Index(
            chains=ends(lengths),
            leaves=places([(a, b) for a, b, _, _ in self.groups]),
            past=places([(a, b) for _, _, a, b in self.groups]),
            groups=ends(mine),
            pasts=ends(past),
            longest_chain=max(lengths, default=0),
            longest_group=max(mine, default=0),
            longest_past=max(past, default=0),
        )


def _stretches(segment: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[tuple[int, int]]:
    """Where equal numbers stand next to one another."""
    cuts = [0, *(np.flatnonzero(np.diff(segment)) + 1).tolist(), len(segment)]
    return list(pairwise(cuts))
