"""A trajectory's tree as one row of tokens: the trunk first, the rejected candidates after it as leaves.

The history that n candidates of a step share is encoded once, and so is the history that step t shares with step t + 1.
Leaves take the position ids that follow *their* history, and see nothing but it and themselves (``attention.py``). The
first token of every candidate of a step is predicted by the same place: the last token of the history. A leaf's last
token predicts nothing, so it is not in the row.

Where a chat template rewrites earlier turns, each step gets a row of its own whose trunk is the history rendered at
once: slower, and right. That is found out twice: for the template, at load (``Renderer.splits``), and for every
trajectory here, since templates differ in what they rewrite (outer white space, reasoning in earlier turns).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator

from sport.dialect import Dialect
from sport.errors import InputError
from sport.render import Renderer
from sport.tune import tree
from sport.tune.layout import Layout
from sport.tune.row import Row
from sport.tune.tree import Tree
from sport.types import Pair, Trajectory

log = logging.getLogger(__name__)


def rows(
    trajectories: Iterable[Trajectory],
    pairs: Iterable[Pair],
    dialect: Dialect,
    renderer: Renderer,
    max_row_tokens: int,
) -> tuple[list[Row], Counter[str]]:
    """One row per trajectory that has pairs, in the order given, and a count of what did not fit: :func:`lay_out`."""
    return lay_out(tree.of(trajectories, pairs, dialect), renderer, max_row_tokens)


def sft_rows(
    trajectories: Iterable[Trajectory], dialect: Dialect, renderer: Renderer, max_row_tokens: int
) -> tuple[list[Row], Counter[str]]:
    """The same rows without leaves: every action of the trunk is a completion."""
    return lay_out(tree.of_sft(trajectories, dialect), renderer, max_row_tokens)


def lay_out(trees: Iterable[Tree], renderer: Renderer, max_row_tokens: int) -> tuple[list[Row], Counter[str]]:
    """One row per tree, in the order given, and a count of what did not fit.

    A tree is cut where its next step with its leaves would pass ``max_row_tokens``, never inside a step or a picture.
    The count says how many were ``cut``, of how many nothing fitted (``too_long``), how many ``pairs`` went with them,
    and how many needed a row for every step because the chat template rewrites their turns (``rewritten``).

    Raises:
        InputError: an empty tree, a candidate that is chosen and rejected, or a picture that cannot be looked at; the
            message names the tree.
    """
    made: list[Row] = []
    lost: Counter[str] = Counter()
    long: list[str] = []
    if not renderer.splits:
        log.warning("the chat template rewrites earlier turns: one row per step (slower)")
    for found in trees:
        found.check()
        try:
            whole = renderer.splits and _holds(found, renderer)
            laid = [_one_row(found, renderer, max_row_tokens)] if whole else [*_a_row_a_step(found, renderer)]
        except InputError as error:
            raise InputError(f"{found.name}: {error}; replace it, or leave the trajectory out") from error
        kept = [layout.row() for layout in laid if layout.decided and len(layout) <= max_row_tokens]
        if not _complete(found, kept):
            lost["cut" if kept else "too_long"] += 1
            lost["pairs"] += found.pairs - sum(len(row.pairs) for row in kept)
            long.append(found.name)
        lost["rewritten"] += renderer.splits and not whole
        made += kept
    if lost["rewritten"]:
        log.warning("the chat template rewrites turns of %d trajectories: one row per step there", lost["rewritten"])
    if long:
        names = ", ".join(long[:5]) + (f" and {len(long) - 5} more" if len(long) > 5 else "")
        log.warning("longer than max_row_tokens = %d, so cut at a step or left out: %s", max_row_tokens, names)
    return made, +lost


def _complete(found: Tree, kept: list[Row]) -> bool:
    """Whether every step that is to be learnt is in some row."""
    done = {completion.identity[1] for row in kept for completion in row.completions}
    return all(fork.step in done for fork in found.forks if fork.learnt)


def _holds(found: Tree, renderer: Renderer) -> bool:
    """Whether every history of the tree, rendered at once, is the text of its segments one after another.

    Tokens follow from the text, since segments are cut at special tokens: that much was proven at load.
    """
    parts = [renderer.words(found.opening)]
    for place, fork in enumerate(found.forks):
        if place and renderer.words(found.history(place)) != "".join(parts):
            return False
        parts.append(renderer.words_closed(fork.trunk.raw))
        if fork.after:
            parts.append(renderer.words_between(fork.after))
    return True


def _one_row(found: Tree, renderer: Renderer, limit: int) -> Layout:
    layout = Layout(found.name, renderer)
    ahead = [renderer.prompt(found.opening)]  # of the trunk; laid down once a step follows that fits
    for fork in found.forks:
        # A turn that was cut at the token limit has no end marker to learn, but the history has one after it.
        ahead.append(renderer.closed(fork.trunk.raw))
        if fork.learnt:
            if len(layout) + sum(len(s.ids) for s in ahead) + layout.leaf_tokens(fork) > limit:
                break
            for segment in ahead[:-1]:
                layout.extend(segment)
            layout.decide(fork, follows=True)
            layout.extend(ahead[-1])
            ahead = []
        if fork.after:
            ahead.append(renderer.between(fork.after))
    return layout


def _a_row_a_step(found: Tree, renderer: Renderer) -> Iterator[Layout]:
    for place, fork in enumerate(found.forks):
        if fork.learnt:
            layout = Layout(found.name, renderer)
            layout.extend(renderer.prompt(found.history(place)))
            layout.decide(fork, follows=False)
            yield layout
