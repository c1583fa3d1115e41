"""An adapter added into its base for good: a checkpoint directory that needs no PEFT to load."""

from __future__ import annotations

import shutil
from pathlib import Path

from sport import adapters, bases, checkpoint
from sport.errors import ConfigError, RunError
from sport.tune import card

_LEFT = (".safetensors", ".bin", ".index.json")  # weights of the base, in whatever form


def merge_adapter(
    base: str | Path, adapter: str | Path, out: str | Path, *, dtype: str | None = None, device: str = "cpu"
) -> Path:
    """Write a checkpoint whose weights are the base's with the adapter in them; returns ``out``.

    The sum is computed in float32 and stored in ``dtype``, by default the base's own (float32 where it has several): in
    16-bit precision a small change may be rounded away, so whoever wants exactly what was tuned stores float32.
    Tokenizer, chat template and image processor are copied. The note of where the adapter's data came from goes along.

    Raises:
        CheckpointError: base or adapter cannot be used, or the adapter is of another base.
        ConfigError: an unknown dtype or device.
        RunError: ``out`` is there and not empty.
    """
    import torch

    base, adapter, out = Path(base), Path(adapter), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is there already; name a directory that is not, or an empty one")
    if dtype is not None and dtype not in checkpoint.DTYPES:
        raise ConfigError(f"dtype: unknown {dtype!r}; expected one of {', '.join(checkpoint.DTYPES)}")
    checkpoint.check(base)
    stored = dtype or bases.precision(base) or "float32"
    loaded = checkpoint.load(base, device=device)
    adapters.merge(loaded.model, adapter)
    half = out.with_name(out.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for file in sorted(base.iterdir()):
        if file.is_file() and not file.name.endswith(_LEFT) and file.name not in (card.CARD, bases.NOTE):
            shutil.copyfile(file, half / file.name)
    with checkpoint.quiet():
        loaded.model.to(getattr(torch, stored)).save_pretrained(half)
    card.merged(half, adapter, base)
    if out.exists():
        out.rmdir()
    half.rename(out)
    return out
