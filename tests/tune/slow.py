"""The slow way: one candidate, one forward pass, the model called as its documentation shows. Knows nothing of rows."""

from __future__ import annotations

import io
from typing import Any

import PIL.Image
import torch

from sport.types import Image, Message, Pair, Text, Trajectory
from tune.trees import Bench


def log_prob(bench: Bench, trajectory: Trajectory, step: int, candidate: int) -> torch.Tensor:
    """Sum of log pi over one candidate's tokens, after the whole conversation rendered at once."""
    tokenizer = bench.checkpoint.tokenizer
    place = next(i for i, s in enumerate(trajectory.steps) if s.index == step)
    history = bench.dialect.history(trajectory.task, trajectory.steps[:place])
    action = next(c.action for c in trajectory.steps[place].candidates if c.index == candidate)
    pictures, grids, prompt = _prompt(bench, history)
    target = tokenizer.encode(action.raw, add_special_tokens=False)
    if action.finished:
        target.append(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    ids = torch.tensor([[*prompt, *target]])
    inputs: dict[str, Any] = {"input_ids": ids}
    if pictures:
        pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        inputs |= {
            "pixel_values": torch.cat(pictures),
            "image_grid_thw": torch.tensor(grids),
            "mm_token_type_ids": (ids == pad).int(),
        }
    logits = bench.checkpoint.model(**inputs, use_cache=False).logits[0]
    wide = torch.promote_types(logits.dtype, torch.float32)
    scores = logits.to(wide).log_softmax(-1)
    return sum(
        (scores[len(prompt) + i - 1, token] for i, token in enumerate(target)), start=torch.zeros((), dtype=wide)
    )


def all_log_probs(bench: Bench, trajectory: Trajectory, pairs: list[Pair]) -> dict[tuple[str, int, int], torch.Tensor]:
    """By identity, for every candidate that some pair names."""
    wanted = {(p.trajectory, p.step, c) for p in pairs for c in (p.chosen, p.rejected)}
    return {key: log_prob(bench, trajectory, *key[1:]) for key in sorted(wanted)}


def _prompt(bench: Bench, messages: list[Message]) -> tuple[list[torch.Tensor], list[list[int]], list[int]]:
    processor, tokenizer = bench.checkpoint.image_processor, bench.checkpoint.tokenizer
    turns, pictures, grids = [], [], []
    for message in messages:
        content = []
        for part in message.parts:
            if isinstance(part, Text):
                content.append({"type": "text", "text": part.text})
            if isinstance(part, Image):
                opened = PIL.Image.open(io.BytesIO(bench.blobs[part.file.sha256])).convert("RGB")
                out = processor(images=[opened], return_tensors="pt")
                pictures.append(out["pixel_values"])
                grids.append(out["image_grid_thw"][0].tolist())
                content.append({"type": "image"})
        turns.append({"role": message.role, "content": content})
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    for t, h, w in grids:
        text = text.replace("<|image_pad|>", "<|placeholder|>" * (t * h * w // 4), 1)
    ids = tokenizer.encode(text.replace("<|placeholder|>", "<|image_pad|>"), add_special_tokens=False)
    return pictures, grids, list(ids)
