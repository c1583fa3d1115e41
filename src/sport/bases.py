"""Which base model an adapter belongs to: by what was noted of its weights, else by name, never by guess.

Tensors of equal shapes fit any model of a family, so a wrong base (the plain model for the Instruct one) would load
without a word. What is written beside an adapter of ours (``sport.json``) names the base and holds a mark of its
weights; of other adapters only the name in ``adapter_config.json`` is known.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sport.checkpoint import weight_files
from sport.errors import CheckpointError

NOTE = "sport.json"
MERGED = "merged_adapters"  # an attribute of a model: what was merged into it in memory
_SAMPLE = 4096  # bytes of every tensor that a mark looks at
_SIZE = re.compile(r"\d+(?:\.\d+)?[bm](?![a-z])")  # 7B, 0.5B, 135M
_log = logging.getLogger(__name__)


def mark(checkpoint: Path) -> str | None:
    """A mark of a directory's weights: their precision, and a hash over names, shapes and a part of every tensor.

    Independent of how the weights are split over files. None where there are none to be read.
    """
    digest, kinds = hashlib.sha256(), set()
    tensors: list[tuple[str, dict[str, Any], Path, int]] = []
    try:
        for file in weight_files(checkpoint):
            with file.open("rb") as source:
                length = int.from_bytes(source.read(8), "little")
                header = json.loads(source.read(length))
            tensors += [(name, one, file, 8 + length) for name, one in header.items() if name != "__metadata__"]
    except (OSError, ValueError):
        return None
    for name, one, file, start in sorted(tensors, key=lambda tensor: tensor[0]):
        begin, end = one["data_offsets"]
        with file.open("rb") as source:
            source.seek(start + begin + max(0, (end - begin - _SAMPLE) // 2))
            digest.update(f"{name} {one['dtype']} {one['shape']}".encode() + source.read(min(_SAMPLE, end - begin)))
        kinds.add(one["dtype"])
    return "+".join(sorted(kinds)) + ":" + digest.hexdigest()[:32]


def precision(checkpoint: Path) -> str | None:
    """What the weights of a directory are stored in: a torch dtype by name, or None where there are several."""
    kinds = (mark(checkpoint) or "").split(":")[0]
    return {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}.get(kinds)


def note(adapter: Path) -> dict[str, Any]:
    """What we wrote beside an adapter; empty for one of others. Raises CheckpointError for a broken note."""
    try:
        data = json.loads((adapter / NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{adapter / NOTE}: not readable as JSON ({error}); copy the adapter again") from error
    return data if isinstance(data, dict) else {}


def print_of(adapter: Path) -> dict[str, str]:
    """An adapter as what lies between a base and the next adapter: its name and a hash of its weights."""
    data = (adapter / "adapter_model.safetensors").read_bytes()
    return {"name": adapter.resolve().name, "weights": hashlib.sha256(data).hexdigest()[:32]}


def described(model: Any, name: str) -> dict[str, Any]:
    """The base that an adapter of ``model`` is made for: name, mark of the weights, and what is merged into them."""
    folder = _folder(model)
    return {"name": name, "weights": mark(folder) if folder else None, "over": list(_merged(model))}


def made_for(adapter: Path, named: str | None) -> str:
    """For messages about an adapter that does not fit: which base it says it was made for, where it says so."""
    theirs = str((note(adapter).get("base") or {}).get("name") or named or "")
    return f"it was made for the base {theirs}" if theirs else "it does not say which base it was made for"


def compare(adapter: Path, named: str | None, model: Any) -> None:
    """See whether the base that ``adapter`` was made for is ``model``, loaded from a directory.

    ``named`` is what ``adapter_config.json`` says. Where neither marks nor names can tell, that is logged.

    Raises:
        CheckpointError: it was made for another; both are named.
    """
    folder, base = _folder(model), note(adapter).get("base") or {}
    theirs = str(base.get("name") or named or "")
    over = [one["name"] for one in base.get("over", [])]
    words = theirs + (f" with {' and '.join(over)} merged in" if over else "")
    if folder is None or not theirs:
        return
    if base.get("weights"):
        known = [here for here in _identities(folder, model) if here[0].split(":")[0] == base["weights"].split(":")[0]]
        if (base["weights"], tuple(one["weights"] for one in base.get("over", []))) in known:
            return
        if known:
            raise CheckpointError(
                f"{adapter}: made for the base {words}, whose weights are not those of {folder}"
                f"{' as it is now' if over or _merged(model) else ''}; load the adapter onto its own base"
            )
    ours = _names(folder)
    if not ours or _plain(theirs) in ours:
        return
    if any(_differ(_plain(theirs), name) for name in ours):
        raise CheckpointError(
            f"{adapter}: made for the base {words}, but {folder} calls itself {sorted(ours)[0]}; load it onto its own "
            "base, or, if you know that they are one, correct base_model_name_or_path in adapter_config.json"
        )
    _log.warning("%s: made for a base called %s; whether that is %s cannot be told", adapter, words, folder)


def _identities(folder: Path, model: Any) -> list[tuple[str, tuple[str, ...]]]:
    """A mark of weights and what was merged into them: as the directory is, and as it was put together."""
    now, found = tuple(one["weights"] for one in _merged(model)), note(folder)
    own = mark(folder)
    known = [(own, now)] if own else []
    if found.get("merged") and found["base"].get("weights"):
        below = [*found["base"].get("over", []), *found["merged"]]
        known.append((found["base"]["weights"], (*(one["weights"] for one in below), *now)))
    return known


def _merged(model: Any) -> list[dict[str, str]]:
    """What ``adapters.merge`` has put into the weights of ``model`` in memory."""
    return list(getattr(model, MERGED, ()))


def _folder(model: Any) -> Path | None:
    """Where a model was loaded from; None for one that was not loaded from a directory."""
    name = str(getattr(model, "name_or_path", "") or "")
    return Path(name) if name and Path(name).is_dir() else None


def _names(folder: Path) -> set[str]:
    """What a checkpoint is called: by its directory, and by what it says it was saved from."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    said = config.get("_name_or_path") if isinstance(config, dict) else None
    return {_plain(str(name)) for name in (folder.resolve().name, said) if name}


def _plain(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1].lower()


def _differ(one: str, other: str) -> bool:
    """Whether two names are certainly of two models: both state a size, as names of published models do."""
    return one != other and bool(_SIZE.search(one)) and bool(_SIZE.search(other))


def seeded(*places: str | None) -> list[str]:
    """The same of checkpoints and adapters together, by their directories; None is left out."""
    return sorted({name for place in places if place for name in seeds(note(Path(place)))})


def seeds(note: Mapping[str, Any]) -> list[str]:
    """Benchmarks whose items were the seeds of what a model was tuned on, by its note."""
    return sorted({str(name) for one in note.get("data", []) for name in one.get("seeds", [])})
