"""From a batch of rows to one log-probability per completion."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sport.errors import CheckpointError
from sport.render import Picture
from sport.tune.batch import Batch
from sport.tune.loss import sequence_log_probs
from sport.types import File

TEXT_MODELS = ("qwen2",)
VISION_MODELS = ("qwen2_vl",)
FEATURE_BYTES = 2**28


class Scorer:
    """A causal language model, plain or of the Qwen2-VL kind, that reads rows. Its vision tower is frozen.

    ``attention.installed`` must be active around :meth:`log_probs`. Each picture goes through the tower alone, so its
    vectors do not depend on what else is in a batch, and they are kept (up to 256 MiB) for the next pass over its row.
    ``picture`` gives the patches of a file (``Renderer.picture``).

    Raises:
        CheckpointError: a kind of model whose rows were never proven equal to its conversations.
    """

    def __init__(self, model: Any, picture: Callable[[File], Picture]) -> None:
        kind = model.config.model_type
        if kind not in TEXT_MODELS + VISION_MODELS:
            known = ", ".join(TEXT_MODELS + VISION_MODELS)
            raise CheckpointError(f"{kind}: no such model can be tuned here; expected one of {known}")
        self.model = model
        self._picture = picture
        self.sees = kind in VISION_MODELS
        self._features: OrderedDict[str, Tensor] = OrderedDict()
        self._size = 0

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.model.device)

    def log_probs(self, batch: Batch) -> Tensor:
        """Give log pi(completion | its path), (C,): float32, or float64 for a model in float64."""
        hidden = self.hidden(batch)
        head = self.model.get_output_embeddings()
        return sequence_log_probs(
            hidden.flatten(0, 1),
            head,
            batch.predicting,
            batch.targets,
            batch.owner,
            len(batch.identities),
            vocabulary=head.weight.shape[0],
        )

    def hidden(self, batch: Batch) -> Tensor:
        """Hidden states after the last norm, (B, S, H)."""
        embeddings = self.model.get_input_embeddings()(batch.ids)
        if batch.images:
            vectors = torch.cat([self._vectors(file) for file in batch.images]).to(embeddings.dtype)
            flat = embeddings.detach().flatten(0, 1).index_copy(0, batch.image_places, vectors)
            embeddings = flat.view_as(embeddings)
        # Three rows of positions, always: with four rows, or none, the model derives its own.
        positions = batch.positions if self.sees else batch.positions[0]
        out = self.model.model(inputs_embeds=embeddings, position_ids=positions, use_cache=False, tree_rows=batch.table)
        return torch.as_tensor(out.last_hidden_state)

    def _vectors(self, file: File) -> Tensor:
        if not self.sees:
            raise CheckpointError(f"{self.model.config.model_type}: a row has a picture, but the model cannot see")
        if file.sha256 not in self._features:
            found = self._picture(file)
            with torch.no_grad():
                pixels = torch.from_numpy(found.pixels).to(self.device)
                grid = torch.tensor([found.grid], device=self.device)
                vectors = torch.cat(tuple(self.model.model.get_image_features(pixels, grid).pooler_output))
            self._features[file.sha256] = vectors
            self._size += vectors.nbytes
        self._features.move_to_end(file.sha256)
        vectors = self._features[file.sha256]
        while self._size > FEATURE_BYTES and len(self._features) > 1:
            self._size -= self._features.popitem(last=False)[1].nbytes
        return vectors
