"""Adapters: on and off exactly, every tensor in its place, in both layouts of names, and on their own base only."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import tiny_adapter, tiny_qwen2, tiny_qwen2_vl
from sport import adapters, bases
from sport.adapters import attach, merge
from sport.checkpoint import load, quiet
from sport.errors import CheckpointError
from zoo import tiny_llava_next, tiny_qwen2_5_vl, tiny_qwen3_vl


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny_qwen2_vl(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def good_adapter(tmp_path_factory, source):
    return tiny_adapter(tmp_path_factory.mktemp("adapter"), source)


@pytest.fixture
def adapter(good_adapter, tmp_path):
    return Path(shutil.copytree(good_adapter, tmp_path / "adapter"))


def edit(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def rewrite(adapter: Path, change) -> None:
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize("put_on", [attach, merge])
def test_an_adapter_goes_on_and_comes_off_exactly(source, adapter, put_on):
    model = load(source).model
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    ids = torch.tensor([[10, 20, 30]])
    plain = model(input_ids=ids).logits
    for _ in range(2):
        take_off = put_on(model, adapter)
        assert not torch.allclose(model(input_ids=ids).logits, plain, atol=1e-3)
        take_off()
        after = model.state_dict()
        assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in after)
        assert all(weight.requires_grad for weight in model.parameters())


def rename(tensors):
    name = min(tensors)
    tensors[name.replace("layers.0", "layers.7")] = tensors.pop(name)


def reshape(tensors):
    tensors[min(tensors)] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rename, "layers.7"),
        (reshape, "does not fit"),
        (lambda tensors: tensors.pop(min(tensors)), "or are missing"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "extra"),
    ],
)
@pytest.mark.parametrize("put_on", [attach, merge])
def test_every_tensor_must_find_its_place(source, adapter, change, words, put_on):
    rewrite(adapter, change)
    model = load(source).model
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=words):
        put_on(model, adapter)
    after = model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in after)


def test_what_is_no_adapter_is_refused(source, adapter, tmp_path):
    model = load(source).model
    for bad in (tmp_path / "nowhere", source):
        with pytest.raises(CheckpointError, match=str(bad)):
            attach(model, bad)
    edit(adapter / "adapter_config.json", peft_type="IA3")
    with pytest.raises(CheckpointError, match="expected a LoRA"):
        attach(model, adapter)
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        attach(model, adapter)


def test_a_truncated_adapter_is_refused(source, adapter):
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="corrupt or truncated"):
        attach(load(source).model, adapter)


# ---------------------------------------------------------------------------------------------- layouts


def old_layout(adapter: Path) -> None:
    """As adapters were saved before transformers 4.52: the language model's layers lay right below ``model``."""
    rewrite(adapter, lambda tensors: [
        tensors.update({name.replace("model.language_model.layers", "model.layers"): tensors.pop(name)})
        for name in list(tensors)
    ])  # fmt: skip


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([[10, 20, 30, 40]])).logits


def test_peft_itself_loads_the_older_layout_as_nothing(source, adapter):
    """The reason for all this. If it fails, PEFT has learnt to map, and our mapping may go."""
    old_layout(adapter)
    model = load(source).model
    plain = logits(model)
    with quiet():
        wrapped = peft.PeftModel.from_pretrained(model, str(adapter))
    assert torch.equal(logits(wrapped), plain)


@pytest.mark.parametrize("put_on", [attach, merge])
@pytest.mark.parametrize(
    "targets",
    [["q_proj", "k_proj", "v_proj"], r"^(?!.*visual).*(?:q_proj|k_proj|v_proj).*", r"model\.layers\..*_proj", None],
)
def test_the_older_layout_is_the_same_adapter(source, adapter, tmp_path, put_on, targets):
    old = Path(shutil.copytree(adapter, tmp_path / "old"))
    old_layout(old)
    if targets is None:  # every layer by its old name
        targets = sorted(
            {name.split(".lora_")[0].removeprefix("base_model.model.") for name in load_file(old / adapters.WEIGHTS)}
        )
    if targets == r"model\.layers\..*_proj":
        targets = r"model\.layers\..*\.(?:q|k|v)_proj"
    edit(old / "adapter_config.json", target_modules=targets)
    one, two = load(source).model, load(source).model
    plain = logits(one)
    put_on(one, adapter)
    put_on(two, old)
    assert torch.equal(logits(one), logits(two)) and not torch.allclose(logits(one), plain, atol=1e-3)


@pytest.mark.parametrize("make", [tiny_qwen2_5_vl, tiny_qwen3_vl, tiny_qwen2_vl, tiny_llava_next])
def test_every_kind_of_model_that_sees_takes_both_layouts(tmp_path, make):
    base = make(tmp_path / "base")
    new = tiny_adapter(tmp_path / "new", base)
    old = Path(shutil.copytree(new, tmp_path / "old"))
    rewrite(
        old,
        lambda tensors: [
            tensors.update({former(name): tensors.pop(name)}) for name in list(tensors) if former(name) != name
        ],
    )
    assert set(load_file(old / adapters.WEIGHTS)) != set(load_file(new / adapters.WEIGHTS))
    one, two = adapters.load(base, new), adapters.load(base, old)
    assert torch.equal(logits(one.model), logits(two.model))
    assert not torch.allclose(logits(one.model), logits(load(base).model), atol=1e-3)


