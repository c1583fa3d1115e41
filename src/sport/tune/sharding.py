"""What several processes need to know of a model: what to split, what to leave whole, how to get an adapter out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import Tensor

from sport.adapters import NAME, WEIGHTS
from sport.tune.forward import Scorer


def prepare(trainer: Any, scorer: Scorer) -> None:
    """Tell FSDP, where it is asked for, to split decoder layers and to leave the vision tower whole on every process.

    A tower in shards would have to run on all processes at the same moments, and each keeps its pictures' vectors.
    """
    accelerator = trainer.accelerator
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    if plugin is None and asked_on_processors(accelerator):
        plugin = FullyShardedDataParallelPlugin()
        accelerator.state.fsdp_plugin, accelerator.state.distributed_type = plugin, DistributedType.FSDP
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        trainer.is_fsdp_enabled = True
    if plugin is None:
        return
    layers = next(m for m in scorer.model.get_decoder().modules() if isinstance(m, torch.nn.ModuleList))
    plugin.transformer_cls_names_to_wrap = [type(layers[0]).__name__]
    tower = getattr(scorer.model.model, "visual", None)
    if tower is not None:
        plugin.ignored_modules = [tower.to(accelerator.device)]


def asked_on_processors(accelerator: Any) -> bool:
    """Whether FSDP is asked for among processes without GPUs.

    Accelerate then falls back to plain data parallelism without a word. Its own code runs there as well, which is how
    it can be tried on a machine without GPUs.
    """
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    return asked and accelerator.state.distributed_type == DistributedType.MULTI_CPU


def gathered(tuned: Any) -> dict[str, Tensor]:
    """The adapter's tensors, whole and on the processor. Every process must call it."""
    import peft

    state = peft.get_peft_model_state_dict(tuned, adapter_name=NAME, save_embedding_layers=False)
    return {name: _whole(tensor).detach().contiguous().cpu() for name, tensor in state.items()}


def _whole(tensor: Tensor) -> Tensor:
    full = getattr(tensor, "full_tensor", None)  # of a DTensor
    return tensor if full is None else full()


def put_back(tuned: Any, folder: Path) -> None:
    """The adapter of a checkpoint into the weights, whole or in shards."""
    import peft
    from safetensors.torch import load_file

    saved = load_file(folder / WEIGHTS)
    places = peft.get_peft_model_state_dict(tuned, adapter_name=NAME, save_embedding_layers=False)
    with torch.no_grad():
        for name, place in places.items():
            value = saved[name].to(place.device, place.dtype)
            if hasattr(place, "full_tensor"):
                from torch.distributed.tensor import distribute_tensor

                value = distribute_tensor(value, place.device_mesh, place.placements)
            place.copy_(value)
