"""Tuning on one's own data, end to end: read, joined, laid out, tuned, gone on with, merged, and told in a card."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoImageProcessor, AutoTokenizer, Qwen2VLForConditionalGeneration

from models import picture_file, tiny_qwen2_vl
from sport import adapters, bases, checkpoint
from sport.checkpoint import quiet
from sport.config import Tune
from sport.errors import CheckpointError, ConfigError, InputError, RunError, TuningError
from sport.tune import Share, adapter, merge_adapter, read, tune_data

FAST = Tune(rank=4, alpha=8, learning_rate=5e-3, epochs=4, max_row_tokens=1024)
Turn = dict[str, Any]


def user(content: object) -> Turn:
    return {"role": "user", "content": content}


def model(content: object) -> Turn:
    return {"role": "assistant", "content": content}


def pairs(folder: Path, steps: int = 2, **more: object) -> Path:
    """Four trajectories written out pair by pair, with a picture each."""
    folder.mkdir(exist_ok=True)
    records = []
    for k in range(4):
        (folder / f"{k}.png").write_bytes(picture_file(k)[0])
        prompt = [user([{"type": "image"}, {"type": "text", "text": f"How many red circles? {k}"}])]
        for step in range(steps):
            chosen = f"count('a.png', {step})"
            records += [
                {"prompt": prompt, "chosen": [model(chosen)], "rejected": [model(bad)], "images": [f"{k}.png"], **more}
                for bad in ("guess", "print(12)")
            ]
            prompt = [*prompt, model(chosen), user(f"Observation: {step}")]
    return lines(folder / "pairs.jsonl", *records)


def talks(folder: Path) -> Path:
    return lines(folder / "talk.jsonl", *({"messages": [user(f"Sugar {k}?"), model("Energy.")]} for k in range(3)))


def lines(file: Path, *records: object) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(one) + "\n" for one in records))
    return file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2_vl(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def tuned(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter tuned on ``data``."""
    return tune_data(base, data, tmp_path_factory.mktemp("tuned") / "out", FAST).adapter


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(model(input_ids=torch.tensor([[10, 20, 30, 40]])).logits)


# ----------------------------------------------------------------------------------------------- tuning


