"""The one place that puts a LoRA adapter on a model. Every tensor finds its place, or it is a :class:`CheckpointError`.

PEFT merely warns where a tensor's name is unknown, and goes on with a ``lora_B`` of zeros: the base model under another
name. Adapters made before transformers 4.52 name their layers otherwise (``model.layers`` for what is now
``model.language_model.layers``); they are mapped, and proven like all others.

Only plain LoRA: no biases, no extra saved modules, no start from a decomposition of the base's weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sport import bases
from sport.checkpoint import Checkpoint, check_header, explained, quiet, read_json, some
from sport.checkpoint import load as load_base
from sport.errors import CheckpointError

Detach = Callable[[], None]
"""Takes an adapter off again; the model is then exactly what it was."""

NAME = "default"
WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"

_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.(?P<part>lora_[A-Za-z_]+(?:\.weight)?)")
_RENAMED = (  # as a name began, as it begins now
    ("model.layers.", "model.language_model.layers."),
    ("model.embed_tokens", "model.language_model.embed_tokens"),
    ("visual.", "model.visual."),
    ("language_model.model.", "model.language_model."),
    ("language_model.lm_head", "lm_head"),
    ("vision_tower.", "model.vision_tower."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
)


def load(base: Path | str, adapter: Path | str, *, device: str = "cpu", dtype: str = "float32") -> Checkpoint:
    """A checkpoint directory with an adapter on it, its tokenizer and its image processor.

    ``model`` is a transformers model whose layers carry the LoRA, as ``peft`` puts it there.

    Raises:
        CheckpointError: see :func:`sport.checkpoint.load` and :func:`attach`.
        ConfigError: a device or dtype that does not exist here.
    """
    loaded = load_base(Path(base), device=device, dtype=dtype)
    attach(loaded.model, Path(adapter))
    return loaded


def attach(model: Any, adapter: Path) -> Detach:
    """Put a LoRA adapter beside the weights of ``model``, in place; call what comes back to take it off.

    Raises:
        CheckpointError: no PEFT LoRA directory, a broken one, one made for another base, or any tensor of it, or of
            the layers it asks for, that has no counterpart.
    """
    flags = _flags(model)
    wrapped = wrap(model, adapter)

    def detach() -> None:
        forget(wrapped, model, flags)

    return detach


def merge(model: Any, adapter: Path) -> Detach:
    """Like :func:`attach`, but added into the weights, so that the model is as fast as before.

    The weights it touches are kept and put back: subtracting would leave rounding errors. In 16-bit precision a merged
    model rounds away small changes; attach there.
    """
    flags = _flags(model)
    wrapped = wrap(model, adapter)
    kept = {
        name.removesuffix(".base_layer.weight") + ".weight": weight.detach().clone()
        for name, weight in model.named_parameters()
        if name.endswith(".base_layer.weight")
    }
    wrapped.merge_and_unload()
    forget(wrapped, model, flags)
    before = list(getattr(model, bases.MERGED, ()))
    setattr(model, bases.MERGED, [*before, bases.print_of(adapter)])

    def detach() -> None:
        setattr(model, bases.MERGED, before)
        weights = dict(model.named_parameters())
        for name, weight in kept.items():
            weights[name].data.copy_(weight)

    return detach


def wrap(model: Any, adapter: Path, *, trainable: bool = False, dropout: float | None = None) -> Any:
    """``model`` as a PeftModel with the adapter in it, under the name "default".

    ``dropout`` replaces the adapter's own; it matters in training only.

    Raises:
        CheckpointError: as :func:`attach`; the model is then as it was.
    """
    import peft

    asked = settings(adapter)
    bases.compare(adapter, asked.base_model_name_or_path, model)
    found = tensors(adapter)
    places = _places(adapter, model, asked, found)
    narrowed = _narrowed(asked, places, trainable)
    narrowed.lora_dropout = asked.lora_dropout if dropout is None else dropout
    flags = _flags(model)
    with (
        quiet(),
        explained(
            adapter,
            f"does not fit this model, {bases.made_for(adapter, asked.base_model_name_or_path)}; load it onto that",
        ),
    ):
        try:
            wrapped = peft.PeftModel(model, narrowed, adapter_name=NAME)
            placed = {f"base_model.model.{places[m]}.{part}": t for (m, part), t in found.items()}
            peft.set_peft_model_state_dict(wrapped, placed, adapter_name=NAME)
        except (RuntimeError, ValueError, KeyError, TypeError):
            _strip(model, flags)
            raise
    kept: Any = wrapped.peft_config[NAME]
    kept.target_modules = asked.target_modules
    try:
        _prove(adapter, wrapped, placed)
    except CheckpointError:
        forget(wrapped, model, flags)
        raise
    return wrapped if trainable else wrapped.eval()


def settings(adapter: Path) -> Any:
    """The adapter's own LoraConfig. Raises CheckpointError where it is not one of plain LoRA."""
    import peft

    if not adapter.is_dir():
        raise CheckpointError(f"{adapter}: no such directory; expected a PEFT adapter ({SETTINGS})")
    data = read_json(adapter / SETTINGS)
    if data.get("peft_type") != "LORA" or data.get("bias", "none") != "none":
        raise CheckpointError(
            f"{adapter}: expected a LoRA adapter without biases, got peft_type {data.get('peft_type')!r}"
        )
    for name, plain in (("modules_to_save", (None, [])), ("init_lora_weights", (True, False, "gaussian", None))):
        if data.get(name) not in plain:
            raise CheckpointError(f"{adapter / SETTINGS}: {name} {data[name]!r}: only plain LoRA can be loaded")
    with quiet(), explained(adapter, f"{SETTINGS} cannot be read; copy it again"):
        return peft.LoraConfig.from_pretrained(str(adapter))


