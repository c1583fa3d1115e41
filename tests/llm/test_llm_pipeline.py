"""Pictures by diffusers: a tiny random Stable Diffusion, put together here, saved, and loaded from disk."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from sport import hosting, wire
from sport.config import Config, SynthImages, parse
from sport.errors import CheckpointError, ConfigError, ContentError
from sport.llm import pipeline
from sport.llm.pipeline import DiffusersPainter
from sport.store import Store
from sport.tools.weights import NotReady

PLACE = "tools.settings.image_generator.options"
SMALL: dict[str, Any] = {"size": "24x16", "steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All parts of a Stable Diffusion with a few thousand random weights, and a tokenizer of twenty letters."""
    diffusers = pytest.importorskip("diffusers")
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    made, words = tmp_path_factory.mktemp("diffusion"), tmp_path_factory.mktemp("words")
    vocabulary = ["!", "<|endoftext|>", "<|startoftext|>"]
    vocabulary += [letter + end for letter in "abcdefghijklmnopqrst" for end in ("", "</w>")]
    (words / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(vocabulary)}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    text = CLIPTextConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=64,
        max_position_embeddings=16, bos_token_id=2, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(4, 8), layers_per_block=1, cross_attention_dim=16, norm_num_groups=2,
        attention_head_dim=2, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(4, 8), layers_per_block=1, latent_channels=4, norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer.from_pretrained(words, pad_token="!", model_max_length=16),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(made)
    return made


def painter(folder: Path, **other: Any) -> DiffusersPainter:
    return DiffusersPainter(SynthImages(model=str(folder), **{**SMALL, **other}), PLACE)


def configured(folder: Path, **other: Any) -> Config:
    settings = {"image_generator": {"options": {"model": str(folder), **SMALL, **other}}}
    return parse({"tools": {"names": ["image_generator"], "settings": settings, "workers": 1}}, "test")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
async def test_a_pipeline_on_disk_paints_the_same_picture_for_the_same_seed(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    one = painter(folder)
    first = await one.paint("a red hat", 1)
    with PIL.Image.open(io.BytesIO(first)) as picture:
        assert (picture.format, picture.size) == ("PNG", (24, 16))
        assert len(set(picture.convert("RGB").get_flattened_data())) > 10
    assert capfd.readouterr().err == ""  # no progress bars across the terminal
    assert await one.paint("a red hat", 1) == await painter(folder).paint("a red hat", 1) == first
    assert await one.paint("a red hat", 2) != first
    assert await one.paint("a cat", 1) != first
    with Store.create(tmp_path, configured(folder)) as store:
        box = hosting.toolbox(store, wire.endpoint, store.config.tools)
        made = await box.call("image_generator", {"prompt": "a red hat"})
        assert made.value == {"file": "image.png", "width": 24, "height": 16}
        assert made.files["image.png"] == await one.paint("a red hat", store.config.seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
async def test_what_a_pipeline_cannot_do_is_said_in_one_message(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{PLACE}: .* refuses size 23x16 .*divisible by"):
        await painter(folder, size="23x16").paint("a hat", 1)
    with pytest.raises(ConfigError, match=rf"{PLACE}\.device: cannot use 'nonsense'"):
        await painter(folder, device="nonsense").paint("a hat", 1)
    (tmp_path / pipeline.INDEX).write_text('{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "No"]}')
    with pytest.raises(CheckpointError, match="cannot be loaded by diffusers"):
        await painter(tmp_path).paint("a hat", 1)
    index = json.loads((folder / pipeline.INDEX).read_text())
    other = tmp_path / "other"
    other.mkdir()
    for part in folder.iterdir():
        if part.is_dir():
            (other / part.name).symlink_to(part)
    (other / pipeline.INDEX).write_text(json.dumps({**index, "_class_name": "StableDiffusionImg2ImgPipeline"}))
    with pytest.raises(CheckpointError, match="StableDiffusionImg2ImgPipeline makes no pictures from words alone"):
        await painter(other).paint("a hat", 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
async def test_a_picture_that_the_safety_checker_blackened_is_no_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diffusers = pytest.importorskip("diffusers")

    def finds(self: Any, image: Any, device: Any, dtype: Any) -> tuple[Any, list[bool]]:
        return image, [True]

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "run_safety_checker", finds)
    with pytest.raises(ContentError, match="its safety checker withheld the picture"):
        await painter(folder).paint("a hat", 1)


def test_a_directory_without_a_pipeline_is_found_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=rf"{PLACE}\.model: no diffusers pipeline lies in .*model_index\.json"):
        painter(tmp_path)
    with pytest.raises(ConfigError, match=rf"{PLACE}\.model: no diffusers pipeline lies in nowhere"):
        hosting.entries(configured(Path("nowhere")).tools)
    monkeypatch.setattr(pipeline, "installed", lambda: False)
    with pytest.raises(NotReady, match=r"needs diffusers; pip install 'sport\[painting,local\]'"):
        hosting.entries(configured(tmp_path).tools)
    with pytest.raises(ConfigError, match=r"needs diffusers; pip install 'sport\[painting,local\]'"):
        painter(tmp_path)
