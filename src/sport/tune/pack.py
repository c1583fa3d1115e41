"""A trajectory's tree as one row of tokens: the trunk first, the rejected candidates after it as leaves.

The history that n candidates of a step share is encoded once, and so is the history that step t shares with step t + 1.
Leaves take the position ids that follow *their* history, and see nothing but it and themselves (``attention.py``). The
first token of every candidate of a step is predicted by the same place: the last token of the history. A leaf's last
token predicts nothing, so it is not in the row.

Where a chat template rewrites earlier turns (``Renderer.segmentable`` is False), each step gets a row of its own whose
trunk is the history rendered at once: slower, and right.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

import numpy as np

from sport.dialect import Dialect
from sport.render import Renderer, Segment
from sport.types import Action, File, Observation, Pair, Step, Trajectory

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


def rows(
    trajectories: Iterable[Trajectory],
    pairs: Iterable[Pair],
    dialect: Dialect,
    renderer: Renderer,
    max_row_tokens: int,
) -> tuple[list[Row], Counter[str]]:
    """One row per trajectory that has pairs, in the order given, and a count of what did not fit.

    A trajectory is cut where its next step with its leaves would pass ``max_row_tokens``, never inside a step; the
    count says how many were ``cut``, of how many nothing fitted (``too_long``), and how many ``pairs`` went with them.
    """
    asked: dict[str, dict[int, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        asked[pair.trajectory][pair.step].append(pair)
    wanted = ((t, {k: _candidates(ps) for k, ps in asked[t.id].items()}) for t in trajectories if t.id in asked)
    return _rows(wanted, dialect, renderer, max_row_tokens)


def sft_rows(
    trajectories: Iterable[Trajectory], dialect: Dialect, renderer: Renderer, max_row_tokens: int
) -> tuple[list[Row], Counter[str]]:
    """The same rows without leaves: every action of the trunk is a completion."""
    wanted = ((t, {step.index: [step.trunk.index] for step in t.steps}) for t in trajectories)
    return _rows(wanted, dialect, renderer, max_row_tokens)


# ------------------------------------------------------------------------------------------------- trees


def _candidates(pairs: Sequence[Pair]) -> list[int]:
    """The chosen candidate of a step, then the rejected ones in the order of their pairs."""
    if len({pair.chosen for pair in pairs}) != 1:
        raise ValueError(f"trajectory {pairs[0].trajectory}, step {pairs[0].step}: more than one chosen candidate")
    return [pairs[0].chosen, *dict.fromkeys(pair.rejected for pair in pairs)]


def _rows(
    wanted: Iterable[tuple[Trajectory, Mapping[int, list[int]]]], dialect: Dialect, renderer: Renderer, limit: int
) -> tuple[list[Row], Counter[str]]:
    made: list[Row] = []
    lost: Counter[str] = Counter()
    if not renderer.segmentable:
        logging.getLogger(__name__).warning("the chat template rewrites earlier turns: one row per step (slower)")
    for trajectory, steps in wanted:
        if not steps:
            continue
        trees = (
            [_tree(trajectory, steps, dialect, renderer, limit)]
            if renderer.segmentable
            else _singles(trajectory, steps, dialect, renderer, limit)
        )
        kept = [tree.row() for tree in trees if tree.decided]
        missing = sum(len(candidates) - 1 for candidates in steps.values()) - sum(len(row.pairs) for row in kept)
        if sum(len(tree.decided) for tree in trees) < len(steps):
            lost["cut" if kept else "too_long"] += 1
            lost["pairs"] += missing
        made += kept
    return made, +lost


def _tree(
    trajectory: Trajectory, wanted: Mapping[int, list[int]], dialect: Dialect, renderer: Renderer, limit: int
) -> _Tree:
    tree = _Tree(trajectory.id, renderer)
    ahead = [renderer.prompt(dialect.opening(trajectory.task))]  # of the trunk; laid down once a step follows that fits
    for step in trajectory.steps:
        # A turn that was cut at the token limit has no end marker to learn, but the history has one after it.
        turn = Segment(renderer.completion(step.trunk.action.raw, True))
        chosen, leaves = wanted.get(step.index, [])[:1], wanted.get(step.index, [])[1:]
        ahead.append(turn)
        if chosen:
            if chosen != [step.trunk.index]:
                raise ValueError(f"trajectory {trajectory.id}, step {step.index}: the chosen one is not on the trunk")
            branches = {index: tree.targets(_action(step, index)) for index in leaves}
            if len(tree) + sum(len(s.ids) for s in ahead) + sum(len(ids) for ids in branches.values()) > limit:
                break
            for segment in ahead[:-1]:
                tree.extend(segment)
            for index, ids in branches.items():
                tree.branch((trajectory.id, step.index, index), ids)
            tree.follow((trajectory.id, step.index, step.trunk.index), tree.targets(step.trunk.action))
            tree.decide(step.index, step.trunk.index, leaves)
            tree.extend(turn)
            ahead = []
        if step.index == max(wanted):
            break
        ahead.append(renderer.between(dialect.observation(_observation(step))))
    return tree


def _singles(
    trajectory: Trajectory, wanted: Mapping[int, list[int]], dialect: Dialect, renderer: Renderer, limit: int
) -> list[_Tree]:
    trees = []
    for place, step in enumerate(trajectory.steps):
        if step.index not in wanted:
            continue
        tree = _Tree(trajectory.id, renderer)
        tree.extend(renderer.prompt(dialect.history(trajectory.task, trajectory.steps[:place])))
        branches = {index: tree.targets(_action(step, index)) for index in wanted[step.index]}
        if len(tree) + sum(len(ids) for ids in branches.values()) > limit:
            continue
        for index, ids in branches.items():
            tree.branch((trajectory.id, step.index, index), ids)
        chosen, *rejected = wanted[step.index]
        tree.decide(step.index, chosen, rejected)
        trees.append(tree)
    return trees


def _observation(step: Step) -> Observation:
    if step.trunk.observation is None:
        raise ValueError(f"step {step.index}: the trunk's candidate has no observation")
    return step.trunk.observation


def _action(step: Step, index: int) -> Action:
    for candidate in step.candidates:
        if candidate.index == index:
            return candidate.action
    raise ValueError(f"step {step.index} has no candidate {index}")


# -------------------------------------------------------------------------------------------------- rows


@dataclass
class _Leaf:
    identity: Identity
    ids: tuple[int, ...]
    sees: int
    start: int


@dataclass
class _Tree:
    """A row while it grows. ``length`` counts trunk tokens, ``start`` is the next position id."""

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
    decided: list[tuple[int, int, list[int]]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.length + sum(max(0, len(leaf.ids) - 1) for leaf in self.leaves)

    def targets(self, action: Action) -> tuple[int, ...]:
        return self.renderer.completion(action.raw, action.finished)

    def extend(self, segment: Segment) -> None:
        grids = [_vectors(self.renderer, file) for file in segment.images]
        image = self.renderer.image_id
        positions, self.start = place(segment.ids, grids, image, self.start)
        self.image_places += [self.length + i for i, token in enumerate(segment.ids) if token == image]
        self.images += segment.images
        self.positions.append(positions)
        self.ids += segment.ids
        self.length += len(segment.ids)

    def follow(self, identity: Identity, targets: tuple[int, ...]) -> None:
        """A completion that the trunk is about to go on with."""
        first = self.length - 1
        self.completions.append(Completion(identity, tuple(range(first, first + len(targets))), targets))

    def branch(self, identity: Identity, targets: tuple[int, ...]) -> None:
        """A completion that leaves the trunk here."""
        self.leaves.append(_Leaf(identity, targets, self.length, self.start))

    def decide(self, step: int, chosen: int, rejected: list[int]) -> None:
        self.decided.append((step, chosen, rejected))

    def row(self) -> Row:
        """The trunk and its leaves, laid out."""
        ids, positions = list(self.ids), list(self.positions)
        segment, sees = [0] * self.length, [self.length] * self.length
        completions = list(self.completions)
        for number, leaf in enumerate(self.leaves, start=1):
            offset, inside = len(ids), leaf.ids[:-1]
            predicting = (leaf.sees - 1, *range(offset, offset + len(inside)))[: len(leaf.ids)]
            completions.append(Completion(leaf.identity, predicting, leaf.ids))
            positions.append(place(inside, [], -1, leaf.start)[0])
            ids += inside
            segment += [number] * len(inside)
            sees += [leaf.sees] * len(inside)
        where = {completion.identity[1:]: i for i, completion in enumerate(completions)}
        pairs = tuple((where[step, chosen], where[step, r]) for step, chosen, rest in self.decided for r in rest)
        return Row(
            trajectory=self.trajectory,
            ids=np.array(ids, dtype=np.int64),
            positions=np.concatenate(positions, axis=1),
            segment=np.array(segment, dtype=np.int64),
            sees=np.array(sees, dtype=np.int64),
            completions=tuple(completions),
            pairs=pairs,
            images=tuple(self.images),
            image_places=tuple(self.image_places),
        )


def place(ids: Sequence[int], grids: Sequence[tuple[int, int, int]], image: int, start: int) -> tuple[IntArray, int]:
    """Position ids (3, len(ids)) of a stretch that begins at ``start``, and where the next one begins.

    Text counts up in all three rows. A picture of (t, h, w) *vectors* counts along its axes from where it stands, and
    what follows it begins max(h, w) later (Qwen2-VL, arXiv 2409.12191, section 2.1). ``image`` is the placeholder's id.
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


def _vectors(renderer: Renderer, file: File) -> tuple[int, int, int]:
    """A picture's grid in vectors: the tower merges squares of ``merge`` x ``merge`` patches into one."""
    t, h, w = renderer.picture(file).grid
    merge = isqrt(t * h * w // renderer.vectors(file))
    return t, h // merge, w // merge
