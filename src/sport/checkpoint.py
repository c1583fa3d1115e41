"""The one place that loads a model directory: weights, tokenizer, image processor. Adapters: ``adapters.py``.

A directory is a checkpoint as ``save_pretrained`` writes one. Nothing is fetched from anywhere, no code that lies in a
directory runs, and pickled weights are refused. Whatever does not fit is a :class:`CheckpointError`: transformers and
PEFT merely warn when a weight is missing, and then go on with a random one.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sport.errors import CheckpointError, ConfigError

DTYPES = ("float32", "float64", "bfloat16", "float16")
QWEN_VL = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
_WORDS = ("tokenizer.json", "vocab.json", "tokenizer.model")
_PICTURES = ("preprocessor_config.json", "processor_config.json")


@dataclass
class Checkpoint:
    """A loaded model directory.

    ``model`` is a transformers model in evaluation mode, ``tokenizer`` one with its chat template, ``image_processor``
    is None for a model that cannot see, and the whole processor for one that is not of the Qwen-VL family.
    """

    path: Path
    model: Any
    tokenizer: Any
    image_processor: Any | None


# --------------------------------------------------------------------------------------------- directories


def check(path: Path) -> dict[str, Any]:
    """Look at a directory without loading weights; returns its ``config.json``.

    Raises:
        CheckpointError: no such directory, no or a broken ``config.json``, a kind of model that is not supported, no
            tokenizer, no image processor where one is needed, no weights or broken ones.
    """
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such directory; give one that holds config.json, weights and a tokenizer")
    config = read_json(path / "config.json")
    sees = _sees(path, config)
    if not any((path / name).is_file() for name in _WORDS):
        raise CheckpointError(f"{path}: no tokenizer; expected tokenizer.json; save the tokenizer into this directory")
    if sees and not any((path / name).is_file() for name in _PICTURES):
        raise CheckpointError(f"{path}: no image processor; expected {_PICTURES[0]}; copy it from the original model")
    for file in weight_files(path):
        check_header(file)
    with quiet(), explained(path, "config.json does not describe a model; copy it again"):
        _auto_config().from_pretrained(path, local_files_only=True, trust_remote_code=False)
    return config


def load(path: Path, *, device: str = "cpu", dtype: str = "float32") -> Checkpoint:
    """Load everything. Weights may be stored in any precision; they come in ``dtype``.

    Raises:
        CheckpointError: see :func:`check`; also weights that are missing, left over or of another shape, and a
            tokenizer that is larger than the model's vocabulary.
        ConfigError: a device or dtype that does not exist here.
    """
    config = check(path)
    if dtype not in DTYPES:
        raise ConfigError(f"controller.dtype: unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    tokenizer, image_processor = load_words(path, config)
    model = _load_model(path, config, dtype)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise CheckpointError(
            f"{path}: the tokenizer has {len(tokenizer)} tokens, the model only {rows}; they do not belong together"
        )
    return Checkpoint(path, _place(model, device), tokenizer, image_processor)


def use_threads(number: int) -> None:
    """How many processor threads torch computes with, from now on and in the whole process."""
    import torch

    torch.set_num_threads(number)


def load_words(path: Path, config: dict[str, Any] | None = None) -> tuple[Any, Any | None]:
    """Tokenizer and image processor (None for a text-only model) without the weights: what a Renderer needs.

    Raises:
        CheckpointError: see :func:`check`; also a broken tokenizer, or an image processor that cuts other patches than
            the model was built for.
    """
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

    config = check(path) if config is None else config
    with quiet(), explained(path, "the tokenizer cannot be read; save it again"):
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the tokenizers library raises bare Exception for a broken file
            raise ValueError(str(error)) from error
    if not _sees(path, config):
        return tokenizer, None
    qwen = config["model_type"] in QWEN_VL
    # Of the Qwen-VL family not AutoProcessor: it wants a video processor too, and that needs torchvision.
    family: Any = AutoImageProcessor if qwen else AutoProcessor
    with quiet(), explained(path, "the image processor cannot be read; copy it from the original model"):
        processor = family.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    if qwen:
        _check_patches(path, processor)
    return tokenizer, processor


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object, or a CheckpointError that names the file."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{file.parent}: no {file.name}; this is not the directory that save_pretrained wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: not readable as JSON ({error}); copy it again") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{file}: expected a JSON object; copy it again")
    return data


def _auto_config() -> Any:
    from transformers import AutoConfig

    return AutoConfig


def _sees(path: Path, config: dict[str, Any]) -> bool:
    """Whether a model has eyes, by its kind.

    Raises:
        CheckpointError: a kind that transformers does not know, or not as one that writes text.
    """
    from transformers.models.auto import modeling_auto as known

    kind = config.get("model_type")
    if kind in known.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return True
    if kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and "vision_config" not in config:
        return False
    if "auto_map" in config:
        raise CheckpointError(
            f"{path}: model_type {kind!r} comes with code of its own, which is never run here, so it cannot be tuned; "
            "serve it elsewhere (vLLM, with --trust-remote-code) and evaluate it by its endpoint"
        )
    raise CheckpointError(
        f"{path}: model_type {kind!r} is not supported; expected {', '.join(QWEN_VL)}, another image-text model of "
        "transformers, or a text-only causal model"
    )


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a directory, whether they are there or not."""
    index = path / "model.safetensors.index.json"
    if not index.is_file():
        return [path / "model.safetensors"]
    shards = read_json(index).get("weight_map", {})
    return sorted({path / str(name) for name in shards.values()})


