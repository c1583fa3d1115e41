"""What an adapter says of itself: ``sport.json`` for programs, and the model card ``README.md`` written from it.

The note begins with the base (name, and a mark of its weights) the moment an adapter is saved; data, iteration and
scores are added by whoever knows them. Where tuning data came from sets whose query seeds are benchmark items, the card
says so at every score: such a score is no measure of what a model can do on tasks it has never seen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from sport import bases
from sport.types import Metric

CARD = "README.md"
VERSION = 1

_TEMPLATE = "card.md.jinja"


def begin(adapter: Path, base: str, checkpoint: Path) -> None:
    """Note the base: its name and, where ``checkpoint`` is a directory, a mark of its weights and its own data."""
    known = checkpoint.is_dir()
    before = bases.note(checkpoint) if known else {}
    note: dict[str, Any] = {
        "version": VERSION,
        "base": {"name": base, "weights": bases.mark(checkpoint) if known else None},
        "data": before.get("data", []),
    }
    _write(adapter, note)


def add(
    adapter: Path,
    *,
    method: str,
    data: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    previous: Path | None = None,
) -> None:
    """Note how an adapter came about.

    Args:
        adapter: Its directory.
        method: "preference" or "imitation".
        data: ``{"name", "records", "origin", "seeds"}`` for each source; what the base and ``previous`` were tuned on
            stays before it.
        facts: More rows of the card's table, in order: iteration, steps, pairs, settings.
        previous: The adapter that tuning went on with.
    """
    note = bases.note(adapter)
    behind = [*note.get("data", []), *(bases.note(previous).get("data", []) if previous else [])]
    kept = [one for i, one in enumerate(behind) if one not in behind[:i] and one not in list(data)]
    facts = {**facts, **({"goes on from": previous.name} if previous else {})}
    _write(adapter, {**note, "method": method, "data": [*kept, *map(dict, data)], "facts": dict(facts)})


def score(adapter: Path, after: str, split: str, metrics: Mapping[str, Metric]) -> None:
    """Add figures of one evaluation, in place of earlier ones of the same evaluation and split."""
    note = bases.note(adapter)
    kept = [s for s in note.get("scores", []) if (s["after"], s["split"]) != (after, split)]
    found = [
        {
            "after": after,
            "split": split,
            "metric": name,
            "value": one.show(one.value),
            "low": one.show(one.low),
            "high": one.show(one.high),
            "n": one.n,
        }
        for name, one in metrics.items()
    ]
    _write(adapter, {**note, "scores": kept + found})


def render(note: Mapping[str, Any]) -> str:
    """The model card of a note."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=False, lstrip_blocks=True)
    facts = [(name, _cell(value)) for name, value in note.get("facts", {}).items()]
    source = (resources.files("sport.tune") / _TEMPLATE).read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        base=note["base"],
        method=note.get("method"),
        data=[{"records": None, "origin": None, **one} for one in note.get("data", [])],
        scores=note.get("scores", []),
        facts=facts,
        seeded=bases.seeds(note),
    )
    return text.rstrip("\n") + "\n"


def _cell(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _write(adapter: Path, note: Mapping[str, Any]) -> None:
    for name, text in ((bases.NOTE, json.dumps(note, indent=1) + "\n"), (CARD, render(note))):
        half = adapter / (name + ".half")
        half.write_text(text, encoding="utf-8")
        os.replace(half, adapter / name)
