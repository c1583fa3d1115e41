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
    tokenizer, model = bench.checkpoint.tokenizer, bench.checkpoint.model
    place = next(i for i, s in enumerate(trajectory.steps) if s.index == step)
    history = bench.dialect.history(trajectory.task, trajectory.steps[:place])
    action = next(c.action for c in trajectory.steps[place].candidates if c.index == candidate)
    prompt, inputs = _prompt(bench, history)
    target = tokenizer.encode(action.raw, add_special_tokens=False)
    if action.finished:
        target.append(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    ids = torch.tensor([[*prompt, *target]])
    if "image_grid_thw" in inputs:
        inputs["mm_token_type_ids"] = (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    logits = model(input_ids=ids, **inputs, use_cache=False).logits[0]
    wide = torch.promote_types(logits.dtype, torch.float32)
    scores = logits.to(wide).log_softmax(-1)
    return sum(
        (scores[len(prompt) + i - 1, token] for i, token in enumerate(target)), start=torch.zeros((), dtype=wide)
    )


def all_log_probs(bench: Bench, trajectory: Trajectory, pairs: list[Pair]) -> dict[tuple[str, int, int], torch.Tensor]:
    """By identity, for every candidate that some pair names."""
    wanted = {(p.trajectory, p.step, c) for p in pairs for c in (p.chosen, p.rejected)}
    return {key: log_prob(bench, trajectory, *key[1:]) for key in sorted(wanted)}


def _prompt(bench: Bench, messages: list[Message]) -> tuple[list[int], dict[str, Any]]:
    """Token ids of a history, and what the model is given of its pictures."""
    processor, tokenizer = bench.checkpoint.image_processor, bench.checkpoint.tokenizer
    pictures = [
        PIL.Image.open(io.BytesIO(bench.blobs[part.file.sha256])).convert("RGB")
        for message in messages
        for part in message.parts
        if isinstance(part, Image)
    ]
    turns = [{"role": m.role, "content": _content(m, processor is not None)} for m in messages]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    if not pictures:
        return list(tokenizer.encode(text, add_special_tokens=False)), {}
    dtype = bench.checkpoint.model.dtype
    if hasattr(processor, "tokenizer"):  # the model's whole processor does it all
        out = processor(text=[text], images=pictures, return_tensors="pt", add_special_tokens=False)
        inputs = {k: v for k, v in out.items() if k not in ("input_ids", "attention_mask")}
        return out["input_ids"][0].tolist(), {**inputs, "pixel_values": inputs["pixel_values"].to(dtype)}
    out = processor(images=pictures, return_tensors="pt")
    for grid in out["image_grid_thw"].tolist():
        text = text.replace("<|image_pad|>", "<|placeholder|>" * (grid[0] * grid[1] * grid[2] // 4), 1)
    ids = tokenizer.encode(text.replace("<|placeholder|>", "<|image_pad|>"), add_special_tokens=False)
    return list(ids), {"pixel_values": out["pixel_values"], "image_grid_thw": out["image_grid_thw"]}


def _content(message: Message, listed: bool) -> str | list[dict[str, str]]:
    if not listed:
        return message.text
    return [
        {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"} for part in message.parts
    ]