def check_header(file: Path) -> None:
    """A truncated file, or one whose header was damaged, shows here: the header states the file's length."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise CheckpointError(f"{file.parent}: no weights; expected {file.name} (pickled .bin weights are not loaded)")
    try:
        with safe_open(file, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: corrupt or truncated ({error}); copy or download it again") from error


def _check_patches(path: Path, processor: Any) -> None:
    vision = _auto_config().from_pretrained(path, local_files_only=True).vision_config
    for here, there in (("patch_size", "patch_size"), ("merge_size", "spatial_merge_size")):
        got, wanted = getattr(processor, here), getattr(vision, there)
        if got != wanted:
            raise CheckpointError(
                f"{path}: the image processor has {here} {got}, the model was built for {wanted}; "
                f"copy {_PICTURES[0]} from the original model"
            )


# ------------------------------------------------------------------------------------------------- weights


def _load_model(path: Path, config: dict[str, Any], dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    family: Any = AutoModelForImageTextToText if _sees(path, config) else AutoModelForCausalLM
    with quiet(), explained(path, "the weights do not fit config.json; copy both from one place"):
        model, report = family.from_pretrained(
            path,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below by name, like the missing ones
        )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[what]:
            raise CheckpointError(
                f"{path}: weights do not fit config.json, {what.replace('_', ' ')}: {some(report[what])}; "
                "copy both from one place"
            )
    return model.eval()


def _place(model: Any, device: str) -> Any:
    if device == "cuda" and "LOCAL_RANK" in os.environ:  # one of several processes, each with a GPU of its own
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts, an unknown name is a RuntimeError
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"controller.device: cannot use {device!r} ({reason}); expected cpu, or cuda on a machine that has it"
        ) from error


def some(keys: Any, most: int = 3) -> str:
    """The first names of many, for a message."""
    names = sorted(str(key[0]) if isinstance(key, tuple) else str(key) for key in keys)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# ------------------------------------------------------------------------------------------------- silence


@contextmanager
def quiet(library: Any = None) -> Iterator[None]:
    """Keep transformers' and PEFT's advice and progress bars off the terminal, or those of a ``library`` built alike.

    Errors still raise.
    """
    import transformers

    chatter: Any = (library or transformers).utils.logging
    level, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity(logging.CRITICAL)
    chatter.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()


@contextmanager
def explained(path: Path, advice: str) -> Iterator[None]:
    """Turn what the libraries raise for a bad directory into one clear line."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    raised = (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError)
    try:
        yield
    except (*raised, SafetensorError, StrictDataclassError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise CheckpointError(f"{path}: {advice} ({' '.join(lines[:2]) or type(error).__name__})") from error
