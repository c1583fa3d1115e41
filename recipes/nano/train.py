"""Supervised warm start of the nano controller: next-token loss on the actions of recorded trajectories."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import Qwen2VLForConditionalGeneration

from sport.dialect import Dialect
from sport.render import Renderer
from sport.types import File, Trajectory

log = logging.getLogger("nano")
IGNORED = -100


@dataclass(frozen=True)
class Example:
    """One trajectory as token ids, labels (IGNORED outside actions), and its pictures."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    pictures: tuple[File, ...]


@dataclass(frozen=True)
class Settings:
    """The optimiser's settings; ``steps`` batches of ``batch`` trajectories."""

    steps: int
    batch: int = 16
    rate: float = 1.5e-3
    warmup: int = 100
    save_every_s: float = 300.0
    seed: int = 0
    longest: int = 640
    exercises: int = 1500


def example(trajectory: Trajectory, dialect: Dialect, renderer: Renderer) -> Example:
    """Prompt, action, observation, action, ... with labels on the actions."""
    opening = renderer.prompt(dialect.opening(trajectory.task))
    ids, labels, pictures = list(opening.ids), [IGNORED] * len(opening.ids), list(opening.images)
    for step in trajectory.steps:
        if step.index:
            observation = trajectory.steps[step.index - 1].trunk.observation
            assert observation is not None
            between = renderer.between(dialect.observation(observation))
            ids += between.ids
            labels += [IGNORED] * len(between.ids)
            pictures += between.images
        action = renderer.completion(step.trunk.action.raw, True)
        ids += action
        labels += action
    return Example(tuple(ids), tuple(labels), tuple(pictures))


def collate(examples: Sequence[Example], renderer: Renderer, pad: int) -> dict[str, torch.Tensor]:
    """Right-padded ids (B, S), labels (B, S), mask (B, S), and all pictures' patches and grids in order."""
    longest = max(len(e.ids) for e in examples)
    fill = lambda row, value: list(row) + [value] * (longest - len(row))  # noqa: E731 - a name for one expression
    ids = torch.tensor([fill(e.ids, pad) for e in examples])
    mask = torch.tensor([fill([1] * len(e.ids), 0) for e in examples])
    labels = torch.tensor([fill(e.labels, IGNORED) for e in examples])
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    pictures = [renderer.picture(f) for e in examples for f in e.pictures]
    if pictures:
        batch["pixel_values"] = torch.cat([torch.from_numpy(p.pixels) for p in pictures])
        batch["image_grid_thw"] = torch.tensor([p.grid for p in pictures])
        batch["mm_token_type_ids"] = (ids == renderer.image_id).int()
    return batch


def train(
    model: Qwen2VLForConditionalGeneration,
    examples: Sequence[Example],
    sights: Sequence[tuple[File, str]],
    renderer: Renderer,
    settings: Settings,
    state: Path,
) -> None:
    """Train in place; goes on from ``state`` when a run was cut short. ``sights`` are pictures and what they are."""
    examples = [e for e in examples if len(e.ids) <= settings.longest]
    named = [(1 / 3 if "visual" in name else 1.0, p) for name, p in model.named_parameters()]
    optimiser = torch.optim.AdamW(
        [
            {
                "params": [p for s, p in named if s == share and (p.dim() > 1) == matrix],
                "weight_decay": 0.05 * matrix,
                "share": share,
            }
            for share in (1.0, 1 / 3)
            for matrix in (True, False)
        ],
        lr=settings.rate,
        betas=(0.9, 0.98),
    )
    start = _restore(state, model, optimiser)
    naming, draw = Sights(sights, renderer, settings.seed + start), torch.Generator().manual_seed(settings.seed + start)
    if not start:
        practise(model, naming, renderer, settings)
    pad = int(renderer.tokenizer.pad_token_id)
    saved, seen, right, began = time.monotonic(), 0, 0, time.monotonic()
    model.train()
    for step in range(start, settings.steps):
        picked = _pick(examples, settings, step)
        batch = collate(picked, renderer, pad)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * group["share"] * _shape(step, settings)  # the tower learns more slowly
        labels = batch.pop("labels")
        logits = model(**batch).logits[:, :-1].float()
        wanted = labels[:, 1:]
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), wanted.reshape(-1), ignore_index=IGNORED
        )
        beside = naming.loss(model) if step % 4 == 0 else copying(model, renderer, draw) if step % 4 == 2 else 0.0
        optimiser.zero_grad()
        (loss + beside).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        seen += len(picked)
        hit = (logits.argmax(-1) == wanted) | (wanted == IGNORED)
        right += int(hit.all(-1).sum())
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - began) / (step + 1 - start)
            sight = naming.loss(model).item()
            figures = (step + 1, loss.item(), right / seen, sight, pace)
            log.info("step %d loss %.4f whole %.3f sight %.3f %.2f s/step", *figures)
            seen = right = 0
        if time.monotonic() - saved > settings.save_every_s:
            _save(state, step + 1, model, optimiser)
            saved = time.monotonic()
    model.eval()


