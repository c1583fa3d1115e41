"""The formats: told apart by the fields of a record, and read into preferences, conversations or whole trees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sport.errors import InputError
from sport.tune.readers.pictures import Pictures
from sport.tune.readers.records import Record
from sport.tune.readers.turns import Add, Found, action, messages
from sport.tune.tree import Tree
from sport.types import Message


@dataclass(frozen=True)
class Preference:
    """A pair: messages before it, the chosen and the rejected text. ``where`` it stands."""

    where: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Conversation:
    """Turns of which the model's are to be learnt."""

    where: str
    messages: tuple[Message, ...]


Read = Preference | Conversation | Tree


@dataclass(frozen=True)
class Origin:
    """Who made a data set, and the benchmarks whose items its queries were grown from."""

    name: str
    seeds: tuple[str, ...] = ()


SPORT = Origin("SPORT's published pairs (arXiv 2504.21561)", ("GAIA", "GTA"))
MM_TRAJ = Origin("MM-Traj (arXiv 2412.15606)", ("GAIA", "GTA"))
ORIGINS = {"sport": SPORT, "mm-traj": MM_TRAJ}
"""By the name that a user gives."""

_REACT = re.compile(r"Thought:.*Code:\s*```py", re.DOTALL)


@dataclass(frozen=True)
class Format:
    """A format by name, and how a record of it is read. ``origin`` tells a published set by its content."""

    name: str
    read: Callable[[Record, Pictures], Read]
    origin: Callable[[Record], Origin | None] = lambda record: None


def tell(record: Record) -> Format:
    """Which format a record is of, by its fields.

    Raises:
        InputError: none that is known; the fields that were found are named. Also for a field that would change what
            the model reads, and that no reader here understands.
    """
    has = record.data.keys()
    if record.data.get("tools"):
        raise InputError(f"{record.where}: tools are not rendered from a field; describe them in a system turn")
    for fields, found in _FORMATS:
        if fields <= has:
            return found
    known = "; ".join(f"{found.name}: {', '.join(sorted(fields))}" for fields, found in _FORMATS)
    raise InputError(f"{record.where}: a record with the fields {', '.join(sorted(has)) or 'none'}; known are {known}")


# -------------------------------------------------------------------------------------------- preferences


def _sport(record: Record, pictures: Pictures) -> Preference:
    """SPORT's pairs, and LLaMA-Factory's ranking format: history in ``conversations``, sharegpt style."""
    turns = list(_list(record, "conversations"))
    if record.data.get("system"):
        turns.insert(0, {"from": "system", "value": record.data["system"]})
    prompt = messages(turns, _pictures(record, pictures, "images"), record.where, _adder(record, pictures), marked=True)
    return _pair(record, prompt, record.data["chosen"], record.data["rejected"])


def _trl(record: Record, pictures: Pictures) -> Preference:
    """TRL's conversational preferences, with the prompt given or as what both sides begin with."""
    prompt, chosen, rejected = (record.data.get(name) for name in ("prompt", "chosen", "rejected"))
    if isinstance(prompt, str):
        raise InputError(
            f'{record.where}: the prompt is a bare text; expected messages: [{{"role": "user", "content": ...}}]'
        )
    if prompt is None:
        if (
            not isinstance(chosen, list)
            or not isinstance(rejected, list)
            or chosen[:-1] != rejected[:-1]
            or not chosen[:-1]
        ):
            raise InputError(f"{record.where}: no prompt, and chosen and rejected do not begin with the same turns")
        prompt, chosen, rejected = chosen[:-1], chosen[-1], rejected[-1]
    said = messages(
        prompt, _pictures(record, pictures, "images", "image"), record.where, _adder(record, pictures), marked=False
    )
    return _pair(record, said, chosen, rejected)


def _swift(record: Record, pictures: Pictures) -> Preference:
    """ms-swift's: the last turn of ``messages`` is the chosen one."""
    turns = _list(record, "messages")
    rejected = record.data.get("rejected_response") or _list(record, "rejected_messages")[-1]
    prompt = messages(
        turns[:-1], _pictures(record, pictures, "images"), record.where, _adder(record, pictures), marked=True
    )
    return _pair(record, prompt, turns[-1], rejected)


def _pair(record: Record, prompt: tuple[Message, ...], chosen: Any, rejected: Any) -> Preference:
    if prompt[-1].role == "assistant":
        raise InputError(f"{record.where}: the prompt ends with a turn of the model; expected one of the user")
    found = Preference(
        record.where, prompt, action(chosen, record.where, "chosen"), action(rejected, record.where, "rejected")
    )
    if found.chosen == found.rejected:
        raise InputError(f"{record.where}: chosen and rejected are the same text; leave the record out")
    return found


