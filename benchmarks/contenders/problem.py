"""The problem that all contenders are given: a random model, its tokenizer, and trajectories of an exact shape.

Everything follows from a seed, so that every process has the same weights, the same LoRA and the same tokens.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from sport.config import Tune
from sport.render import Renderer
from sport.tune import adapter
from sport.tune.readers.pictures import Pictures
from sport.tune.tree import Fork, Tree, Turn
from sport.types import File, Image, Message, Text

SEED = 7
CONTROL = (
    "<unk>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
)
CHAT = (
    "{%- for m in messages -%}{{ '<|im_start|> ' + m['role'] + ' ' }}"
    "{%- if m['content'] is string -%}{{ m['content'] }}{%- else -%}{%- for p in m['content'] -%}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' if p['type'] == 'image' else p['text'] }}"
    "{%- endfor -%}{%- endif -%}{{ '<|im_end|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|> assistant ' }}{%- endif -%}"
)


@dataclass(frozen=True)
class Shape:
    """Tokens of the prompt, of an observation and of a candidate; steps and candidates; the model's size.

    ``picture`` is the side of a square picture in the prompt, in pixels; its vectors count among the prompt's tokens.
    """

    prompt: int
    steps: int
    observation: int
    candidate: int
    n: int = 5
    hidden: int = 512
    layers: int = 6
    heads: int = 8
    groups: int = 2
    inner: int = 1408
    vocabulary: int = 8192
    picture: int = 0
    dtype: str = "float32"

    @property
    def pairs(self) -> int:
        """How many a trajectory has."""
        return self.steps * (self.n - 1)

    @property
    def tree_tokens(self) -> int:
        """Of one trajectory as a row."""
        trunk = self.prompt + self.steps * self.candidate + (self.steps - 1) * self.observation
        return trunk + self.pairs * (self.candidate - 1)

    @property
    def pair_tokens(self) -> int:
        """Of the same, pair by pair."""
        histories = [self.prompt + k * (self.candidate + self.observation) for k in range(self.steps)]
        return 2 * (self.n - 1) * sum(history + self.candidate for history in histories)


_SEVEN = {"hidden": 3584, "layers": 28, "heads": 28, "groups": 4, "inner": 18944, "vocabulary": 152064}
SHAPES = {
    "tiny": Shape(60, 2, 12, 12, n=3, hidden=64, layers=2, heads=4, groups=2, inner=128, vocabulary=512),
    "sight": Shape(90, 2, 12, 12, n=3, hidden=64, layers=2, heads=4, groups=2, inner=128, vocabulary=512, picture=112),
    "small": Shape(400, 5, 60, 60),
    "mid": Shape(4000, 5, 300, 250, picture=1008, dtype="bfloat16", **_SEVEN),
    "large": Shape(6000, 10, 600, 300, picture=1008, dtype="bfloat16", **_SEVEN),
}


@dataclass
class Problem:
    """A loaded model, its words, and trees of a shape."""

    shape: Shape
    model: Any
    tokenizer: Any
    image_processor: Any | None
    renderer: Renderer
    trees: list[Tree]
    pictures: Pictures

    @contextmanager
    def adapted(self) -> Iterator[Any]:
        """The model under LoRA (rank 32 on q, k, v), with a B that is not zero, and the same in every process."""
        with adapter.attached(self.model, "problem", Tune(), None, seed=SEED) as tuned:
            generator = torch.Generator().manual_seed(SEED)
            for name, weight in sorted(tuned.named_parameters()):
                if "lora_B" in name:
                    weight.data.copy_(0.02 * torch.randn(weight.shape, generator=generator))
            yield tuned


def build(shape: Shape, device: str, trajectories: int = 1) -> Problem:
    """The problem on a device."""
    tokenizer = _tokenizer(shape)
    processor = _image_processor() if shape.picture else None
    pictures = Pictures()
    renderer = Renderer(tokenizer, processor, pictures.read)
    trees = [_tree(shape, renderer, pictures, number) for number in range(trajectories)]
    return Problem(shape, _model(shape, device, tokenizer), tokenizer, processor, renderer, trees, pictures)


def small_one(problem: Problem) -> Problem:
    """A much smaller trajectory for the same model: to warm up with."""
    shape = replace(problem.shape, prompt=problem.shape.prompt // 4 + 30, steps=1, n=2, candidate=12, picture=0)
    tree = _tree(shape, problem.renderer, problem.pictures, 99)
    return replace(problem, shape=shape, trees=[tree])


# --------------------------------------------------------------------------------------------- the model


def _model(shape: Shape, device: str, tokenizer: Any) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2VLConfig, Qwen2VLForConditionalGeneration

    text: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.groups,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": not shape.picture,
        "bos_token_id": None,
        "eos_token_id": CONTROL.index("<|im_end|>"),
        "pad_token_id": CONTROL.index("<|endoftext|>"),
    }
    torch.manual_seed(SEED)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, shape.dtype))
    try:
        with torch.device(device):
            if not shape.picture:
                return Qwen2ForCausalLM(Qwen2Config(**text)).eval()
            section = [shape.hidden // shape.heads // 8 * part for part in (1, 1.5, 1.5)]
            rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [int(part) for part in section]}
            seven = shape.hidden == 3584
            config = Qwen2VLConfig(
                text_config={**text, "rope_parameters": rope},
                vision_config={
                    "depth": 32 if seven else 1, "embed_dim": 1280 if seven else 32, "num_heads": 16 if seven else 2,
                    "hidden_size": shape.hidden, "mlp_ratio": 4, "patch_size": 14,
                },
                image_token_id=CONTROL.index("<|image_pad|>"),
                vision_start_token_id=CONTROL.index("<|vision_start|>"),
                tie_word_embeddings=False,
            )  # fmt: skip
            return Qwen2VLForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(before)


def _tokenizer(shape: Shape) -> Any:
    """One token a word: a text has exactly as many tokens as one wants."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*CONTROL, "system", "user", "assistant"]
    words += [f"w{number}" for number in range(shape.vocabulary - len(words))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        extra_special_tokens=list(CONTROL[2:]),
    )
    fast.chat_template = CHAT
    return fast


def _image_processor() -> Any:
    from transformers import AutoImageProcessor

    settings = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": 56 * 56, "longest_edge": 1280 * 28 * 28},
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(settings))
        loaded: Any = AutoImageProcessor
        return loaded.from_pretrained(folder)


# ------------------------------------------------------------------------------------------ trajectories


def _tree(shape: Shape, renderer: Renderer, pictures: Pictures, number: int) -> Tree:
    draw = random.Random(f"{SEED} {number}")
    words = [f"w{i}" for i in range(shape.vocabulary // 2)]
    text = lambda length: " ".join(draw.choices(words, k=length))  # noqa: E731
    seen = (Image(file=_picture(shape.picture, pictures, number)),) if shape.picture else ()
    user = lambda length, parts=(): Message(role="user", parts=(*parts, Text(text=text(length))))  # noqa: E731
    opening = (user(shape.prompt - len(renderer.prompt([user(1, seen)]).ids) + 1, seen),)
    between = len(renderer.between(user(1)).ids) - 1
    forks = []
    for step in range(shape.steps):
        turns = [Turn(i, text(shape.candidate - 1)) for i in range(shape.n)]
        after = (user(shape.observation - between),) if step < shape.steps - 1 else ()
        forks.append(Fork(step, turns[0], tuple(turns[1:]), after))
    return Tree(f"t{number}", opening, tuple(forks))


def _picture(side: int, pictures: Pictures, number: int) -> File:
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return pictures.add(PIL.Image.fromarray(pixels), "a benchmark's picture", Path())