class Sights:
    """Batches whose only target is the family that a picture is of."""

    def __init__(self, pictures: Sequence[tuple[File, str]], renderer: Renderer, seed: int) -> None:
        marks = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
        self._marks = renderer.tokenizer.convert_tokens_to_ids(marks)
        self._first = max(renderer.tokenizer.all_special_ids) + 1  # the first ordinary tokens stand for the families
        self._kinds = sorted({kind for _, kind in pictures})
        self._pictures, self._renderer = pictures, renderer
        self._draw = torch.Generator().manual_seed(seed)

    def loss(self, model: Qwen2VLForConditionalGeneration, number: int = 24) -> torch.Tensor:
        """Mean cross-entropy of a fresh batch, a scalar."""
        renderer, (start, end, opened, closed) = self._renderer, self._marks
        chosen = torch.randint(len(self._pictures), (number,), generator=self._draw).tolist()
        picked = [self._pictures[i] for i in chosen]
        pictures = [renderer.picture(file) for file, _ in picked]
        rows = [
            [start, opened, *[renderer.image_id] * renderer.vectors(file), closed, end, start, self._name(kind)]
            for file, kind in picked
        ]
        ids = torch.tensor(rows)
        labels = torch.full_like(ids, IGNORED)
        labels[:, -1] = ids[:, -1]
        loss: torch.Tensor = model(
            input_ids=ids,
            labels=labels,
            pixel_values=torch.cat([torch.from_numpy(p.pixels) for p in pictures]),
            image_grid_thw=torch.tensor([p.grid for p in pictures]),
            mm_token_type_ids=(ids == renderer.image_id).int(),
        ).loss
        return loss

    def _name(self, kind: str) -> int:
        return self._first + self._kinds.index(kind)


def copying(
    model: Qwen2VLForConditionalGeneration, renderer: Renderer, draw: torch.Generator, number: int = 32
) -> torch.Tensor:
    """Mean cross-entropy, a scalar, of repeating a turn of random tokens."""
    tokenizer = renderer.tokenizer
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    length = int(torch.randint(6, 28, (1,), generator=draw))
    words = torch.randint(max(tokenizer.all_special_ids) + 1, len(tokenizer), (number, length), generator=draw)
    opened, closed = torch.full((number, 1), start), torch.full((number, 1), end)
    ids = torch.cat([opened, words, closed, opened, words, closed], dim=1)
    labels = ids.clone()
    labels[:, : length + 3] = IGNORED
    loss: torch.Tensor = model(input_ids=ids, labels=labels).loss
    return loss


def practise(model: Qwen2VLForConditionalGeneration, sights: Sights, renderer: Renderer, settings: Settings) -> None:
    """Two exercises before the first real batch: copying random tokens, then naming pictures, with copying beside it.

    Everything that the controller does later rests on copying names and numbers from far back. From real trajectories
    alone this came only after some 1,500 batches; these exercises, ten times shorter, bring it in a minute. And
    without the naming the vision tower collapses: the first trajectories can be continued without looking, and the
    vectors of all pictures become the same (the weights of commit bf49ccc were blind for this reason). The order and
    the rates matter (LOG.md, 2026-11-21): a model that names first does not learn to copy, and naming needs a rate at
    which copying survives.
    """
    draw = torch.Generator().manual_seed(settings.seed)
    first = settings.exercises * 5 // 6
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(settings.exercises):
        if step == first:
            optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
        rate, since = (2e-3 * (1 - step / first), step) if step < first else (5e-4, step - first)
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (since + 1) / 50)
        copied = copying(model, renderer, draw) if step < first or step % 2 else None
        named = sights.loss(model) if step >= first else None
        loss = sum(part for part in (copied, named) if part is not None)
        assert isinstance(loss, torch.Tensor)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 60 == 0:
            log.info("exercise %d loss %.3f", step + 1, loss.item())


def _pick(examples: Sequence[Example], settings: Settings, step: int) -> list[Example]:
    """A batch as a function of (seed, step): neighbours in length, so that little is padding."""
    draw = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    pool = torch.randint(len(examples), (settings.batch * 8,), generator=draw).tolist()
    pool.sort(key=lambda i: len(examples[i].ids))
    at = int(torch.randint(8, (1,), generator=draw)) * settings.batch
    return [examples[i] for i in pool[at : at + settings.batch]]


def _shape(step: int, settings: Settings) -> float:
    """Warm-up, then a cosine down to a twentieth."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    share = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share))


def _save(path: Path, step: int, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
    part = path.with_suffix(".part")
    torch.save({"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict()}, part)
    part.rename(path)


def _restore(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    log.info("going on from step %d", state["step"])
    return int(state["step"])
