"""A row while it grows: tokens, positions and completions of one tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sport.render import Renderer, Segment
from sport.tune.row import Completion, Identity, IntArray, Row
from sport.tune.tree import Fork, Turn
from sport.types import File


@dataclass
class _Leaf:
    identity: Identity
    ids: tuple[int, ...]
    sees: int
    start: int


@dataclass
class Layout:
    """``length`` counts trunk tokens, ``start`` is the next position id."""

    trajectory: str
    renderer: Renderer
    length: int = 0
    start: int = 0
    ids: list[int] = field(default_factory=list)
    positions: list[IntArray] = field(default_factory=list)
    images: list[File] = field(default_factory=list)
    image_places: list[int] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    leaves: list[_Leaf] = field(default_factory=list)
    decided: list[Fork] = field(default_factory=list)

    def __len__(self) -> int:
        return self.length + sum(max(0, len(leaf.ids) - 1) for leaf in self.leaves)

    def leaf_tokens(self, fork: Fork) -> int:
        """How many tokens the leaves of a step would take."""
        return sum(max(0, len(self._targets(turn)) - 1) for turn in fork.rejected)

    def extend(self, segment: Segment) -> None:
        """Lay a stretch of the trunk."""
        image = self.renderer.image_id
        grids = [grid for file in segment.images if (grid := self.renderer.grid(file)) is not None]
        positions, self.start = place(segment.ids, grids, image, self.start)
        self.image_places += [self.length + i for i, token in enumerate(segment.ids) if token == image]
        self.images += segment.images
        self.positions.append(positions)
        self.ids += segment.ids
        self.length += len(segment.ids)

    def decide(self, fork: Fork, *, follows: bool) -> None:
        """Put a step's completions where the trunk ends; the chosen one is the trunk's next stretch if it ``follows``.

        If not, it is a leaf like the others.
        """
        for turn in fork.rejected if follows else (fork.trunk, *fork.rejected):
            self.leaves.append(_Leaf(self._identity(fork, turn), self._targets(turn), self.length, self.start))
        if follows:
            targets, first = self._targets(fork.trunk), self.length - 1
            predicting = tuple(range(first, first + len(targets)))
            self.completions.append(Completion(self._identity(fork, fork.trunk), predicting, targets))
        self.decided.append(fork)

    def row(self) -> Row:
        """The trunk and its leaves, laid out."""
        ids, positions = list(self.ids), list(self.positions)
        segment, sees = [0] * self.length, [self.length] * self.length
        completions = list(self.completions)
        for number, leaf in enumerate(self.leaves, start=1):
            offset, inside = len(ids), leaf.ids[:-1]
            predicting = (leaf.sees - 1, *range(offset, offset + len(inside)))[: len(leaf.ids)]
            completions.append(Completion(leaf.identity, predicting, leaf.ids))
            positions.append(leaf.start + np.tile(np.arange(len(inside)), (3, 1)))
            ids += inside
            segment += [number] * len(inside)
            sees += [leaf.sees] * len(inside)
        where = {completion.identity[1:]: i for i, completion in enumerate(completions)}
        pairs = [
            (where[fork.step, fork.trunk.candidate], where[fork.step, turn.candidate])
            for fork in self.decided
            for turn in fork.rejected
        ]
        return Row(
            trajectory=self.trajectory,
            ids=np.array(ids, dtype=np.int64),
            positions=np.concatenate(positions, axis=1),
            segment=np.array(segment, dtype=np.int64),
            sees=np.array(sees, dtype=np.int64),
            completions=tuple(completions),
            pairs=tuple(pairs),
            images=tuple(self.images),
            image_places=tuple(self.image_places),
        )

    def _identity(self, fork: Fork, turn: Turn) -> Identity:
        return self.trajectory, fork.step, turn.candidate

    def _targets(self, turn: Turn) -> tuple[int, ...]:
        return self.renderer.completion(turn.raw, turn.finished)


def place(ids: Sequence[int], grids: Sequence[tuple[int, int, int]], image: int, start: int) -> tuple[IntArray, int]:
    """Position ids (3, len(ids)) of a stretch that begins at ``start``, and where the next one begins.

    Text counts up in all three rows. A picture of (t, h, w) *vectors* counts along its axes from where it stands, and
    what follows it begins max(h, w) later (Qwen2-VL, arXiv 2409.12191, section 2.1). ``image`` is the placeholder's id.
    Without grids, as for models of another kind, pictures count like text.
    """
    parts: list[IntArray] = []
    at = 0
    for grid in grids:
        begin = list(ids).index(image, at)
        parts.append(start + np.tile(np.arange(begin - at), (3, 1)))
        start += begin - at
        parts.append(start + np.indices(grid).reshape(3, -1))
        start += max(grid[1:])
        at = begin + grid[0] * grid[1] * grid[2]
    parts.append(start + np.tile(np.arange(len(ids) - at), (3, 1)))
    return np.concatenate(parts, axis=1).astype(np.int64), start + len(ids) - at