# ------------------------------------------------------------------------------------------ conversations


def _conversations(record: Record, pictures: Pictures) -> Conversation:
    """LLaVA's JSON, MM-Traj and MiniCPM's: ``conversations`` with ``image`` as a path, a list or a placeholder map."""
    turns = list(_list(record, "conversations"))
    if record.data.get("system"):
        turns.insert(0, {"from": "system", "value": record.data["system"]})
    return _talk(
        record,
        messages(
            turns, _pictures(record, pictures, "image", "images"), record.where, _adder(record, pictures), marked=True
        ),
    )


def _messages(record: Record, pictures: Pictures) -> Conversation:
    """TRL's ``messages`` with ``images``."""
    found = _pictures(record, pictures, "images", "image")
    return _talk(record, messages(record.data["messages"], found, record.where, _adder(record, pictures), marked=False))


def _completion(record: Record, pictures: Pictures) -> Conversation:
    """TRL's ``prompt`` and ``completion``."""
    found = _pictures(record, pictures, "images", "image")
    said = messages(record.data["prompt"], found, record.where, _adder(record, pictures), marked=False)
    last = action(record.data["completion"], record.where, "completion")
    return _talk(
        record,
        (
            *said,
            *messages(
                [{"role": "assistant", "content": last}], (), record.where, _adder(record, pictures), marked=False
            ),
        ),
    )


def _cauldron(record: Record, pictures: Pictures) -> Conversation:
    """The Cauldron's ``texts`` of user and assistant; the pictures stand before the first."""
    turns = []
    for text in _list(record, "texts"):
        turns += [{"role": who, "content": text[who]} for who in ("user", "assistant") if who in text]
    return _talk(
        record,
        messages(turns, _pictures(record, pictures, "images"), record.where, _adder(record, pictures), marked=False),
    )


def _talk(record: Record, said: tuple[Message, ...]) -> Conversation:
    if not any(message.role == "assistant" for message in said):
        raise InputError(f"{record.where}: an empty trajectory, without any turn of the model; leave it out")
    return Conversation(record.where, said)


# ------------------------------------------------------------------------------------------------ details


def _list(record: Record, name: str) -> Sequence[Any]:
    value = record.data[name]
    if not _turns(value) or not value:
        raise InputError(f"{record.where}: {name} is empty or no list; expected a list of turns")
    return list(value)


def _turns(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _pictures(record: Record, pictures: Pictures, *names: str) -> Found:
    """The pictures of a record, from the first of these fields that it has: one, a list, or a placeholder map."""
    value = next((record.data[name] for name in names if record.data.get(name) is not None), ())
    if isinstance(value, Mapping) and not {"bytes", "path"} & value.keys():
        named = {f"<{name.strip('<>')}>": one for name, one in value.items() if one is not None}
        return {name: pictures.add(one, record.where, record.folder) for name, one in named.items()}
    values = value if _turns(value) else [value]
    return [pictures.add(one, record.where, record.folder) for one in values if one not in (None, "")]


def _adder(record: Record, pictures: Pictures) -> Add:
    return lambda value: pictures.add(value, record.where, record.folder)


def _is_sport(record: Record) -> Origin | None:
    """LLaMA-Factory's ranking data look the same, but only SPORT's keep what an action led to."""
    chosen = record.data["chosen"]
    return SPORT if isinstance(chosen, Mapping) and "observation" in chosen else None


def _is_mm_traj(record: Record) -> Origin | None:
    """Conversations in which the model thinks and writes code, which general data do not hold."""
    words = [
        turn.get("content", turn.get("value")) for turn in record.data["conversations"] if isinstance(turn, Mapping)
    ]
    return MM_TRAJ if any(isinstance(text, str) and _REACT.search(text) for text in words[1:]) else None


def _own(record: Record, pictures: Pictures) -> Tree:
    from sport.tune.readers.own import tree

    return tree(record, _pictures(record, pictures, "images", "image"), _adder(record, pictures))


_FORMATS: tuple[tuple[set[str], Format], ...] = (
    ({"prompt", "steps"}, Format("trajectories", _own)),
    ({"conversations", "chosen", "rejected"}, Format("ranked conversations", _sport, _is_sport)),
    ({"messages", "rejected_response"}, Format("ms-swift preferences", _swift)),
    ({"messages", "rejected_messages"}, Format("ms-swift preferences", _swift)),
    ({"chosen", "rejected"}, Format("TRL preferences", _trl)),
    ({"messages"}, Format("TRL conversations", _messages)),
    ({"prompt", "completion"}, Format("TRL completions", _completion)),
    ({"texts"}, Format("the Cauldron", _cauldron)),
    ({"conversations"}, Format("conversations", _conversations, _is_mm_traj)),
)
