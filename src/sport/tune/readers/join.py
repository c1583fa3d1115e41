"""From pairs to trees: pairs that share a prompt are one step, and a prompt that goes on from another's joins its tree.

A trajectory written out pair by pair says its history again in every pair. Joined again it is encoded once. A prompt
joins the tree of the longest other prompt that it begins with, followed by that one's chosen action; steps in between
for which there is no pair are laid into the trunk. A trunk does not fork: where two prompts go on from the same action,
the first keeps its place, and the other begins a tree of its own with its whole history in the opening, which is slower
and just as right.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sport.tune.readers.formats import Preference
from sport.tune.tree import Fork, Tree, Turn
from sport.types import Message, Text


def join(pairs: Iterable[Preference]) -> tuple[list[Tree], Counter[str]]:
    """Trees in the order of their first pairs, and what became of the pairs.

    Counted are ``pairs`` and ``trees``; ``shared``: pairs that found their step already there; ``continued``: steps
    that joined another's tree; ``apart``: steps with a history that no other pair accounts for (it is then encoded for
    them alone); ``repeated``: pairs that were there already, left out; ``other_chosen``: steps whose prompt is another
    step's, but whose chosen action is not.
    """
    nodes, counts = _steps(pairs)
    by_prompt: dict[str, list[_Node]] = defaultdict(list)
    for node in nodes:
        by_prompt[node.marks[-1]].append(node)
    counts["other_chosen"] = sum(len(same) - 1 for same in by_prompt.values())
    for node in sorted(nodes, key=lambda node: len(node.prompt)):
        parent = _parent(node, by_prompt)
        if parent is not None:
            parent.child, node.joined = node, True
        counts["continued"] += parent is not None
        counts["apart"] += parent is None and any(message.role == "assistant" for message in node.prompt)
    trees = [_tree(node) for node in nodes if not node.joined]
    counts["trees"] = len(trees)
    return trees, +counts


@dataclass(eq=False)
class _Node:
    """A step: its prompt with a mark of every beginning of it (``marks[i]`` of the first i messages)."""

    where: str
    prompt: tuple[Message, ...]
    marks: list[str]
    chosen: str
    rejected: list[str] = field(default_factory=list)
    child: _Node | None = None
    joined: bool = False


def _steps(pairs: Iterable[Preference]) -> tuple[list[_Node], Counter[str]]:
    found: dict[tuple[str, str], _Node] = {}
    counts: Counter[str] = Counter()
    for pair in pairs:
        marks = _marks(pair.prompt)
        node = found.get((marks[-1], pair.chosen))
        if node is None:
            node = found[marks[-1], pair.chosen] = _Node(pair.where, pair.prompt, marks, pair.chosen)
        elif pair.rejected in node.rejected:
            counts["repeated"] += 1
            continue
        else:
            counts["shared"] += 1
        node.rejected.append(pair.rejected)
        counts["pairs"] += 1
    return list(found.values()), counts


def _marks(prompt: Sequence[Message]) -> list[str]:
    """A hash of every beginning: of roles, words and what is on the pictures, whatever these are called."""
    digest, marks = hashlib.sha256(), [""]
    for message in prompt:
        parts = [part.text if isinstance(part, Text) else (part.file.sha256,) for part in message.parts]
        digest.update(repr((message.role, parts)).encode())
        marks.append(digest.hexdigest())
    return marks


def _parent(node: _Node, by_prompt: dict[str, list[_Node]]) -> _Node | None:
    """The step with the longest prompt that this one goes on from, if that place is free."""
    for place in range(len(node.prompt) - 1, 0, -1):
        said = node.prompt[place]
        if said.role != "assistant" or not _speakable(node.prompt[place:]):
            continue
        for other in by_prompt.get(node.marks[place], ()):
            if other.chosen == said.text:
                return other if other.child is None else None
    return None


def _speakable(rest: Sequence[Message]) -> bool:
    """Words only in the model's turns, and something between each two of them."""
    turns = [i for i, message in enumerate(rest) if message.role == "assistant"]
    words = all(all(isinstance(part, Text) for part in rest[i].parts) for i in turns)
    return words and all(after - before > 1 for before, after in zip(turns, [*turns[1:], len(rest)], strict=True))


def _tree(root: _Node) -> Tree:
    forks: list[Fork] = []
    node: _Node | None = root
    while node is not None:
        rejected = tuple(Turn(i, text) for i, text in enumerate(node.rejected, start=1))
        between = node.child.prompt[len(node.prompt) + 1 :] if node.child else ()
        after, rest = _until_turn(between)
        forks.append(Fork(len(forks), Turn(0, node.chosen), rejected, after))
        while rest:  # steps without pairs
            said, (after, rest) = rest[0].text, _until_turn(rest[1:])
            forks.append(Fork(len(forks), Turn(0, said), (), after, learnt=False))
        node = node.child
    return Tree(root.where, root.prompt, tuple(forks))


def _until_turn(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """What comes before the model's next turn, and the rest from that turn on."""
    turn = next((i for i, message in enumerate(messages) if message.role == "assistant"), len(messages))
    return tuple(messages[:turn]), tuple(messages[turn:])
