"""Seed queries: examples of what may be asked, with the kinds of files that come along. None is a benchmark's."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sport.errors import InputError

Kind = Literal["image", "csv", "xlsx", "docx", "pptx", "pdf", "json", "html", "txt"]


class Seed(BaseModel):
    """A query, and the kind of each of its files."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    query: str = Field(min_length=8)
    files: tuple[Kind, ...] = ()


def load(path: str = "") -> list[Seed]:
    """The shipped set, or a user's: JSONL of ``{"query": ..., "files": [kinds]}``, or one plain query a line.

    Empty lines are passed over.

    Raises:
        InputError: the file cannot be read, holds no seed, or a line is broken; the message names it.
    """
    if not path:
        name, text = "seeds.jsonl", (resources.files("sport") / "synth" / "seeds.jsonl").read_text(encoding="utf-8")
    else:
        name = path
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"synth.seeds.path: {path}: cannot be read ({error})") from error
    plain = not name.endswith((".jsonl", ".json"))
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError(f"{name}: holds no seed query; give one a line")
    return [_seed(name, number, line, plain) for number, line in lines]


def sample(seeds: Sequence[Seed], number: int, seed: int) -> list[Seed]:
    """``number`` of them without repetition, in random order; all of them where there are no more."""
    return random.Random(seed).sample(list(seeds), min(number, len(seeds)))


def _seed(name: str, number: int, line: str, plain: bool) -> Seed:
    try:
        data = {"query": line} if plain else json.loads(line)
        return Seed.model_validate({"query": data} if isinstance(data, str) else data)
    except json.JSONDecodeError as error:
        why = f"not JSON ({error.msg} at column {error.colno})"
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        why = f"{'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}"
    raise InputError(f'{name}: line {number}: {why}; expected {{"query": "...", "files": ["image", "xlsx"]}}')
