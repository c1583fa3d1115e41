"""A model of this machine as an engine: one prefill for the n samples of a conversation, many conversations a batch.

The rows of a batch are its candidates. Every conversation is encoded once, its key-value cache is handed to its n rows,
and all rows are then decoded token by token. Beyond that it does nothing a serving engine does: no paging, no sharing
between batches, no joining of a running batch. Large models on a GPU are better served by vLLM.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sport.adapters import Detach, attach, merge
from sport.checkpoint import Checkpoint
from sport.errors import CheckpointError, ContentError, InputError
from sport.llm.base import LLM
from sport.llm.lanes import Batcher, Waiting
from sport.render import Renderer, Segment
from sport.seeds import derive
from sport.types import Message, ReadFile, Sample, Sampling, Usage


@dataclass(frozen=True)
class Ask:
    """A rendered conversation, how many texts should continue it, and how to draw them."""

    prompt: Segment
    n: int
    sampling: Sampling


class LocalLLM(LLM):
    """Samples from a checkpoint in this process; the event loop lives on meanwhile.

    A batch holds at most ``max_rows`` candidates; longer queues are split in their order, and a single conversation
    with a larger n runs alone. Prompt tokens are charged to candidate 0: they are encoded once. A sample's ``logprob``
    is the sum over its tokens, the end of turn included, at temperature 1 and without top-k and top-p; ``finished`` is
    False at the token limit and at the end of the model's context.

    Equal seeds give equal texts in any batch, up to rounding: a batch of another shape may round its sums differently,
    and that may tip a draw that lies on an edge. Equal batches give equal texts.

    An adapter is merged into float32 and float64 weights and attached beside 16-bit ones.
    """

    def __init__(self, checkpoint: Checkpoint, read: ReadFile, *, max_rows: int = 128) -> None:
        self.renderer = Renderer(checkpoint.tokenizer, checkpoint.image_processor, read)
        self._model = checkpoint.model
        self._name = self._source = checkpoint.path.name
        self._decoder = Decoder(checkpoint.model, self.renderer)
        self._max_rows = max_rows
        self._batcher: Batcher[Ask, list[Sample]] = Batcher(self._run)
        self._lock = asyncio.Lock()
        self._detach: Detach | None = None

    async def sample(self, messages: Sequence[Message], n: int, sampling: Sampling) -> list[Sample]:
        """See :meth:`LLM.sample`.

        Raises:
            ContentError: a picture that cannot be looked at, or no room for a single token in the model's context.
            ValueError: fewer ``temperatures`` than candidates.
        """
        if sampling.temperatures is not None and len(sampling.temperatures) < n:
            raise ValueError(f"{len(sampling.temperatures)} temperatures for n={n}")
        try:
            prompt = self.renderer.prompt(messages)
        except InputError as error:
            raise ContentError(f"the conversation cannot be rendered: {error}") from error
        if len(prompt.ids) >= self._decoder.context:
            raise ContentError(f"the conversation has {len(prompt.ids)} tokens, the context {self._decoder.context}")
        return await self._batcher.ask(sampling.order, Ask(prompt, n, sampling))

    def lane(self) -> AbstractAsyncContextManager[None]:
        """See :meth:`LLM.lane`."""
        return self._batcher.lane()

    async def use(self, adapter: Path | None) -> None:
        """See :meth:`LLM.use`. Waits for the batch that is running. After an error the plain model answers."""
        async with self._lock:
            await asyncio.to_thread(self._wear, adapter)

    def _wear(self, adapter: Path | None) -> None:
        if self._detach is not None:
            self._detach()
        self._detach, self._source = None, self._name
        if adapter is not None:
            exact = self._model.dtype in (torch.float32, torch.float64)
            self._detach = (merge if exact else attach)(self._model, adapter)
            self._source = f"{self._name}+{adapter.name}"

    async def _run(self, batch: list[Waiting[Ask, list[Sample]]]) -> None:
        async with self._lock:
            for part in _split(batch, self._max_rows):
                answers = [waiting.answer for waiting in part]
                wanted = _wanted(answers)
                samples = await asyncio.to_thread(
                    self._decoder.generate, [waiting.request for waiting in part], self._source, wanted
                )
                for answer, some in zip(answers, samples, strict=True):
                    if not answer.done():
                        answer.set_result(some)


def _wanted(answers: list[asyncio.Future[list[Sample]]]) -> Callable[[], bool]:
    return lambda: not all(answer.done() for answer in answers)


def _split(batch: list[Waiting[Ask, list[Sample]]], most: int) -> list[list[Waiting[Ask, list[Sample]]]]:
    parts: list[list[Waiting[Ask, list[Sample]]]] = []
    rows = most
    for waiting in batch:
        if rows + waiting.request.n > most:
            parts.append([])
            rows = 0
        parts[-1].append(waiting)
        rows += waiting.request.n
    return parts


# ----------------------------------------------------------------------------------------------- drawing


def draw(logits: Tensor, temperature: Tensor, top_k: Tensor, top_p: Tensor, uniform: Tensor) -> Tensor:
    """One token id per row, by inverse CDF in the order of the vocabulary. Temperature 0 takes the likeliest.

    Args:
        logits: (R, V), float32.
        temperature: (R,). Divides the logits before anything else.
        top_k: (R,). Only the k likeliest tokens; V is off.
        top_p: (R,). Of these the likeliest that together reach this probability; 1 is off.
        uniform: (R,), float64, numbers in [0, 1).

    Returns:
        (R,) ids.
    """
    best = logits.argmax(-1)
    hot = temperature > 0
    if not hot.any():
        return best
    scaled = logits / temperature.where(hot, 1.0)[:, None]
    if (top_k < logits.shape[-1]).any() or (top_p < 1).any():
        scaled = scaled.masked_fill(scaled < _floor(scaled, top_k, top_p), -torch.inf)
    cdf = scaled.softmax(-1).double().cumsum(-1)
    total = cdf[:, -1:]
    index = torch.searchsorted(cdf, uniform[:, None] * total, right=True)
    last = (cdf < total).sum(-1, keepdim=True)  # the last token with any probability, against rounding at the end
    return torch.minimum(index, last)[:, 0].where(hot, best)


def _floor(scaled: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """The smallest logit of each row that may still be drawn, (R, 1)."""
    ranked = scaled.sort(-1, descending=True).values
    within = torch.arange(scaled.shape[-1], device=scaled.device) < top_k[:, None]
    mass = ranked.masked_fill(~within, -torch.inf).softmax(-1)
    before = mass.cumsum(-1) - mass
    kept = within & ((before < top_p[:, None]) | (top_p[:, None] >= 1))
    return ranked.gather(-1, kept.sum(-1, keepdim=True) - 1)


@dataclass
class Rows:
    """The candidates of a batch that are still being written; all tensors have R rows."""

    place: Tensor  # where the candidate stands in the whole batch
    position: Tensor  # M-RoPE position of the next token, equal in its three rows
    limit: Tensor  # most new tokens
    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    uniform: Tensor  # (R, T) float64: the numbers each candidate draws with, from its own stream
    mask: Tensor  # (R, S + T) of ones but for the padding on the left
    alive: Tensor

    def select(self, keep: Tensor) -> Rows:
        """Only the rows with these indices."""
        return Rows(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


def _temperature(sampling: Sampling, candidate: int) -> float:
    return sampling.temperature if sampling.temperatures is None else sampling.temperatures[candidate]


# ---------------------------------------------------------------------------------------------- decoding


class Decoder:
    """Prefill once per conversation, then one token of every row per forward pass.

    ``context`` is the most tokens, prompt and answer together, that the model takes.
    """

    def __init__(self, model: Any, renderer: Renderer) -> None:
        self._model = model
        self._renderer = renderer
        self._text = model.config.get_text_config()
        self._sees = hasattr(model.config, "vision_config")
        if self._sees and not hasattr(model.model, "get_rope_index"):
            raise CheckpointError(
                f"{model.config.model_type}: sees, but is not of the Qwen-VL family, so it cannot answer here; "
                "serve it elsewhere (vLLM) and use its endpoint"
            )
        self.context = int(self._text.max_position_embeddings)
        self._ends = torch.tensor(sorted({renderer.end_id, *_eos(model)}), device=model.device)

    @torch.no_grad()
    def generate(self, asks: Sequence[Ask], source: str, wanted: Callable[[], bool]) -> list[list[Sample]]:
        """Samples for every conversation of a batch. Stops early, with what there is, once nobody is waiting."""
        logits, cache, position, mask = self._prefill(asks)
        owner = torch.tensor([i for i, ask in enumerate(asks) for _ in range(ask.n)], device=logits.device)
        rows = self._rows(asks, position[owner], mask[owner], logits.shape[-1])
        cache.batch_select_indices(owner)
        written = _Written(asks, rows.uniform.shape[1], self._renderer)
        logits = logits[owner]
        for t in range(rows.uniform.shape[1]):
            token = draw(logits, rows.temperature, rows.top_k, rows.top_p, rows.uniform[:, t])
            score = logits.log_softmax(-1).gather(-1, token[:, None])[:, 0]
            ended = torch.isin(token, self._ends)
            stopped = written.add(t, rows, token, score, ended)
            rows.alive &= ~ended & ~stopped & (t + 1 < rows.limit)
            left = int(rows.alive.sum())
            if left == 0 or not wanted():
                break
            if 2 * left <= len(token):
                keep = rows.alive.nonzero()[:, 0]
                rows, token = rows.select(keep), token[keep]
                cache.batch_select_indices(keep)
            logits = self._step(token, rows, cache, mask.shape[1] + t + 1)
        return written.samples(source)

    def _prefill(self, asks: Sequence[Ask]) -> tuple[Tensor, Any, Tensor, Tensor]:
        """Logits (B, V) after each prompt, the cache, next positions (B,) and mask (B, S), padded on the left."""
        from transformers import DynamicCache

        device, longest = self._model.device, max(len(ask.prompt.ids) for ask in asks)
        ids = torch.full((len(asks), longest), self._renderer.end_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, ask in enumerate(asks):
            ids[row, longest - len(ask.prompt.ids) :] = torch.tensor(ask.prompt.ids)
            mask[row, longest - len(ask.prompt.ids) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        seen: dict[str, Tensor] = {}
        if self._sees:
            seen, positions = self._look(asks, ids, mask)
        cache = DynamicCache(config=self._text)
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **seen,
        )
        return out.logits[:, -1].float(), cache, positions.reshape(-1, *ids.shape).amax((0, 2)) + 1, mask

    def _look(self, asks: Sequence[Ask], ids: Tensor, mask: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """What the model is given of the batch's pictures, and its M-RoPE positions (3, B, S)."""
        pictures = [self._renderer.picture(file) for ask in asks for file in ask.prompt.images]
        kinds = (ids == self._renderer.image_id) & mask.bool()
        seen: dict[str, Tensor] = {}
        if pictures:
            pixels = torch.from_numpy(np.concatenate([picture.pixels for picture in pictures]))
            seen["pixel_values"] = pixels.to(ids.device)
            seen["image_grid_thw"] = torch.tensor([picture.grid for picture in pictures], device=ids.device)
        positions, _ = self._model.model.get_rope_index(
            ids, mm_token_type_ids=kinds.int(), image_grid_thw=seen.get("image_grid_thw"), attention_mask=mask
        )
        return seen, positions

    def _rows(self, asks: Sequence[Ask], position: Tensor, mask: Tensor, vocabulary: int) -> Rows:
        pairs = [(ask, i) for ask in asks for i in range(ask.n)]
        limits = [min(ask.sampling.max_new_tokens, self.context - len(ask.prompt.ids)) for ask, _ in pairs]
        uniform = np.zeros((len(pairs), max(limits)))
        for row, (ask, i) in enumerate(pairs):
            if _temperature(ask.sampling, i) > 0:
                stream = np.random.default_rng(derive(ask.sampling.seed, i))
                uniform[row, : limits[row]] = stream.random(limits[row])
        device = position.device
        return Rows(
            place=torch.arange(len(pairs), device=device),
            position=position,
            limit=torch.tensor(limits, device=device),
            temperature=torch.tensor([_temperature(ask.sampling, i) for ask, i in pairs], device=device),
            top_k=torch.tensor([ask.sampling.top_k or vocabulary for ask, _ in pairs], device=device),
            top_p=torch.tensor([ask.sampling.top_p for ask, _ in pairs], device=device),
            uniform=torch.from_numpy(uniform).to(device),
            mask=torch.cat([mask, mask.new_ones(len(pairs), max(limits))], 1),
            alive=torch.ones(len(pairs), dtype=torch.bool, device=device),
        )

    def _step(self, token: Tensor, rows: Rows, cache: Any, length: int) -> Tensor:
        """Logits (R, V) after one more token per row; moves the rows' positions on."""
        positions = rows.position[:, None]
        rows.position = rows.position + 1
        out = self._model(
            input_ids=token[:, None],
            attention_mask=rows.mask[:, :length],
            position_ids=positions.expand(3, -1, -1) if self._sees else positions,
            past_key_values=cache,
            use_cache=True,
        )
        logits: Tensor = out.logits[:, -1].float()
        return logits


