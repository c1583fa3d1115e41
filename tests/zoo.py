"""Tiny checkpoints of other kinds with random weights, each in the layout of a real one: for tests of tuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models import CONTROL, tiny_qwen2, tiny_qwen2_vl, tiny_tokenizer

ROPE = {"rope_type": "default", "rope_theta": 10000.0}
LLAMA_TEMPLATE = (  # of the Llama 3 kind: contents are trimmed, so whole turns are not always what was said
    "{{ '<|endoftext|>' }}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n\n' + m['content'] | trim"
    " + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n\n' }}{% endif %}"
)
LLAVA_TEMPLATE = (  # contents are lists of parts, always
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% for p in m['content'] if p['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for p in m['content'] if p['type'] == 'text' %}{{ p['text'] }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def text_config(size: int, **more: Any) -> dict[str, Any]:
    """What all of them share: two layers of 64 with four heads, two of them for keys."""
    return {
        "vocab_size": size,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 1024,
        "initializer_range": 0.1,
        "bos_token_id": None,
        "eos_token_id": CONTROL.index("<|im_end|>"),
        "pad_token_id": CONTROL.index("<|endoftext|>"),
        "rope_parameters": ROPE,
        **more,
    }


def _ids() -> dict[str, int]:
    names = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    return {f"{key}_token_id": CONTROL.index(f"<|{name}|>") for key, name in names.items()}


def _save(folder: Path, model: Any, config: Any) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model(config).save_pretrained(folder)
    return folder


def tiny_qwen2_5_vl(folder: Path) -> Path:
    """With a tower that attends in windows."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    mrope = {**ROPE, "mrope_section": [2, 3, 3]}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64,
              "window_size": 56, "fullatt_block_indexes": [1], "patch_size": 14, "initializer_range": 0.1}  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text_config(tiny_tokenizer(folder), rope_parameters=mrope),
        vision_config=vision,
        tie_word_embeddings=True,
        initializer_range=0.1,
        **_ids(),
    )
    _patches(folder, 14)
    return _save(folder, Qwen2_5_VLForConditionalGeneration, config)


def tiny_qwen3_vl(folder: Path) -> Path:
    """With a tower that adds to the first layers of the text (deepstack)."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    mrope = {**ROPE, "mrope_section": [2, 3, 3], "mrope_interleaved": True}
    vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64,
              "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1], "patch_size": 16,
              "initializer_range": 0.1}  # fmt: skip
    config = Qwen3VLConfig(
        text_config=text_config(tiny_tokenizer(folder), rope_parameters=mrope),
        vision_config=vision,
        tie_word_embeddings=True,
        initializer_range=0.1,
        **_ids(),
    )
    _patches(folder, 16)
    return _save(folder, Qwen3VLForConditionalGeneration, config)


def _patches(folder: Path, patch: int) -> None:
    size = {"shortest_edge": (4 * patch) ** 2, "longest_edge": (8 * patch) ** 2}
    settings = {
        "image_processor_type": "Qwen2VLImageProcessorFast",  # as the published directories have it
        "patch_size": patch,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": size,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def tiny_qwen3(folder: Path) -> Path:
    """Text only; queries and keys are normed."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return _save(folder, Qwen3ForCausalLM, Qwen3Config(**text_config(tiny_tokenizer(folder))))


def tiny_sliding(folder: Path) -> Path:
    """A Qwen3 whose upper layer sees only a window: such models are not read as rows."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    settings = text_config(tiny_tokenizer(folder), use_sliding_window=True, sliding_window=8, max_window_layers=1)
    return _save(folder, Qwen3ForCausalLM, Qwen3Config(**settings))


def tiny_llama(folder: Path) -> Path:
    """Text only, with a template that trims what was said."""
    from transformers import LlamaConfig, LlamaForCausalLM

    made = _save(folder, LlamaForCausalLM, LlamaConfig(**text_config(tiny_tokenizer(folder))))
    (folder / "chat_template.jinja").write_text(LLAMA_TEMPLATE)
    return made


def tiny_llava_next(folder: Path) -> Path:
    """A CLIP tower, which has ``q_proj`` layers of its own, and a Qwen2 to talk."""
    from transformers import (
        AutoTokenizer,
        CLIPVisionConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextProcessor,
        Qwen2Config,
    )
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

    tiny_tokenizer(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = LLAVA_TEMPLATE
    pinpoints = [[28, 56], [56, 28], [56, 56]]
    looks = LlavaNextImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=pinpoints
    )
    LlavaNextProcessor(
        looks, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    config = LlavaNextConfig(
        vision_config=vision,
        text_config=Qwen2Config(**text_config(len(tokenizer))),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-2,
        tie_word_embeddings=False,
    )
    return _save(folder, LlavaNextForConditionalGeneration, config)


KINDS = {
    "qwen2": tiny_qwen2,
    "qwen3": tiny_qwen3,
    "llama": tiny_llama,
    "qwen2_vl": tiny_qwen2_vl,
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen3_vl": tiny_qwen3_vl,
    "llava_next": tiny_llava_next,
    "sliding": tiny_sliding,
}
