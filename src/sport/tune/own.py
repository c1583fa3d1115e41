"""Tuning on data of one's own: a checkpoint and a data set in, an adapter out. The door from Python.

    from sport.tune import read, tune_data

    data = read("pairs.jsonl")
    print(data.format, data.counts)
    done = tune_data("models/Qwen2-VL-2B-Instruct", data, "tuned", device="cuda", dtype="bfloat16")
    print(done.adapter, done.history[-1])

What a data set may look like is told in docs/TUNING.md. Whoever wants another loop, callbacks or several models takes
the trainers themselves (``TreeDPOTrainer``, ``TreeSFTTrainer``): they are transformers' Trainer.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sport import checkpoint as checkpoints
from sport.config import Tune
from sport.errors import ConfigError, InputError
from sport.events import Progress
from sport.render import Renderer
from sport.tune import adapter as adapters
from sport.tune import card, pack
from sport.tune.mixing import Share, draw
from sport.tune.readers.read import Data, Method, read
from sport.tune.readers.records import Source
from sport.tune.row import Row
from sport.tune.run import TuneResult
from sport.tune.run import tune as run


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Attributes:
        adapter: A PEFT directory with a model card.
        method: "preference" or "imitation".
        result: Steps, rows, pairs, tokens, and what was logged at every step.
        read: Records, pairs and trees of the data, and what became of the pairs.
        lost: Trajectories that were cut or left out because they are too long, and pairs that went with them.
    """

    adapter: Path
    method: Method
    result: TuneResult
    read: Counter[str]
    lost: Counter[str]


def tune_data(
    checkpoint: str | Path,
    data: Source | Data,
    out: str | Path,
    settings: Tune | None = None,
    *,
    method: Method | None = None,
    mix: Sequence[Share] = (),
    adapter: str | Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    seed: int = 0,
    progress: Progress | None = None,
    resume: bool = False,
) -> Tuned:
    """Tune a LoRA on a data set and save it as ``out/adapter``.

    Args:
        checkpoint: A model directory.
        data: A path, records in memory, or what :func:`read` gave.
        out: A directory for this alone.
        settings: Of the stage; the defaults suit a tiny model, and 1e-6 is the paper's learning rate for 7B.
        method: "preference" (step-wise DPO) or "imitation" (SFT on the trunk); None takes what the data are good for.
        mix: General conversations to learn beside the trajectories; imitation only.
        adapter: One to go on with. Its rank, alpha and targets stay, and it is the reference.
        device: "cpu" or "cuda".
        dtype: Of the weights: "float32", "bfloat16" or "float64".
        seed: Of the LoRA's first weights, of the order of rows and of what is mixed in.
        progress: Told of the stages ``reference`` and ``tune``.
        resume: Go on from the last complete checkpoint in ``out``.

    Under ``torchrun`` or ``accelerate launch`` every process calls this; the first one writes.

    Raises:
        UserError: whatever is wrong with data, checkpoint, adapter or settings; one clear message.
        TuningError: a loss that is not finite; the last complete checkpoint is kept.
    """
    found = data if isinstance(data, Data) else read(data)
    method = _method(found, method)
    if mix and method == "preference":
        raise ConfigError("general conversations have no pairs; mix them in with method imitation (--sft)")
    settings = settings or Tune()
    previous = Path(adapter) if adapter is not None else None
    if previous is not None:
        settings = settings.model_copy(update={**adapters.shape(previous), "reference": "previous"})
    sources = [found.imitation() if method == "imitation" else found]
    sources += [draw(share, len(found.trees), seed, found.pictures) for share in mix]
    loaded = checkpoints.load(Path(checkpoint), device=device, dtype=dtype)
    renderer = Renderer(loaded.tokenizer, loaded.image_processor, found.pictures.read)
    rows, lost = lay_out(sources, renderer, settings)
    result = run(
        loaded, rows, Path(out), settings,
        picture=renderer.picture, seed=seed, previous=previous, progress=progress, resume=resume,
    )  # fmt: skip
    if os.environ.get("RANK", "0") == "0":
        notes = [source_note(one) for one in sources]
        facts = {**figures(result, settings), "seed": seed}
        card.add(result.adapter, method=method, data=notes, facts=facts, previous=previous)
    return Tuned(result.adapter, method, result, found.counts, lost)


def lay_out(sources: Sequence[Data], renderer: Renderer, settings: Tune) -> tuple[list[Row], Counter[str]]:
    """The rows of all sources, and what did not fit.

    Raises:
        InputError: nothing fits.
    """
    trees = [tree for one in sources for tree in one.trees]
    rows, lost = pack.lay_out(trees, renderer, settings.max_row_tokens)
    if not rows:
        raise InputError(
            f"{sources[0].name}: none of {len(trees)} trajectories fits into tune.max_row_tokens = "
            f"{settings.max_row_tokens}; raise it"
        )
    return rows, lost


def figures(result: TuneResult, settings: Tune) -> dict[str, Any]:
    """What a card says of a tuning: sizes and settings."""
    named = ("epochs", "learning_rate", "rank", "alpha", "targets")
    preference = ("beta", "loss", "reference") if result.pairs else ()
    sizes = {"rows": result.rows, "pairs": result.pairs, "tokens": result.tokens, "steps": result.steps}
    return {**sizes, **{name.replace("_", " "): getattr(settings, name) for name in (*named, *preference)}}


def source_note(data: Data) -> dict[str, Any]:
    """What a card says of a data set."""
    origin = {"origin": data.origin.name, "seeds": list(data.origin.seeds)} if data.origin else {}
    return {"name": data.name, "records": data.counts["records"], **origin}


def _method(data: Data, asked: Method | None) -> Method:
    if asked == "preference" and not data.has_pairs:
        raise InputError(f"{data.name}: {data.format} without any pair; tune by imitation (--sft)")
    return asked or ("preference" if data.has_pairs else "imitation")
