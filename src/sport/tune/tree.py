"""A trajectory's tree as the packer takes it: messages and raw texts, whatever they were made of.

:func:`of` makes trees of our own trajectories; readers of other people's data sets make them of what they read. Nothing
here knows tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sport.dialect import Dialect
from sport.errors import InputError
from sport.types import Action, Message, Pair, Step, Text, Trajectory


@dataclass(frozen=True)
class Turn:
    """One text that the model wrote or might have written. ``finished`` is False if it was cut at the token limit."""

    candidate: int
    raw: str
    finished: bool = True


@dataclass(frozen=True)
class Fork:
    """One step.

    Attributes:
        step: Its number in the tree.
        trunk: What the conversation goes on with. It is the chosen one of every pair of this step.
        rejected: The worse ones; none where nothing is to be preferred.
        after: Messages between the trunk's turn and the next step; of no meaning after the last fork that is learnt.
        learnt: Whether the trunk's turn is a completion at all: for preferences where ``rejected`` is not empty, for
            likelihood (SFT) always.
    """

    step: int
    trunk: Turn
    rejected: tuple[Turn, ...] = ()
    after: tuple[Message, ...] = ()
    learnt: bool = True


@dataclass(frozen=True)
class Tree:
    """``name`` is unique among the trees that are tuned together: log-probabilities are stored under it."""

    name: str
    opening: tuple[Message, ...]
    forks: tuple[Fork, ...]

    def history(self, place: int) -> list[Message]:
        """All messages before the fork at ``place``: opening, action, observation, action, ..."""
        messages = list(self.opening)
        for fork in self.forks[:place]:
            messages += [Message(role="assistant", parts=(Text(text=fork.trunk.raw),)), *fork.after]
        return messages

    @property
    def pairs(self) -> int:
        """How many it holds."""
        return sum(len(fork.rejected) for fork in self.forks)

    def check(self) -> None:
        """Refuse what nothing can be learnt from.

        Raises:
            InputError: no steps, no messages before the first, two steps of one number, two candidates of one number,
                or a rejected text that says what the chosen one says.
        """
        if not self.forks or not self.opening:
            raise InputError(f"{self.name}: an empty trajectory; leave it out")
        if len({fork.step for fork in self.forks}) != len(self.forks):
            raise InputError(f"{self.name}: two steps have one number; number them 0, 1, 2, ...")
        for fork in self.forks:
            where = f"{self.name}, step {fork.step}"
            numbers = [fork.trunk.candidate, *(turn.candidate for turn in fork.rejected)]
            if len(set(numbers)) != len(numbers):
                raise InputError(f"{where}: two candidates have one number; number them 0, 1, 2, ...")
            for turn in fork.rejected:
                if (turn.raw, turn.finished) == (fork.trunk.raw, fork.trunk.finished):
                    raise InputError(f"{where}: candidate {turn.candidate} is chosen and rejected; leave the pair out")


def of(trajectories: Iterable[Trajectory], pairs: Iterable[Pair], dialect: Dialect) -> Iterator[Tree]:
    """The tree of every trajectory that has pairs, in the order given.

    Raises:
        InputError: a pair of a step or candidate that is not there, or whose chosen candidate is not on the trunk.
    """
    asked: dict[str, dict[int, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        asked[pair.trajectory][pair.step].append(pair)
    for trajectory in trajectories:
        if trajectory.id in asked:
            yield _tree(trajectory, asked[trajectory.id], dialect)


def of_sft(trajectories: Iterable[Trajectory], dialect: Dialect) -> Iterator[Tree]:
    """The same without leaves: every action of the trunk is a completion."""
    for trajectory in trajectories:
        if trajectory.steps:
            yield _tree(trajectory, None, dialect)


def _tree(trajectory: Trajectory, asked: dict[int, list[Pair]] | None, dialect: Dialect) -> Tree:
    """``asked`` is None for SFT. Steps after the last that is learnt are left out."""
    last = max(asked) if asked else trajectory.steps[-1].index
    forks = []
    for step in trajectory.steps:
        if step.index > last:
            break
        wanted = asked.get(step.index, []) if asked is not None else []
        rejected = tuple(_turn(trajectory, step, index) for index in _rejected(trajectory, step, wanted))
        after = (_observation(trajectory, step, dialect),) if step.index < last else ()
        trunk = _turn(trajectory, step, step.trunk.index)
        forks.append(Fork(step.index, trunk, rejected, after, learnt=asked is None or bool(wanted)))
    missing = set(asked or ()) - {fork.step for fork in forks}
    if missing:
        raise InputError(f"{trajectory.id}: pairs of step {min(missing)}, which the trajectory does not have")
    return Tree(trajectory.id, tuple(dialect.opening(trajectory.task)), tuple(forks))


def _rejected(trajectory: Trajectory, step: Step, pairs: Sequence[Pair]) -> list[int]:
    """In the order of their pairs, each once."""
    if any(pair.chosen != step.trunk.index for pair in pairs):
        raise InputError(f"{trajectory.id}, step {step.index}: the chosen candidate is not the one on the trunk")
    return list(dict.fromkeys(pair.rejected for pair in pairs))


def _turn(trajectory: Trajectory, step: Step, index: int) -> Turn:
    action: Action | None = next((c.action for c in step.candidates if c.index == index), None)
    if action is None:
        raise InputError(f"{trajectory.id}, step {step.index}: there is no candidate {index}")
    return Turn(index, action.raw, action.finished)


def _observation(trajectory: Trajectory, step: Step, dialect: Dialect) -> Message:
    if step.trunk.observation is None:
        raise InputError(f"{trajectory.id}, step {step.index}: the trunk's candidate has no observation")
    return dialect.observation(step.trunk.observation, step.index)
