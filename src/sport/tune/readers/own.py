"""Trajectories as a user writes them, one a line: the prompt, then steps with their candidates and what came of them.

    {"id": "t1", "images": ["a.png"],
     "prompt": [{"role": "user", "content": "<image>How many?"}],
     "steps": [{"candidates": ["count()", "guess"], "chosen": 0, "observation": "12"},
               {"candidates": ["final_answer(12)", "final_answer(3)", "12"], "chosen": 0, "tied": [2]}]}

``chosen`` is the index of the best candidate, which the conversation goes on with; null where nobody could tell, and
``trunk`` then says with which it goes on. ``tied`` are as good as the best and form no pair with it. ``observation`` is
a text, or a list of turns; the last step needs none. Pictures are placed as in every other format, counted through the
prompt and all observations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sport.errors import InputError
from sport.tune.readers.records import Record
from sport.tune.readers.turns import Add, Found, messages
from sport.tune.tree import Fork, Tree, Turn
from sport.types import Message


def tree(record: Record, found: Found, add: Add) -> Tree:
    """The tree of one record.

    Raises:
        InputError: no steps, a step without candidates, an index that is none, a step that is not the last without an
            observation; also as :func:`~sport.tune.readers.turns.messages`.
    """
    where, steps = record.where, record.data["steps"]
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not steps:
        raise InputError(f"{where}: an empty trajectory, without steps; leave it out")
    opening, after = _said(record, steps, found, add)
    forks = tuple(_fork(f"{where}, step {k}", k, step, after[k]) for k, step in enumerate(steps))
    missing = next((k for k, fork in enumerate(forks[:-1]) if not fork.after), None)
    if missing is not None:
        raise InputError(f"{where}, step {missing}: no observation, and the trajectory goes on; give one")
    return Tree(str(record.data.get("id") or where), opening, forks)


def _said(
    record: Record, steps: Sequence[Any], found: Found, add: Add
) -> tuple[tuple[Message, ...], list[tuple[Message, ...]]]:
    """Prompt and observations as messages. They are read as one conversation, so that its pictures count through."""
    prompt = record.data["prompt"]
    if not isinstance(prompt, Sequence) or isinstance(prompt, str) or not prompt:
        raise InputError(f"{record.where}: prompt: expected a list of turns, each with role and content")
    told = [_turns(step, f"{record.where}, step {k}") for k, step in enumerate(steps)]
    flat = messages([*prompt, *(turn for turns in told for turn in turns)], found, record.where, add, marked=False)
    at, after = len(prompt), []
    for turns in told:
        after.append(flat[at : at + len(turns)])
        at += len(turns)
    return flat[: len(prompt)], after


def _turns(step: Any, where: str) -> list[Any]:
    if not isinstance(step, Mapping):
        raise InputError(f"{where}: expected an object with candidates, chosen and observation")
    told = step.get("observation")
    if told is None:
        return []
    return [{"role": "user", "content": told}] if isinstance(told, str) else list(told)


def _fork(where: str, number: int, step: Mapping[str, Any], after: tuple[Message, ...]) -> Fork:
    texts = step.get("candidates")
    if (
        not isinstance(texts, Sequence)
        or isinstance(texts, str)
        or not texts
        or not all(isinstance(t, str) for t in texts)
    ):
        raise InputError(f"{where}: candidates: expected a list of texts")
    best, tied = step.get("chosen"), step.get("tied") or ()
    trunk = _index(where, best if best is not None else step.get("trunk"), len(texts))
    tied = [_index(where, index, len(texts)) for index in tied]
    seen = {texts[trunk], *(texts[index] for index in tied)}
    rejected = []
    for index, text in enumerate(texts if best is not None else ()):
        if text not in seen:  # equal texts count as one, and nobody is worse than himself
            seen.add(text)
            rejected.append(Turn(index, text))
    return Fork(number, Turn(trunk, texts[trunk]), tuple(rejected), after, learnt=bool(rejected))


def _index(where: str, index: Any, size: int) -> int:
    if not isinstance(index, int) or not 0 <= index < size:
        raise InputError(f"{where}: {index!r} is no candidate's index; there are {size}, counted from 0")
    return index