def test_pairs_become_rows_and_raise_the_margin(base: Path, data: Path, tmp_path: Path) -> None:
    done = tune_data(base, data, tmp_path, FAST)
    assert done.method == "preference" and not done.lost
    assert (done.result.rows, done.result.pairs) == (4, 16)
    assert done.read == {"records": 16, "pairs": 16, "trees": 4, "shared": 8, "continued": 4}
    assert done.result.history[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert done.result.history[-1]["margin"] > 0.1


def test_joined_and_apart_cost_the_same_and_learn_the_same(base: Path, data: Path, tmp_path: Path) -> None:
    """The same pairs, joined to 4 trees or left as 16: the first loss and its gradient's norm are equal."""
    whole = FAST.model_copy(update={"rows_per_step": 16, "epochs": 1, "nll_weight": 0.5})
    joined = read(data)
    apart = replace(joined, trees=tuple(tree for i in range(16) for tree in read(data, wanted=[i]).trees))
    assert [tree.pairs for tree in apart.trees] == [1] * 16
    first, second = (
        tune_data(base, one, tmp_path / name, whole).result.history[0] for name, one in (("a", joined), ("b", apart))
    )
    for name in ("loss", "grad_norm", "logp_chosen"):
        assert first[name] == pytest.approx(second[name], rel=1e-4)
    assert first["tokens"] < 0.5 * second["tokens"]


def test_imitation_learns_the_chosen_actions(base: Path, data: Path, tmp_path: Path) -> None:
    done = tune_data(base, data, tmp_path, FAST.model_copy(update={"epochs": 12}), method="imitation")
    assert done.method == "imitation" and done.result.pairs == 0
    assert done.result.history[-1]["loss"] < 0.9 * done.result.history[0]["loss"]


def test_general_conversations_mix_in_by_weight(base: Path, data: Path, tmp_path: Path) -> None:
    share = Share(talks(tmp_path), 1.25)
    done = tune_data(base, data, tmp_path / "out", FAST, method="imitation", mix=[share])
    assert done.result.rows == 4 + 5  # five of three conversations: two come again
    names = [one["name"] for one in bases.note(done.adapter)["data"]]
    assert names == ["pairs.jsonl", "talk.jsonl"]


def test_conversations_alone_are_imitated(base: Path, tmp_path: Path) -> None:
    assert tune_data(base, talks(tmp_path), tmp_path / "out", FAST).method == "imitation"
    with pytest.raises(InputError, match=r"talk.jsonl: TRL conversations without any pair; tune by imitation"):
        tune_data(base, talks(tmp_path), tmp_path / "out", FAST, method="preference")


def test_what_is_too_long_is_counted_or_refused(base: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", steps=4)
    short = FAST.model_copy(update={"max_row_tokens": 110})
    assert sum(tune_data(base, data, tmp_path / "out", short).lost.values()) > 0
    with pytest.raises(InputError, match=r"none of 4 trajectories fits into tune.max_row_tokens = 10; raise it"):
        tune_data(base, data, tmp_path / "none", FAST.model_copy(update={"max_row_tokens": 10}))


def test_a_truncated_picture_is_named_before_any_step(base: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data")
    file = tmp_path / "data" / "2.png"
    file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"2\.png"):
        tune_data(base, data, tmp_path / "out", FAST)
    assert not (tmp_path / "out").exists()


def test_preferences_do_not_mix(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="general conversations have no pairs"):
        tune_data(base, data, tmp_path, FAST, mix=[Share(data, 1.0)])
    with pytest.raises(InputError, match="a weight of 0"):
        tune_data(base, data, tmp_path, FAST, method="imitation", mix=[Share(data, 0)])


# --------------------------------------------------------------------------------------------- adapters


def test_an_adapter_is_gone_on_with(base: Path, data: Path, tuned: Path, tmp_path: Path) -> None:
    """Its rank and targets stay whatever the settings say, and it is the reference: the first margin is zero."""
    again = tune_data(base, data, tmp_path, Tune(rank=16, learning_rate=1e-9, epochs=1), adapter=tuned)
    assert again.result.history[0]["margin"] == pytest.approx(0, abs=1e-4)
    one, two = (adapters.load(base, path).model for path in (tuned, again.adapter))
    torch.testing.assert_close(logits(one), logits(two), rtol=0, atol=1e-4)
    assert bases.note(again.adapter)["facts"]["goes on from"] == tuned.name


def test_an_adapter_of_the_older_layout_is_gone_on_with(base: Path, data: Path, tuned: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    old = tmp_path / "old"
    old.mkdir()
    tensors = load_file(tuned / adapters.WEIGHTS)
    save_file({k.replace("model.language_model.", "model."): v for k, v in tensors.items()}, old / adapters.WEIGHTS)
    settings = json.loads((tuned / adapters.SETTINGS).read_text())
    (old / adapters.SETTINGS).write_text(json.dumps({**settings, "target_modules": ["q_proj", "k_proj", "v_proj"]}))
    again = tune_data(base, data, tmp_path / "out", Tune(learning_rate=1e-9, epochs=1), adapter=old)
    torch.testing.assert_close(
        logits(adapters.load(base, tuned).model), logits(adapters.load(base, again.adapter).model), rtol=0, atol=1e-4
    )
    assert all("model.language_model." in name for name in load_file(again.adapter / adapters.WEIGHTS))


def test_peft_and_transformers_alone_load_it(base: Path, tuned: Path) -> None:
    """What an adapter's card promises: the ordinary libraries, the image-text class, in a few lines."""
    with quiet():
        plain = Qwen2VLForConditionalGeneration.from_pretrained(base)
        wrapped = peft.PeftModel.from_pretrained(plain, str(tuned))
    assert torch.allclose(logits(wrapped), logits(adapters.load(base, tuned).model), atol=1e-6)


def test_a_merged_checkpoint_is_the_adapted_one(base: Path, data: Path, tuned: Path, tmp_path: Path) -> None:
    out = merge_adapter(base, tuned, tmp_path / "merged")
    found = checkpoint.load(out)
    torch.testing.assert_close(logits(found.model), logits(adapters.load(base, tuned).model), rtol=0, atol=1e-5)
    assert found.tokenizer.chat_template and found.image_processor is not None
    with quiet():  # with transformers alone
        AutoTokenizer.from_pretrained(out), AutoImageProcessor.from_pretrained(out)
        torch.testing.assert_close(
            logits(Qwen2VLForConditionalGeneration.from_pretrained(out)), logits(found.model), rtol=0, atol=0
        )
    card = (out / "README.md").read_text()
    assert "base with adapter merged in" in card and "pairs.jsonl" in card
    with pytest.raises(CheckpointError, match="made for the base base, whose weights are not those of"):
        adapters.attach(found.model, tuned)  # twice would be too much
    with pytest.raises(RunError, match="is there already"):
        merge_adapter(base, tuned, out)
    with pytest.raises(ConfigError, match="unknown 'int4'"):
        merge_adapter(base, tuned, tmp_path / "other", dtype="int4")


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_merged_checkpoint_is_stored_as_asked(base: Path, tuned: Path, tmp_path: Path, dtype: str) -> None:
    assert bases.precision(merge_adapter(base, tuned, tmp_path / "merged", dtype=dtype)) == dtype


def test_an_adapter_over_a_merged_one_belongs_to_both(base: Path, data: Path, tuned: Path, tmp_path: Path) -> None:
    """A run that starts from an adapter has it merged in memory; what it tunes is of no use on the bare base."""
    from sport.render import Renderer
    from sport.tune import pack
    from sport.tune.run import tune

    loaded, found = checkpoint.load(base), read(data)
    adapters.merge(loaded.model, tuned)
    renderer = Renderer(loaded.tokenizer, loaded.image_processor, found.pictures.read)
    rows, _ = pack.lay_out(found.trees, renderer, 1024)
    made = tune(loaded, rows, tmp_path / "out", FAST, picture=renderer.picture, seed=0).adapter
    with pytest.raises(CheckpointError, match="made for the base base with adapter merged in"):
        adapters.load(base, made)
    adapters.attach(loaded.model, made)
    on_disk = checkpoint.load(merge_adapter(base, tuned, tmp_path / "merged"))
    adapters.attach(on_disk.model, made)
    torch.testing.assert_close(logits(on_disk.model), logits(loaded.model), rtol=0, atol=1e-5)


def test_another_base_of_the_same_shapes_is_refused(tuned: Path, data: Path, tmp_path: Path) -> None:
    other = tiny_qwen2_vl(tmp_path / "base", seed=5)
    with pytest.raises(CheckpointError, match="weights are not those of"):
        tune_data(other, data, tmp_path / "out", FAST, adapter=tuned)


# ------------------------------------------------------------------------------------- where LoRA lands


def test_lora_never_lands_in_what_sees() -> None:
    """LLaVA-NeXT: its vision tower is CLIP, whose attention has a q_proj of its own."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextConfig, LlavaNextForConditionalGeneration

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**small, image_size=28, patch_size=14),
        text_config=LlamaConfig(**small, vocab_size=32, num_key_value_heads=1),
        image_token_index=3,
    )
    model = LlavaNextForConditionalGeneration(config)
    assert any("vision_tower" in name and name.endswith("q_proj") for name, _ in model.named_modules())
    with adapter.attached(model, "tiny", FAST, None, seed=0) as wrapped:
        names = [name for name, weight in wrapped.named_parameters() if weight.requires_grad]
        assert len(names) == 2 * 3 * 2 and all("language_model.layers" in name for name in names)
    assert not any("lora" in name for name, _ in model.named_parameters())


def test_a_tower_inside_the_decoder_is_left_alone() -> None:
    class Inner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj = torch.nn.Linear(2, 2)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList([Inner()])
            self.vision_tower = Inner()
            self.resampler = torch.nn.Sequential(Inner())

        def get_decoder(self) -> torch.nn.Module:
            return self

    import re

    model = Model()
    found = adapter.pattern(model, ("q_proj",))
    assert [name for name, _ in model.named_modules() if re.fullmatch(found, name)] == ["layers.0.q_proj"]
    with pytest.raises(TuningError, match="no module called 'k_proj'"):
        adapter.pattern(model, ("k_proj",))


# ------------------------------------------------------------------------------------------------ cards


def test_the_card_tells_base_data_and_settings(tuned: Path, base: Path) -> None:
    card = (tuned / "README.md").read_text()
    assert card.startswith('---\nbase_model: "base"\nlibrary_name: peft\n')
    for words in (
        "pairs.jsonl: 16 records",
        "| pairs | 16 |",
        "| rank | 4 |",
        "| learning rate | 0.005 |",
        "None measured",
    ):
        assert words in card
    assert str(base) not in card + (tuned / bases.NOTE).read_text()


def test_origins_go_along_and_mark_scores(base: Path, tuned: Path, tmp_path: Path) -> None:
    from sport.tune import card
    from sport.types import Metric

    record = {
        "images": [],
        "conversations": [{"from": "human", "value": "Task"}],
        "chosen": {"from": "gpt", "value": "look", "observation": "1"},
        "rejected": {"from": "gpt", "value": "guess", "observation": "2"},
        "system": "",
    }
    first = tune_data(base, [record], tmp_path / "1", FAST).adapter
    again = tune_data(
        base, [{**record, "chosen": "look", "rejected": "go"}], tmp_path / "2", FAST, adapter=first
    ).adapter
    merged = merge_adapter(base, again, tmp_path / "merged")
    last = tune_data(merged, [{**record, "chosen": "look", "rejected": "go"}], tmp_path / "3", FAST).adapter
    for folder in (first, again, merged, last):
        assert bases.seeds(bases.note(folder)) == ["GAIA", "GTA"]
        assert "grown from items of GAIA and GTA" in (folder / "README.md").read_text()
    card.score(last, "iteration 1", "gta", {"AnsAcc": Metric(value=0.5, low=0.4, high=0.6, n=156)})
    card.score(last, "iteration 1", "gta", {"AnsAcc": Metric(value=0.6, low=0.5, high=0.7, n=156)})
    assert "| iteration 1 | gta | AnsAcc | 60.0* | 50.0 to 70.0 | 156 |" in (last / "README.md").read_text()
    assert "50.0*" not in (last / "README.md").read_text()
    assert not bases.seeds(bases.note(tuned))


def test_nothing_is_logged_where_nothing_is_in_doubt(base: Path, tuned: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        adapters.load(base, tuned)
    assert not caplog.records


def test_the_public_names_load_when_they_are_asked_for() -> None:
    import sport.tune

    for name in sport.tune.__all__:
        assert getattr(sport.tune, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'tune_dat'"):
        _ = sport.tune.tune_dat
    code = "import sys, sport.tune; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


# --------------------------------------------------------------------------------------------- the page


def snippet(root: Path, word: str, base: Path, data: Path) -> str:
    """The Python of docs/TUNING.md that speaks of ``word``, for a checkpoint and data that are there."""
    text = (root / "docs" / "TUNING.md").read_text()
    (code,) = [part.split("```")[0] for part in text.split("```python\n")[1:] if word in part.split("```")[0]]
    for name in ("models/qwen2-vl-7b", "models/qwen2-vl-2b"):
        code = code.replace(name, str(base))
    return code.replace('device="cuda", dtype="bfloat16"', 'device="cpu"').replace("pairs.jsonl", str(data))


@pytest.mark.parametrize("word", ["tune_data", "TreeDPOTrainer"])
def test_what_the_page_says_works(
    root: Path, base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet(root, word, base, data), "docs/TUNING.md", "exec"), {})
    assert (tmp_path / "tuned" / "adapter" / "adapter_model.safetensors").exists()


def test_three_lines_load_an_adapter(root: Path, base: Path, tuned: Path) -> None:
    code = snippet(root, "adapters.load", base, tuned).replace("OUT/adapter", str(tuned))
    found: dict[str, Any] = {}
    exec(compile(code, "docs/TUNING.md", "exec"), found)
    assert found["loaded"].image_processor is not None


def test_the_pages_example_of_a_trajectory_is_read(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "TUNING.md").read_text()
    (tmp_path / "scene.png").write_bytes(picture_file(1)[0])
    file = lines(tmp_path / "a.jsonl", json.loads(text.split("```json\n")[1].split("```")[0]))
    assert read(file).counts == {"records": 1, "pairs": 3, "trees": 1}
