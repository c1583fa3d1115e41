"""Turns as data sets write them, as messages: role/content or from/value, pictures by part or by placeholder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sport.errors import InputError
from sport.types import File, Image, Message, Part, Text

Role = Literal["system", "user", "assistant"]
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "observation": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
Found = Sequence[File] | Mapping[str, File]
"""The pictures of a record: in order, or by placeholder."""
Add = Callable[[Any], File]
_PLACE = re.compile(r"<image(?:_\d+)?>")


def messages(raw: Any, pictures: Found, where: str, add: Add, *, marked: bool) -> tuple[Message, ...]:
    """A conversation with its pictures in their places.

    Pictures go where a content part of type ``image`` or a placeholder stands: ``<image>`` in order, or the names of
    the map (``<image_00>``), which may come more than once. Without any of these they stand before the words of the
    first user turn, as TRL puts them. Turns of the model are left as they are.

    Args:
        raw: A list of turns, ``role``/``content`` or ``from``/``value``; content is a text or a list of parts.
        pictures: In order, or by placeholder.
        where: Named in errors.
        add: Makes a picture of what a content part itself holds (``{"type": "image", "image": PATH}``).
        marked: Whether ``<image>`` in a text is a placeholder even where the record has no pictures.

    Raises:
        InputError: a turn without role or words, a role that is not known, more or fewer places than pictures.
    """
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise InputError(f"{where}: expected a list of turns, each with role and content (or from and value)")
    waiting = _Waiting(pictures, where)
    turns = [(role(turn, where), content(turn, where)) for turn in raw]
    marked = marked or bool(pictures)
    placed = [(who, _parts(words, waiting, where, add, marked and who != "assistant")) for who, words in turns]
    if waiting.used == 0 and pictures:
        first = next((i for i, (who, _) in enumerate(placed) if who == "user"), None)
        if first is None:
            raise InputError(f"{where}: {len(pictures)} pictures, but no user turn to put them in")
        who, parts = placed[first]
        placed[first] = (who, (*(Image(file=file) for file in waiting.all()), *parts))
    elif waiting.used != len(pictures):
        raise InputError(
            f"{where}: {waiting.used} places for {len(pictures)} pictures; expected one <image>, or part of type "
            "image, for each"
        )
    return tuple(Message(role=who, parts=parts) for who, parts in placed)


def role(turn: Any, where: str) -> Role:
    """Who speaks. Raises InputError for a role that is not known."""
    who = (turn.get("role") or turn.get("from")) if isinstance(turn, Mapping) else None
    if who not in ROLES:
        raise InputError(
            f"{where}: a turn has the role {who!r}; expected one of {', '.join(ROLES)} (tool results are user turns)"
        )
    return ROLES[str(who)]


def content(turn: Mapping[str, Any], where: str) -> Any:
    """What is said: a text, or a list of parts. Raises InputError where there is neither."""
    words = turn.get("content", turn.get("value"))
    if not isinstance(words, str | Sequence):
        raise InputError(f"{where}: a turn has no content (or value); expected a text or a list of parts")
    return words


def action(raw: Any, where: str, what: str) -> str:
    """The words of one turn of the model: a text, a turn, or a list of one turn.

    Raises:
        InputError: it is none of these, or holds a picture.
    """
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        if len(raw) != 1:
            raise InputError(f"{where}: {what} has {len(raw)} turns; expected the model's one turn")
        raw = raw[0]
    if isinstance(raw, Mapping):
        if role({"role": "assistant", **raw}, where) != "assistant":
            raise InputError(f"{where}: {what} is not a turn of the assistant")
        raw = content(raw, where)
    if isinstance(raw, str):
        return raw
    if isinstance(raw, Sequence) and all(isinstance(p, Mapping) and p.get("type") == "text" for p in raw):
        return "".join(str(part["text"]) for part in raw)
    raise InputError(f"{where}: {what}: expected a text, or a turn of the assistant with a text")


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Neighbouring texts as one, empty ones left out: equal turns are equal messages."""
    out: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and out and isinstance(out[-1], Text):
            out[-1] = Text(text=out[-1].text + part.text)
        elif not isinstance(part, Text) or part.text:
            out.append(part)
    return tuple(out) or (Text(text=""),)


class _Waiting:
    """Pictures that have not found their place yet."""

    def __init__(self, pictures: Found, where: str) -> None:
        self._named = dict(pictures) if isinstance(pictures, Mapping) else {}
        self._in_order: list[File] = list(pictures.values() if isinstance(pictures, Mapping) else pictures)
        self._where, self._next, self._seen = where, 0, set[str]()

    @property
    def used(self) -> int:
        return self._next + len(self._seen)

    def all(self) -> list[File]:
        return self._in_order

    def next(self, name: str) -> File | None:
        """The picture of a placeholder; None for a name that is none, in words that only look like one."""
        if name in self._named:
            self._seen.add(name)
            return self._named[name]
        if name != "<image>":
            return None
        if self.used >= len(self._in_order):
            raise InputError(f"{self._where}: more places than its {len(self._in_order)} pictures")
        self._next += 1
        return self._in_order[self.used - 1]


def _parts(words: Any, waiting: _Waiting, where: str, add: Add, marked: bool) -> tuple[Part, ...]:
    if isinstance(words, str):
        return joined(_text(words, waiting) if marked else [Text(text=words)])
    parts: list[Part] = []
    for part in words:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text":
            parts.append(Text(text=str(part.get("text") or "")))
        elif kind in ("image", "image_url"):
            held = part.get("image") if kind == "image" else part.get("image_url")
            file = add(held) if held is not None else waiting.next("<image>")
            assert file is not None
            parts.append(Image(file=file))
        else:
            raise InputError(f"{where}: a content part of type {kind!r}; expected text or image")
    return joined(parts)


def _text(words: str, waiting: _Waiting) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for found in _PLACE.finditer(words):
        file = waiting.next(found.group())
        if file is not None:
            parts += [Text(text=words[at : found.start()]), Image(file=file)]
            at = found.end()
    return [*parts, Text(text=words[at:])]