# ------------------------------------------------------------------------------------------------- places


def tensors(adapter: Path) -> dict[tuple[str, str], Any]:
    """By module and part (``lora_A.weight``), in the names of whoever saved them."""
    from safetensors.torch import load_file

    file = adapter / WEIGHTS
    check_header(file)
    found = {}
    for name, tensor in load_file(file).items():
        matched = _TENSOR.fullmatch(name)
        if matched is None:
            raise CheckpointError(f"{file}: {name} is no tensor of a LoRA adapter; save it again with PEFT")
        found[matched["module"], matched["part"]] = tensor
    return found


def _places(adapter: Path, model: Any, asked: Any, tensors: dict[tuple[str, str], Any]) -> dict[str, str]:
    """Which module of the model is meant by each module of the file."""
    from peft.tuners.tuners_utils import check_target_module_exists
    from torch import nn

    modules = dict(model.named_modules())
    places = {module: _present(module, modules) for module, _ in tensors}
    lost = [f"{module}.{part}" for module, part in tensors if places[module] is None]
    if lost:
        raise CheckpointError(
            f"{adapter}: {len(lost)} adapter tensors have no place in this model, "
            f"{bases.made_for(adapter, asked.base_model_name_or_path)}: {some(lost)}"
        )
    taken = set(places.values())
    for name, module in modules.items():
        if name in taken or not isinstance(module, nn.Linear | nn.Embedding | nn.Conv2d | nn.Conv3d):
            continue
        if any(check_target_module_exists(asked, alias) for alias in _aliases(name)):
            raise CheckpointError(
                f"{adapter}: {SETTINGS} asks for {name}, but {WEIGHTS} has no tensors for it: they are missing"
            )
    return {old: new for old, new in places.items() if new is not None}


def _present(module: str, modules: dict[str, Any]) -> str | None:
    """The module's name today, or None. A name that exists is never mapped."""
    if module in modules:
        return module
    renamed = (new + module.removeprefix(old) for old, new in _RENAMED if module.startswith(old))
    return next((name for name in renamed if name in modules), None)


def _aliases(module: str) -> Iterator[str]:
    """A module's name, and those it may have had."""
    yield module
    yield from (old + module.removeprefix(new) for old, new in _RENAMED if module.startswith(new))


def _narrowed(asked: Any, places: dict[str, str], trainable: bool) -> Any:
    """The same settings for exactly the modules of the file, by their names today."""
    from copy import deepcopy

    from peft.utils.other import get_pattern_key

    config = deepcopy(asked)
    config.target_modules = set(places.values())
    config.exclude_modules = config.layers_to_transform = config.layers_pattern = None
    config.init_lora_weights, config.inference_mode = True, not trainable
    for name in ("rank_pattern", "alpha_pattern"):
        pattern = getattr(asked, name) or {}
        found = {new: get_pattern_key(list(pattern), old) for old, new in places.items()} if pattern else {}
        setattr(config, name, {new: pattern[key] for new, key in found.items() if key in pattern})
    return config


def _prove(adapter: Path, wrapped: Any, tensors: dict[str, Any]) -> None:
    """Every tensor of the file is in the model, and the model has no LoRA tensor that the file lacks."""
    import torch
    from peft import get_peft_model_state_dict

    placed = get_peft_model_state_dict(wrapped, adapter_name=NAME, save_embedding_layers=False)
    astray = (set(tensors) ^ set(placed)) | {
        name for name in set(tensors) & set(placed) if not torch.equal(tensors[name].to(placed[name]), placed[name])
    }
    if astray:
        raise CheckpointError(
            f"{adapter}: {len(astray)} adapter tensors have no place in this model or are missing: {some(astray)}"
        )


# ---------------------------------------------------------------------------------------------------- off


def forget(wrapped: Any, model: Any, flags: dict[str, bool]) -> None:
    """Unwrap, and take away the marks that PEFT leaves on a model and warns about the next time."""
    wrapped.unload()
    _strip(model, flags)


def _flags(model: Any) -> dict[str, bool]:
    return {name: weight.requires_grad for name, weight in model.named_parameters()}


def _strip(model: Any, flags: dict[str, bool]) -> None:
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            model.set_submodule(name, module.get_base_layer())
    if "peft_config" in vars(model):
        del model.peft_config
    for name, weight in model.named_parameters():
        weight.requires_grad_(flags[name])
