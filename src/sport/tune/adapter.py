"""LoRA on the language model: put on, saved, taken off. The vision tower is never touched."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sport import checkpoint
from sport.config import Tune
from sport.errors import CheckpointError, TuningError

NAME = "default"


def pattern(model: Any, targets: tuple[str, ...]) -> str:
    """A regular expression for the modules of the language model that are called as one of ``targets``.

    Raises:
        TuningError: a target that no module is called.
    """
    decoder = model.get_decoder()
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    for target in targets:
        if not any(name.split(".")[-1] == target for name, _ in decoder.named_modules()):
            raise TuningError(f"tune.targets: the language model has no module called {target!r}")
    names = "|".join(re.escape(target) for target in targets)
    return rf"{re.escape(prefix)}\..*\.(?:{names})"


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
            tuned = _continued(model, previous)
    try:
        config = tuned.peft_config[NAME]
        if (config.r, config.lora_alpha, config.target_modules) != (settings.rank, settings.alpha, wanted):
            raise TuningError(f"{previous}: rank, alpha or targets are not those of [tune]; they cannot change midway")
        config.base_model_name_or_path = base
        yield tuned
    finally:
        tuned.unload()
        if hasattr(model, "peft_config"):
            del model.peft_config
        for name, weight in model.named_parameters():
            weight.requires_grad_(flags[name])


def _continued(model: Any, previous: Path) -> Any:
    import peft

    detach = checkpoint.attach(model, previous)  # proves that every tensor finds its place, where PEFT would only warn
    detach()
    return peft.PeftModel.from_pretrained(model, str(previous), adapter_name=NAME, is_trainable=True)


def save(tuned: Any, folder: Path) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``, which PEFT and vLLM load.

    PEFT's own ``save_pretrained`` asks the model hub about the base model and writes its path into a card.
    """
    import peft
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = peft.get_peft_model_state_dict(tuned, adapter_name=NAME, save_embedding_layers=False)
    save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, folder / "adapter_model.safetensors")
    config = tuned.peft_config[NAME]
    before, config.inference_mode = config.inference_mode, True
    try:
        config.save_pretrained(str(folder))
    finally:
        config.inference_mode = before


def publish(tuned: Any, folder: Path) -> None:
    """Save so that ``folder`` exists only once it is whole."""
    half = folder.with_name(folder.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    save(tuned, half)
    half.rename(folder)
