"""From a batch of rows to one log-probability per completion."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sport.errors import CheckpointError, TuningError
from sport.render import Picture
from sport.tune import attention
from sport.tune.batch import Batch
from sport.tune.loss import sequence_log_probs
from sport.tune.plain import Plain
from sport.tune.row import Row
from sport.types import File

TEXT_MODELS = ("llama", "qwen2", "qwen3")
VISION_MODELS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
FEATURE_BYTES = 2**28


def reads_rows(model: Any) -> bool:
    """Whether rows of this kind of model were proven equal to its conversations, one candidate at a time."""
    text = model.config.get_text_config()
    sliding = any(kind != "full_attention" for kind in getattr(text, "layer_types", None) or ())
    return model.config.model_type in TEXT_MODELS + VISION_MODELS and not sliding


@contextmanager
def installed(model: Any) -> Iterator[None]:
    """A model that reads rows attends by them inside; any other is left as it is, with a warning."""
    if reads_rows(model):
        with attention.installed(model):
            yield
    else:
        kind = model.config.model_type
        logging.getLogger(__name__).warning("%s: tuned one candidate at a time (much slower than trees)", kind)
        yield


class Scorer(torch.nn.Module):
    """A causal language model, plain or of the Qwen-VL kind, that reads rows. Its vision tower is frozen.

    :func:`installed` must be active around a call. Each picture goes through the tower alone, so its vectors do not
    depend on what else is in a batch, and they are kept (up to 256 MiB) for the next pass over its row. ``picture``
    gives the patches of a file (``Renderer.picture``). Any other model is read one candidate at a time (``plain``).

    ``tuned`` is the model under its adapter, or the model itself; its gradients are what a call is differentiated for.
    """

    def __init__(self, tuned: Any, picture: Callable[[File], Picture]) -> None:
        super().__init__()
        self.tuned = tuned
        self._picture = picture
        self._features: OrderedDict[str, tuple[Tensor, ...]] = OrderedDict()
        self._size = 0

    @property
    def model(self) -> Any:
        """The transformers model, with or without LoRA layers in it."""
        base = getattr(self.tuned, "get_base_model", None)
        return base() if base else self.tuned

    @property
    def sees(self) -> bool:
        """Whether it has a vision tower."""
        return hasattr(self.model.config, "vision_config")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.model.device)

    def forward(self, batch: Batch) -> Tensor:
        """Give log pi(completion | its path), (C,): float32, or float64 for a model in float64."""
        if not reads_rows(self.model):
            return Plain(self.model, self._picture).log_probs(batch.rows)
        hidden = self.hidden(batch)
        head = self.model.get_output_embeddings()
        return sequence_log_probs(
            hidden.flatten(0, 1),
            head,
            batch.predicting,
            batch.targets,
            batch.owner,
            len(batch.identities),
            vocabulary=self.model.config.get_text_config().vocab_size,
        )

    def log_probs(self, batch: Batch) -> Tensor:
        """The same, by the name of what it is."""
        return self.forward(batch)

    def hidden(self, batch: Batch) -> Tensor:
        """Hidden states after the last norm, (1, S, H)."""
        embeddings = self.model.get_input_embeddings()(batch.ids)
        more: dict[str, Any] = {}
        if batch.images:
            seen = [self._vectors(file, embeddings.device) for file in batch.images]
            vectors, *deep = (torch.cat(parts) for parts in zip(*seen, strict=True))
            embeddings = embeddings.detach().index_copy(1, batch.image_places, vectors.to(embeddings.dtype)[None])
            if deep:  # Qwen3-VL adds what its tower saw on the way to the first layers' results
                more["visual_pos_masks"] = torch.zeros_like(batch.ids, dtype=torch.bool)
                more["visual_pos_masks"][0, batch.image_places] = True
                more["deepstack_visual_embeds"] = deep
        # Three rows of positions, always: with four rows, or none, a model that sees derives its own.
        positions = batch.positions if self.sees else batch.positions[0]
        out = self.model.get_decoder()(
            inputs_embeds=embeddings, position_ids=positions, use_cache=False, tree_rows=batch.table, **more
        )
        return torch.as_tensor(out.last_hidden_state)

    def check(self, rows: Sequence[Row]) -> None:
        """Prove before any step that every picture has as many placeholders as the tower will give vectors.

        Raises:
            CheckpointError: a row has a picture, but the model cannot see.
            TuningError: the numbers differ; names the trajectory.
        """
        if not reads_rows(self.model):
            return
        for row in rows:
            if row.images and not self.sees:
                raise CheckpointError(
                    f"{row.trajectory}: has a picture, but a {self.model.config.model_type} cannot see"
                )
            made = sum(self._count(file) for file in row.images)
            if made != len(row.image_places):
                raise TuningError(
                    f"{row.trajectory}: {len(row.image_places)} placeholders for pictures of {made} vectors; "
                    "the image processor does not belong to this model"
                )

    def _count(self, file: File) -> int:
        t, h, w = self._picture(file).grid or (0, 0, 0)
        return int(t * h * w // self.model.config.vision_config.spatial_merge_size**2)

    def _vectors(self, file: File, device: torch.device) -> tuple[Tensor, ...]:
        """A picture's vectors (N, H), and of Qwen3-VL those for its first layers."""
        if file.sha256 not in self._features:
            found = self._picture(file)
            with torch.no_grad():
                pixels = torch.from_numpy(found.pixels).to(device)
                grid = torch.tensor([found.grid], device=device)
                out = self.model.model.get_image_features(pixels, grid)
            deep = getattr(out, "deepstack_features", None) or ()
            vectors = tuple(torch.cat(tuple(parts)) for parts in (out.pooler_output, *deep))
            self._features[file.sha256] = vectors
            self._size += sum(v.nbytes for v in vectors)
        self._features.move_to_end(file.sha256)
        kept = self._features[file.sha256]
        while self._size > FEATURE_BYTES and len(self._features) > 1:
            self._size -= sum(v.nbytes for v in self._features.popitem(last=False)[1])
        return kept