def former(name: str) -> str:
    """What a tensor was called before transformers 4.52."""
    if "vision_tower" in name:
        return name.replace("model.model.vision_tower", "model.vision_tower")
    if "CLIP" in name or "language_model" not in name:
        return name
    return name.replace("model.model.language_model.layers", "model.model.layers")


def test_ranks_and_alphas_of_single_layers_follow_their_names(source, adapter):
    old_layout(adapter)
    edit(adapter / "adapter_config.json", alpha_pattern={"model.layers.0.self_attn.q_proj": 64})
    model = load(source).model
    attach(model, adapter)
    layers = [layer.self_attn.q_proj.scaling["default"] for layer in model.model.language_model.layers]
    assert layers == [16.0, 2.0]


def test_a_layer_that_is_asked_for_but_not_there_is_named(source, adapter):
    rewrite(
        adapter, lambda tensors: [tensors.pop(name) for name in list(tensors) if "layers.1.self_attn.k_proj" in name]
    )
    with pytest.raises(CheckpointError, match=r"asks for model.language_model.layers.1.self_attn.k_proj"):
        attach(load(source).model, adapter)


@pytest.mark.parametrize("change", [{"modules_to_save": ["lm_head"]}, {"init_lora_weights": "pissa"}])
def test_what_is_more_than_plain_lora_is_refused(source, adapter, change):
    edit(adapter / "adapter_config.json", **change)
    with pytest.raises(CheckpointError, match=f"{next(iter(change))} .*only plain LoRA"):
        attach(load(source).model, adapter)


def test_base_and_adapter_load_in_three_lines(source, adapter):
    loaded = adapters.load(source, adapter)
    assert loaded.tokenizer.chat_template and loaded.image_processor is not None
    assert not torch.allclose(logits(loaded.model), logits(load(source).model), atol=1e-3)


# ------------------------------------------------------------------------------------------------ bases


def named(source: Path, place: Path, adapter: Path, base: str) -> Path:
    """The checkpoint as a directory of another name, and an adapter that says it was made for ``base``."""
    edit(adapter / "adapter_config.json", base_model_name_or_path=base)
    return Path(shutil.copytree(source, place))


@pytest.mark.parametrize(
    ("folder", "base"),
    [
        ("Qwen2-VL-7B", "Qwen/Qwen2-VL-7B-Instruct"),
        ("Qwen2-VL-7B-Instruct", "models/Qwen2-VL-7B"),
        ("Qwen2-VL-2B", "Qwen/Qwen2-VL-7B"),
        ("Qwen2-7B", "Qwen/Qwen2-VL-7B"),
    ],
)
def test_an_adapter_of_another_base_is_named(source, adapter, tmp_path, folder, base):
    there = named(source, tmp_path / folder, adapter, base)
    with pytest.raises(CheckpointError, match=f"made for the base {base}, but .*{folder.lower()}"):
        attach(load(there).model, adapter)


def test_an_adapter_of_this_base_loads(source, adapter, tmp_path, caplog):
    attach(load(named(source, tmp_path / "Qwen2-VL-7B", adapter, "Qwen/Qwen2-VL-7B")).model, adapter)
    assert not caplog.records


def test_a_base_that_cannot_be_told_is_said(source, adapter, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        attach(load(named(source, tmp_path / "mine", adapter, "Qwen/Qwen2-VL-7B")).model, adapter)
    assert "Qwen/Qwen2-VL-7B" in caplog.text and "cannot be told" in caplog.text


def test_a_note_of_the_weights_decides_whatever_the_names(source, adapter, tmp_path):
    other = tiny_qwen2_vl(tmp_path / "Qwen2-VL-7B", seed=1)
    (adapter / bases.NOTE).write_text(json.dumps({"base": {"name": "Qwen2-VL-7B", "weights": bases.mark(source)}}))
    attach(load(source).model, adapter)
    with pytest.raises(CheckpointError, match="weights are not those of"):
        attach(load(other).model, adapter)


def test_the_mark_does_not_depend_on_files_or_places(source, tmp_path):
    model = load(source).model
    model.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    model.save_pretrained(tmp_path / "one")
    assert bases.mark(tmp_path / "shards") == bases.mark(tmp_path / "one")
    assert bases.mark(tmp_path) is None
    weight = model.model.language_model.layers[1].self_attn.q_proj.weight
    weight.data += 1e-3
    model.save_pretrained(tmp_path / "merged")
    assert bases.mark(tmp_path / "merged") != bases.mark(tmp_path / "one")


def test_a_text_model_does_not_take_the_adapter_of_one_that_sees(adapter, tmp_path):
    with pytest.raises(CheckpointError, match="have no place in this model"):
        attach(load(tiny_qwen2(tmp_path / "text")).model, adapter)
