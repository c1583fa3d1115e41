"""Pairs back to trees: what shares a history is one tree, and what it came to is counted."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sport.tune.readers.formats import Preference
from sport.tune.readers.join import join
from sport.tune.tree import Fork, Tree, Turn
from sport.types import File, Image, Message, Text


def say(role: str, *parts: str | File) -> Message:
    return Message.model_validate(
        {"role": role, "parts": [Text(text=p) if isinstance(p, str) else Image(file=p) for p in parts]}
    )


def picture(content: str, name: str = "a.png") -> File:
    return File(name=name, sha256=content, size=1, media_type="image/png")


TASK = say("user", "How many?")
FIRST = (TASK,)
SECOND = (TASK, say("assistant", "look"), say("user", "12"))


def pair(prompt: tuple[Message, ...], chosen: str, rejected: str, where: str = "x") -> Preference:
    return Preference(where, prompt, chosen, rejected)


def test_pairs_that_share_a_prompt_are_one_step() -> None:
    trees, counts = join([pair(FIRST, "look", "guess", "a"), pair(FIRST, "look", "wait", "b")])
    assert trees == [Tree("a", FIRST, (Fork(0, Turn(0, "look"), (Turn(1, "guess"), Turn(2, "wait"))),))]
    assert counts == {"pairs": 2, "shared": 1, "trees": 1}


def test_a_prompt_that_goes_on_joins_the_tree() -> None:
    trees, counts = join([pair(SECOND, "say 12", "say 3", "later"), pair(FIRST, "look", "guess", "a")])
    first = Fork(0, Turn(0, "look"), (Turn(1, "guess"),), (SECOND[2],))
    assert trees == [Tree("a", FIRST, (first, Fork(1, Turn(0, "say 12"), (Turn(1, "say 3"),))))]
    assert counts == {"pairs": 2, "continued": 1, "trees": 1}


def test_a_step_without_pairs_lies_in_the_trunk() -> None:
    third = (*SECOND, say("assistant", "count"), say("user", "13"))
    (tree,), counts = join([pair(FIRST, "look", "guess"), pair(third, "say 13", "say 12")])
    assert [(f.trunk.raw, len(f.rejected), f.learnt) for f in tree.forks] == [
        ("look", 1, True),
        ("count", 0, False),
        ("say 13", 1, True),
    ]
    assert tree.history(2) == list(third) and counts["continued"] == 1


def test_what_cannot_be_joined_is_counted() -> None:
    other = (TASK, say("assistant", "look"), say("user", "another world"))
    rejected = (TASK, say("assistant", "guess"), say("user", "no"))
    asked = [
        pair(FIRST, "look", "guess"),
        pair(SECOND, "say 12", "say 3"),
        pair(other, "a", "b"),  # goes on from the same action, but the trunk went elsewhere
        pair(rejected, "a", "b"),  # goes on from what was rejected
        pair(FIRST, "leap", "look"),  # the same prompt with another winner
        pair(FIRST, "look", "guess"),  # said before
    ]
    trees, counts = join(asked)
    assert counts == {"pairs": 5, "trees": 4, "continued": 1, "apart": 2, "other_chosen": 1, "repeated": 1}
    assert sum(tree.pairs for tree in trees) == 5
    assert trees[1].opening == other


def test_pictures_count_by_content_and_not_by_name() -> None:
    see = lambda content, name: (say("user", picture(content, name), "What?"),)  # noqa: E731
    asked = [pair(see("1", "a.png"), "x", "y"), pair(see("1", "b.png"), "x", "z"), pair(see("2", "a.png"), "x", "y")]
    trees, _ = join(asked)
    assert [tree.pairs for tree in trees] == [2, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 4))
def test_trees_come_back_whole_whatever_the_order_of_their_pairs(seed: int, steps: int, leaves: int) -> None:
    draw = random.Random(seed)
    asked: list[Preference] = []
    for name in range(3):
        prompt: tuple[Message, ...] = (say("user", f"task {name}"),)
        for step in range(steps):
            chosen = f"act {name}.{step}"
            asked += [pair(prompt, chosen, f"bad {leaf}") for leaf in range(leaves)]
            prompt = (*prompt, say("assistant", chosen), say("user", f"saw {step}"))
    draw.shuffle(asked)
    trees, counts = join(asked)
    assert len(trees) == 3 and all(len(tree.forks) == steps for tree in trees)
    assert all(len(fork.rejected) == leaves for tree in trees for fork in tree.forks)
    assert counts["continued"] == 3 * (steps - 1) and not counts["apart"]
