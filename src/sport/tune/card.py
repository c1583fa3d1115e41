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


def begin(adapter: Path, base: str, model: Any) -> None:
    """Note the base: its name, and what is known of its weights and data where ``model`` comes from a directory."""
    before = bases.note(Path(str(model.name_or_path))) if model.name_or_path else {}
    _write(adapter, {"version": VERSION, "base": bases.described(model, base), "data": before.get("data", [])})


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


def merged(folder: Path, adapter: Path, base: Path) -> None:
    """The note of a checkpoint into which an adapter was merged: all that was known of both."""
    found, before = bases.note(adapter), bases.note(base)
    below: dict[str, Any] = {"name": base.resolve().name, "weights": bases.mark(base), "over": []}
    data = [*before.get("data", []), *(one for one in found.get("data", []) if one not in before.get("data", []))]
    _write(folder, {"version": VERSION, **found, "base": below, "data": data, "merged": [bases.print_of(adapter)]})


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
        merged=[one["name"] for one in note.get("merged", [])],
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
