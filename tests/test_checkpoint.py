from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import tiny_qwen2, tiny_qwen2_vl
from sport.checkpoint import check, load, load_words
from sport.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny_qwen2_vl(tmp_path_factory.mktemp("source"))


@pytest.fixture
def folder(source, tmp_path):
    return Path(shutil.copytree(source, tmp_path / "model"))


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    message = str(caught.value)
    assert str(folder) in message and "\n" not in message
    return message


def edit(file: Path, **changes) -> None:
    data = json.loads(file.read_text())
    for key, value in changes.items():
        *path, last = key.split("__")
        place = data
        for part in path:
            place = place[part]
        place[last] = value
    file.write_text(json.dumps(data))


# --------------------------------------------------------------------------------------------- loading


def test_a_directory_loads_with_everything_it_holds(folder):
    checkpoint = load(folder)
    assert type(checkpoint.model).__name__ == "Qwen2VLForConditionalGeneration"
    assert not checkpoint.model.training
    assert checkpoint.tokenizer.chat_template and checkpoint.image_processor.merge_size == 2


def test_a_text_only_model_has_no_image_processor(tmp_path):
    checkpoint = load(tiny_qwen2(tmp_path))
    assert type(checkpoint.model).__name__ == "Qwen2ForCausalLM"
    assert checkpoint.image_processor is None


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("asked", ["float32", "bfloat16", "float64"])
def test_weights_come_in_the_precision_asked_for(folder, stored, asked):
    weights = load_file(folder / "model.safetensors")
    halved = {name: weight.to(stored) for name, weight in weights.items()}
    save_file(halved, folder / "model.safetensors", metadata={"format": "pt"})
    model = load(folder, dtype=asked).model
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, asked)}
    here, there = model.model.language_model.layers[0].mlp.up_proj.weight, halved["model.layers.0.mlp.up_proj.weight"]
    assert torch.equal(here, there.to(getattr(torch, asked)))


def test_a_configuration_as_the_model_hub_has_it_gives_the_same_model(folder):
    ids = torch.tensor([[10, 20, 30]])
    wanted = load(folder).model(input_ids=ids).logits
    config = json.loads((folder / "config.json").read_text())
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    for gone in ("model_type", "layer_types"):
        del text[gone]
    scaling = {"type": "mrope", "mrope_section": rope["mrope_section"]}
    flat = {**text, **config, "rope_theta": rope["rope_theta"], "rope_scaling": scaling, "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(flat))
    assert torch.equal(load(folder).model(input_ids=ids).logits, wanted)


def test_shards_load(folder):
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, some in parts.items():
        save_file({name: weights[name] for name in some}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, some in parts.items() for name in some}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    assert load(folder).model is not None
    (folder / "b.safetensors").unlink()
    assert "b.safetensors" in refused(folder)


def test_words_load_without_weights_in_memory(folder):
    tokenizer, image_processor = load_words(folder)
    assert tokenizer.tokenize("12") == ["1", "2"]
    assert image_processor.patch_size == 14


def test_loading_says_nothing_and_leaves_the_library_as_it_was(folder):
    code = (
        "import sys, transformers.utils.logging as chatter; from pathlib import Path\n"
        "from sport.checkpoint import load\n"
        "before = chatter.get_verbosity(), chatter.is_progress_bar_enabled()\n"
        "load(Path(sys.argv[1]))\n"
        "assert before == (chatter.get_verbosity(), chatter.is_progress_bar_enabled())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -------------------------------------------------------------------------------------------- bad input


def test_a_missing_directory(tmp_path):
    assert "no such directory" in refused(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert name in refused(folder)


BROKEN = [(name, text) for name in ("config.json", "tokenizer.json") for text in ("{", "{}", "[]", '{"model": 7}')]


@pytest.mark.parametrize(
    ("name", "text"), [*BROKEN, ("preprocessor_config.json", "{"), ("preprocessor_config.json", "[]")]
)
def test_a_broken_file_is_one_clear_line(folder, name, text):
    (folder / name).write_text(text)
    refused(folder)


@pytest.mark.parametrize("damage", ["end", "header", "length", "empty"])
def test_corrupt_weights_are_found_before_they_load(folder, damage):
    file = folder / "model.safetensors"
    data = file.read_bytes()
    broken = {
        "end": data[:-100],
        "header": data[:20] + b"\0" + data[21:],
        "length": b"\xff" * 8 + data[8:],
        "empty": b"",
    }
    file.write_bytes(broken[damage])
    assert "corrupt or truncated" in refused(folder)
    with pytest.raises(CheckpointError):
        check(folder)


def test_a_missing_weight_is_an_error(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "missing keys: model.language_model.layers.1.mlp.up_proj.weight" in refused(folder)


def test_a_weight_too_many_is_an_error(folder):
    weights = load_file(folder / "model.safetensors") | {"model.layers.2.norm.weight": torch.ones(2)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "unexpected keys: model.language_model.layers.2.norm.weight" in refused(folder)


def test_weights_of_another_shape_are_named(folder):
    edit(folder / "config.json", text_config__intermediate_size=96)
    assert "mismatched keys: model.language_model.layers.0.mlp.down_proj.weight" in refused(folder)


@pytest.mark.parametrize("kind", ["resnet", "qwen2_audio", None])
def test_a_model_of_another_kind_is_refused(folder, kind):
    edit(folder / "config.json", model_type=kind)
    assert "model_type" in refused(folder)


def test_a_tokenizer_larger_than_the_model_is_refused(folder):
    tokens = json.loads((folder / "tokenizer.json").read_text())
    tokens["added_tokens"].append({**tokens["added_tokens"][0], "id": 400, "content": "<|more|>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokens))
    assert "do not belong together" in refused(folder)


def test_an_image_processor_of_another_model_is_refused(folder):
    edit(folder / "preprocessor_config.json", patch_size=16)
    assert "patch_size 16" in refused(folder)


def test_a_device_or_precision_that_does_not_exist_is_a_configuration_error(folder):
    for wrong in ({"device": "abacus"}, {"dtype": "int4"}):
        with pytest.raises(ConfigError, match=f"controller.{next(iter(wrong))}"):
            load(folder, **wrong)
