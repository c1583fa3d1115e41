"""The door to the readers: a path or records in, trees and counts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from sport.errors import InputError
from sport.tune.readers.formats import ORIGINS, Conversation, Format, Origin, Preference, tell
from sport.tune.readers.join import join
from sport.tune.readers.pictures import Pictures
from sport.tune.readers.records import Record, Source, each
from sport.tune.tree import Fork, Tree, Turn

Method = Literal["preference", "imitation"]


@dataclass(frozen=True)
class Data:
    """A data set, ready to be laid out.

    Attributes:
        name: Of the file or directory, without its path.
        format: What it was read as.
        trees: The trajectories.
        counts: How many records, pairs and trees, and what became of the pairs (:func:`~.join.join`).
        pictures: Where their bytes are.
        origin: Who made it, where that is known.
    """

    name: str
    format: str
    trees: tuple[Tree, ...]
    counts: Counter[str]
    pictures: Pictures
    origin: Origin | None = None

    @property
    def has_pairs(self) -> bool:
        """Whether there is anything to prefer."""
        return any(tree.pairs for tree in self.trees)

    def imitation(self) -> Data:
        """The same with every action of the trunk to be learnt by likelihood, and without leaves (SFT)."""
        return replace(self, trees=tuple(_trunk(tree) for tree in self.trees))


def read(
    source: Source,
    *,
    pictures: Pictures | None = None,
    origin: str | None = None,
    wanted: Iterable[int] | None = None,
) -> Data:
    """Read a data set; its first record tells the format, and every other must be of the same.

    Args:
        source: A ``.jsonl``, ``.json`` or ``.parquet`` file, a directory of such, or records in memory.
        pictures: Where to keep pictures; by default relative paths start from the data file's directory.
        origin: "sport", "mm-traj", or "own" for data that only look like one of these; None tells by content.
        wanted: Numbers of the records to read; None for all.

    Raises:
        InputError: nothing there, or a record that cannot be used; file and line are named, and what to do.
    """
    pictures = Pictures() if pictures is None else pictures
    records = each(source, wanted)
    first = next(records, None)
    name = Path(source).name if isinstance(source, str | Path) else "records in memory"
    if first is None:
        raise InputError(f"{name}: no records; give data to tune on")
    found = tell(first)
    made: list[Tree] = []
    pairs: list[Preference] = []
    size = 0
    for record in chain([first], records):
        size += 1
        one = _read(record, found, pictures)
        if isinstance(one, Preference):
            pairs.append(one)
        else:
            made.append(_talk(one) if isinstance(one, Conversation) else one)
    joined, counts = join(pairs)
    trees = [*made, *joined]
    counts = Counter(records=size, pairs=sum(tree.pairs for tree in trees), trees=len(trees)) | counts
    _distinct(trees)
    return Data(name, found.name, tuple(trees), +counts, pictures, _origin(origin, found, first))


def _read(record: Record, found: Format, pictures: Pictures) -> Preference | Conversation | Tree:
    try:
        other = tell(record)
    except InputError as error:
        raise InputError(f"{error}; the records before it were {found.name}") from error
    if other.read is not found.read:
        raise InputError(f"{record.where}: {other.name} among {found.name}; keep one format a file")
    return found.read(record, pictures)


def _talk(conversation: Conversation) -> Tree:
    """A conversation as a trunk without leaves; its opening ends before the model's first turn."""
    said = conversation.messages
    turns = [i for i, message in enumerate(said) if message.role == "assistant"]
    forks = []
    for k, (turn, after) in enumerate(zip(turns, [*turns[1:], len(said)], strict=True)):
        if after - turn == 1 and after < len(said):
            raise InputError(f"{conversation.where}: two turns of the model in a row; join them into one")
        forks.append(Fork(k, Turn(0, said[turn].text), (), said[turn + 1 : after]))
    if not turns[0]:
        raise InputError(f"{conversation.where}: begins with a turn of the model; expected one of the user before it")
    return Tree(conversation.where, said[: turns[0]], tuple(forks))


def _trunk(tree: Tree) -> Tree:
    return replace(tree, forks=tuple(replace(fork, rejected=(), learnt=True) for fork in tree.forks))


def _distinct(trees: Sequence[Tree]) -> None:
    names = Counter(tree.name for tree in trees)
    twice = next((name for name, number in names.items() if number > 1), None)
    if twice is not None:
        raise InputError(f"two trajectories have the id {twice!r}; give each its own")


def _origin(asked: str | None, found: Format, first: Record) -> Origin | None:
    if asked is None:
        return found.origin(first)
    if asked != "own" and asked not in ORIGINS:
        raise InputError(f"origin {asked!r} is not known; expected own, {', '.join(ORIGINS)}")
    return ORIGINS.get(asked)
