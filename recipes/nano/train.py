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
    exercises: int = 600
    look_every: int = 4  # batches with a batch of sights beside them, lest what `see` taught be lost


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
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        lr=settings.rate,
        betas=(0.9, 0.98),
    )
    start = _restore(state, model, optimiser)
    naming = Sights(sights, renderer, settings.seed + start)
    if not start:
        see(model, naming, settings)
        exercise(model, renderer, settings)
    pad = int(renderer.tokenizer.pad_token_id)
    saved, seen, right, began = time.monotonic(), 0, 0, time.monotonic()
    model.train()
    for step in range(start, settings.steps):
        picked = _pick(examples, settings, step)
        batch = collate(picked, renderer, pad)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * _shape(step, settings)
        labels = batch.pop("labels")
        logits = model(**batch).logits[:, :-1].float()
        wanted = labels[:, 1:]
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), wanted.reshape(-1), ignore_index=IGNORED
        )
        shown = naming.loss(model) if step % settings.look_every == 0 else loss.new_zeros(())
        optimiser.zero_grad()
        (loss + shown).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        seen += len(picked)
        hit = (logits.argmax(-1) == wanted) | (wanted == IGNORED)
        right += int(hit.all(-1).sum())
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - began) / (step + 1 - start)
            sight = float(naming.loss(model).detach())
            figures = (step + 1, float(loss), right / seen, sight, pace)
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


def see(model: Qwen2VLForConditionalGeneration, sights: Sights, settings: Settings) -> None:
    """Naming what a picture is, before anything else.

    Without it the vision tower collapses: the first trajectories can be continued without looking, and the vectors of
    all pictures become the same (the weights of commit bf49ccc were blind for this reason).
    """
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(settings.exercises):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 50)
        loss = sights.loss(model)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 100 == 0:
            log.info("sight %d loss %.3f", step + 1, loss.item())


def exercise(model: Qwen2VLForConditionalGeneration, renderer: Renderer, settings: Settings) -> None:
    """Copying of random tokens from the user's turn to the model's own, before the first real batch.

    Everything that the controller does later rests on copying names and numbers from far back. From real trajectories
    alone this came only after some 1,500 batches; these exercises, ten times shorter, bring it in a minute.
    """
    tokenizer = renderer.tokenizer
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    first = max(tokenizer.all_special_ids) + 1
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    draw = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.exercises):
        length = int(torch.randint(6, 28, (1,), generator=draw))
        words = torch.randint(first, len(tokenizer), (32, length), generator=draw)
        opened, closed = torch.full((32, 1), start), torch.full((32, 1), end)
        ids = torch.cat([opened, words, closed, opened, words, closed], dim=1)
        labels = ids.clone()
        labels[:, : length + 3] = IGNORED
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50)
        loss = model(input_ids=ids, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 100 == 0:
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
