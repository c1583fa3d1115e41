"""A tiny Qwen2-VL checkpoint with random weights, in the very layout of a real one: for tests that run a model."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{% if message['content'] is string -%}
{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- else -%}
{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""

CORPUS = (
    "system\nuser\nassistant\n",
    "Thought: the label must be read first.\nCode:\n```py\ntext = ocr('label.png')\nprint(text)\n```",
    "Thought: the answer follows.\nCode:\n```py\nfinal_answer(total * 2 + 7)\n```",
    "Observation:\nSugar 12 g\nEnergy 250 kcal\nError: name 'x' is not defined",
    "How many red circles are in the picture? How much sugar do three portions contain?",
    "count('scene.png', 'blue squares') locate('scene.png', 'yellow triangle') crop('scene.png', box)",
)


@cache
def _tokenizer_json() -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(CONTROL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return str(tokenizer.to_str())


def tiny_tokenizer(folder: Path) -> int:
    """Save a byte-level BPE tokenizer (digits one by one) with a ChatML template; returns its size."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_tokenizer_json()),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(CONTROL),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def tiny_qwen2_vl(folder: Path, *, seed: int = 0, hidden: int = 64, layers: int = 2) -> Path:
    """Build and save one in ``folder``; returns ``folder``.

    Pictures are resized to between 4 x 4 and 8 x 8 patches of 14 pixels: 4 to 16 vectors. Heads have 16 dimensions.
    The context is 1024 tokens. Weights are drawn wider than usual so that greedy choices are clear.
    """
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    size = tiny_tokenizer(folder)
    ids = {name: CONTROL.index(name) for name in CONTROL}
    heads = hidden // 16
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": size,
            "hidden_size": hidden,
            "intermediate_size": 2 * hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": max(1, heads // 2),
            "max_position_embeddings": 1024,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
            "initializer_range": 0.1,
            "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 1,
            "embed_dim": 32,
            "hidden_size": hidden,
            "mlp_ratio": 2,
            "num_heads": 2,
            "patch_size": 14,
            "initializer_range": 0.1,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2VLForConditionalGeneration(config)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "Qwen2VLImageProcessor",
                "patch_size": 14,
                "merge_size": 2,
                "temporal_patch_size": 2,
                "size": {"shortest_edge": 56 * 56, "longest_edge": 112 * 112},
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
            },
            indent=2,
        )
    )
    return folder


def tiny_qwen2(folder: Path, *, seed: int = 0) -> Path:
    """Build and save a tiny text-only Qwen2; returns ``folder``."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    config = Qwen2Config(
        vocab_size=tiny_tokenizer(folder),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.1,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=CONTROL.index("<|im_end|>"),
        pad_token_id=CONTROL.index("<|endoftext|>"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    return folder


def tiny_adapter(folder: Path, checkpoint: Path, *, seed: int = 0, scale: float = 0.3) -> Path:
    """Save a random LoRA (rank 4 on q, k, v of the language model) for a checkpoint; returns ``folder``."""
    import torch
    from peft import LoraConfig, get_peft_model

    from sport.checkpoint import load, quiet

    model = load(checkpoint).model
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        tuned = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "k_proj", "v_proj"]))
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=scale)
        tuned.save_pretrained(folder)
    return folder


def picture_file(seed: int, size: tuple[int, int] = (112, 112)) -> tuple[bytes, str]:
    """A PNG of coloured noise and its sha256."""
    import hashlib
    import io

    import numpy as np
    import PIL.Image

    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue(), hashlib.sha256(out.getvalue()).hexdigest()
