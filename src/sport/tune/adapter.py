"""LoRA on the language model: put on, saved, taken off. The vision tower is never touched."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sport import adapters, checkpoint
from sport.adapters import NAME
from sport.config import Tune
from sport.errors import CheckpointError, TuningError
from sport.tune import card

_SIGHT = re.compile(r"(?:^|[._])(?:vision|visual|image|vit|siglip|clip|projector|merger|resampler|connector)(?:[._]|$)")


def pattern(model: Any, targets: tuple[str, ...]) -> str:
    """A regular expression for the modules of the language model that are called as one of ``targets``.

    Only what lies in the model's decoder, and in no part of it that sees: a vision tower may well have a ``q_proj``
    of its own (CLIP's).

    Raises:
        TuningError: a target that no module is called.
    """
    decoder = model.get_decoder()
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    inside = [name for name, _ in decoder.named_modules() if not _SIGHT.search(name)]
    for target in targets:
        if not any(name.split(".")[-1] == target for name in inside):
            raise TuningError(f"tune.targets: the language model has no module called {target!r}")
    names = "|".join(re.escape(target) for target in targets)
    sight = sorted({name for name, _ in decoder.named_modules() if _SIGHT.search(name)}, key=len)
    roots = [name for i, name in enumerate(sight) if not any(name.startswith(f"{root}.") for root in sight[:i])]
    blind = "".join(rf"(?!{re.escape(root)}(?:\.|$))" for root in roots)
    return rf"{re.escape(prefix)}\.{blind}(?:.*\.)?(?:{names})" if prefix else rf"{blind}(?:.*\.)?(?:{names})"


@contextmanager
def attached(model: Any, base: str, settings: Tune, previous: Path | None, seed: int) -> Iterator[Any]:
    """``model`` with a trainable LoRA: a fresh one drawn from ``seed``, or a copy of ``previous`` to go on with.

    ``base`` is what the adapter says it belongs to: the name of the checkpoint's directory, never a path. Afterwards
    the model is as it was.

    Raises:
        CheckpointError: ``previous`` is no adapter of this model.
        TuningError: ``previous`` has another rank, alpha or targets than ``settings``.
    """
    import peft

    if any(isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer) for module in model.modules()):
        raise CheckpointError(f"{base}: the model has an adapter already; tune a checkpoint loaded without one")
    wanted = pattern(model, settings.targets)
    flags = {name: weight.requires_grad for name, weight in model.named_parameters()}
    with checkpoint.quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if previous is None:
            config = peft.LoraConfig(
                r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=wanted
            )
            tuned: Any = peft.PeftModel(model, config, adapter_name=NAME)
        else:
            tuned = adapters.wrap(model, previous, trainable=True, dropout=settings.dropout)
    try:
        config = tuned.peft_config[NAME]
        if previous is not None:
            _same(previous, tuned, settings, wanted)
            config.target_modules = wanted
        config.base_model_name_or_path = base
        yield tuned
    finally:
        adapters.forget(tuned, model, flags)


def _same(previous: Path, tuned: Any, settings: Tune, wanted: str) -> None:
    """Rank, alpha and layers of an adapter that is gone on with are those of the settings."""
    from peft.tuners.lora import LoraLayer

    config, modules = tuned.peft_config[NAME], dict(tuned.base_model.model.named_modules())
    has = {name for name, module in modules.items() if isinstance(module, LoraLayer)}
    asked = {name for name in modules if re.fullmatch(wanted, name)}
    if (config.r, config.lora_alpha) != (settings.rank, settings.alpha) or has != asked:
        raise TuningError(
            f"{previous}: rank, alpha or targets are not those of [tune]; they cannot change midway. It has rank "
            f"{config.r}, alpha {config.lora_alpha}, on {', '.join(sorted({name.split('.')[-1] for name in has}))}"
        )


def shape(adapter: Path) -> dict[str, Any]:
    """Rank, alpha and targets of an adapter, as fields of ``config.Tune``: to go on with it. Raises CheckpointError."""
    config, tensors = adapters.settings(adapter), adapters.tensors(adapter)
    targets = sorted({module.split(".")[-1] for module, _ in tensors})
    return {"rank": config.r, "alpha": config.lora_alpha, "targets": tuple(targets)}


def save(tuned: Any, folder: Path, state: Mapping[str, torch.Tensor] | None = None) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``, which PEFT and vLLM load.

    ``state`` are the adapter's tensors where those of ``tuned`` are in shards (``sharding.gathered``).

    PEFT's own ``save_pretrained`` asks the model hub about the base model and writes its path into a card.
    """
    import peft
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    if state is None:
        state = peft.get_peft_model_state_dict(tuned, adapter_name=NAME, save_embedding_layers=False)
    save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, folder / adapters.WEIGHTS)
    config = tuned.peft_config[NAME]
    before, config.inference_mode = config.inference_mode, True
    try:
        config.save_pretrained(str(folder))
    finally:
        config.inference_mode = before


def publish(tuned: Any, folder: Path, state: Mapping[str, torch.Tensor] | None = None) -> None:
    """Save so that ``folder`` exists only once it is whole, with a note of its base and a card."""
    half = folder.with_name(folder.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    save(tuned, half, state)
    card.begin(half, tuned.peft_config[NAME].base_model_name_or_path, tuned.base_model.model)
    half.rename(folder)
