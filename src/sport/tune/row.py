"""Rows: what the packer makes and the trainer reads. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sport.types import File

Identity = tuple[str, int, int]
"""(trajectory, step, candidate): what a log-probability belongs to."""

IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Completion:
    """An action as targets: hidden state ``predicting[i]`` of the row predicts ``targets[i]``. Both may be empty."""

    identity: Identity
    predicting: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Row:
    """S tokens that go through the model together.

    Attributes:
        trajectory: Its id.
        ids: Token ids, (S,).
        positions: Temporal, height and width position of every token (M-RoPE), (3, S).
        segment: 0 on the trunk, k on leaf k, (S,).
        sees: How many of the row's first tokens a token's leaf may see, (S,); of no meaning on the trunk.
        completions: What is learnt, by identity.
        pairs: (chosen, rejected) as indices into ``completions``.
        images: The pictures in the order of their placeholders, by file.
        image_places: Where their vectors go, ascending.
    """

    trajectory: str
    ids: IntArray
    positions: IntArray
    segment: IntArray
    sees: IntArray
    completions: tuple[Completion, ...]
    pairs: tuple[tuple[int, int], ...]
    images: tuple[File, ...] = ()
    image_places: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def targets(self) -> int:
        """Tokens that are learnt."""
        return sum(len(completion.targets) for completion in self.completions)
