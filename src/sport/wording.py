"""Prompts: Jinja files in ``prompts/``, or a user's own in their place. An undefined variable is an error.

A prompt has a version, which is stored with what it produced: the number that stands in its first line and the
beginning of its text's hash, so that a changed file is another version whether or not anybody thought of the number.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from sport.errors import ConfigError
from sport.types import File, Image, Part, Text

_VERSION = re.compile(r"\{#\s*version\s+(\S+?)[.:]?\s")


def environment() -> jinja2.Environment:
    """How every prompt of this package is read: strict, and with tags that leave no blank lines."""
    made = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
    )
    made.filters.update(clip=clip, tail=tail)
    return made


def clip(text: str, most: int) -> str:
    """The first ``most`` characters, and how many are missing."""
    return text if len(text) <= most else f"{text[:most]} ... ({len(text) - most:,} more characters)"


def tail(text: str, most: int) -> str:
    """The last ``most`` characters: where errors say what they mean."""
    return text if len(text) <= most else f"... {text[-most:]}"


@dataclass(frozen=True)
class Prompt:
    """A template. ``where`` names it in messages: its key in the configuration, or its file.

    In a template ``{{ file | picture }}`` puts a picture where it stands; ``clip(n)`` and ``tail(n)`` shorten a text.
    """

    name: str
    version: str
    text: str
    where: str
    _environment: jinja2.Environment = field(default_factory=environment, repr=False, compare=False)

    def render(self, values: Mapping[str, Any]) -> str:
        """The words alone. Raises ConfigError where the template needs what is not there."""
        return self._rendered(self._environment, values)

    def parts(self, values: Mapping[str, Any]) -> tuple[Part, ...]:
        """Words and pictures in their order. Raises ConfigError as :meth:`render`."""
        shown: list[File] = []
        mark = f"[picture {secrets.token_hex(8)} "  # nobody who wrote a piece of the text can know it

        def picture(file: File) -> str:
            shown.append(file)
            return f"{mark}{len(shown) - 1}]"

        made = self._environment.overlay()
        made.filters = {**made.filters, "picture": picture}
        found: list[Part] = []
        pieces = re.split(re.escape(mark) + r"(\d+)\]\n?", self._rendered(made, values))
        for place, piece in enumerate(pieces):
            if place % 2:
                found.append(Image(file=shown[int(piece)]))
            elif piece.strip():
                found.append(Text(text=piece))
        return tuple(found)

    def _rendered(self, environment: jinja2.Environment, values: Mapping[str, Any]) -> str:
        try:
            return environment.from_string(self.text).render(**values)
        except jinja2.UndefinedError as error:
            known = ", ".join(sorted(values))
            raise ConfigError(
                f"{self.where}: the prompt speaks of what there is not ({error}); known are {known}"
            ) from None
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise ConfigError(f"{self.where}: the prompt cannot be filled in ({error})") from error


def prompt(name: str, own: str | None = None, where: str = "") -> Prompt:
    """The prompt ``prompts/<name>.jinja``, or the user's file ``own`` in its place.

    Args:
        name: of the package's file, without ".jinja".
        own: a path.
        where: the key of the configuration that named ``own``, for messages.

    Raises:
        ConfigError: no such file, unreadable, or no template.
    """
    if own is None:
        file = resources.files("sport") / "prompts" / f"{name}.jinja"
        return _made(name, file.read_text(encoding="utf-8"), f"prompts/{name}.jinja")
    path = Path(own)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{where}: {own}: this prompt cannot be read ({error}); give the path of a Jinja file"
        ) from None
    return _made(path.stem, text, f"{where}: {own}")


def _made(name: str, text: str, where: str) -> Prompt:
    try:
        environment().parse(text)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{where}: line {error.lineno}: not a Jinja template ({error.message})") from None
    return Prompt(name, version(name, text), text, where)


def version(name: str, text: str) -> str:
    """Name, number and hash of a prompt.

    >>> version("critic", "{# version 2: shorter #} Choose.")
    'critic-2-c18b95'
    """
    number = _VERSION.match(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return "-".join([name.replace("/", "-"), *([number[1]] if number else []), digest])