def _eos(model: Any) -> list[int]:
    ids = model.generation_config.eos_token_id
    return [] if ids is None else [int(i) for i in (ids if isinstance(ids, list) else [ids])]


class _Written:
    """What the candidates of a batch have written so far, in their places."""

    def __init__(self, asks: Sequence[Ask], longest: int, renderer: Renderer) -> None:
        self._asks = asks
        self._renderer = renderer
        self._stops = [ask.sampling.stop for ask in asks for _ in range(ask.n)]
        self._any_stop = any(self._stops)
        self._ids = torch.zeros(len(self._stops), longest, dtype=torch.long)
        self._length = torch.zeros(len(self._stops), dtype=torch.long)
        self._score = torch.zeros(len(self._stops))
        self._ended = torch.zeros(len(self._stops), dtype=torch.bool)

    def add(self, t: int, rows: Rows, token: Tensor, score: Tensor, ended: Tensor) -> Tensor:
        """Note the t-th token of every living row; returns which of them have now written a stop string."""
        alive = rows.alive.nonzero()[:, 0]
        place = rows.place[alive].cpu()
        self._ids[place, t] = token[alive].cpu()
        self._score[place] += score[alive].cpu()
        self._length[place] += 1
        self._ended[place] = ended[alive].cpu()
        stopped = torch.zeros_like(ended)
        if self._any_stop:
            stopped[alive] = torch.tensor([self._stopped(row, t) for row in place.tolist()], device=ended.device)
        return stopped

    def _stopped(self, row: int, t: int) -> bool:
        if not self._stops[row]:
            return False
        reach = max(len(stop.encode()) for stop in self._stops[row])  # no token of words is shorter than a byte
        tail = self._renderer.text(self._ids[row, max(0, t + 1 - 2 * reach) : t + 1].tolist())
        return any(stop in tail for stop in self._stops[row])

    def samples(self, source: str) -> list[list[Sample]]:
        """By conversation and candidate."""
        places = iter(range(len(self._stops)))
        return [[self._sample(next(places), ask, i, source) for i in range(ask.n)] for ask in self._asks]

    def _sample(self, row: int, ask: Ask, candidate: int, source: str) -> Sample:
        length, ended = int(self._length[row]), bool(self._ended[row])
        text = self._renderer.text(self._ids[row, : length - ended].tolist())
        cuts = [text.index(stop) for stop in self._stops[row] if stop in text]
        return Sample(
            text=text[: min(cuts)] if cuts else text,
            finished=ended or bool(cuts),
            logprob=float(self._score[row]),
            usage=Usage(prompt_tokens=0 if candidate else len(ask.prompt.ids), completion_tokens=length),
            source=source,
        )
