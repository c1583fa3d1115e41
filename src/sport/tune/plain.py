"""The fallback for models whose rows nobody has proven: one candidate, one sequence, the model called as documented.

Right for whatever transformers loads as a causal or image-text model, and slow: every candidate encodes its whole
history and its pictures again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sport.render import Picture
from sport.tune.row import Completion, Row
from sport.types import File

PER_TOKEN = ("token_type_ids", "mm_token_type_ids")


class Plain:
    """Reads rows by taking their branches apart again."""

    def __init__(self, model: Any, picture: Callable[[File], Picture]) -> None:
        self._model, self._picture = model, picture
        self._takes = inspect.signature(model.forward).parameters

    def log_probs(self, rows: Sequence[Row]) -> Tensor:
        """Give log pi(completion | its path), (C,), over the completions of all rows."""
        scores = [self._score(row, completion) for row in rows for completion in row.completions]
        return torch.stack(scores)

    def _score(self, row: Row, completion: Completion) -> Tensor:
        device, wide = self._model.device, torch.promote_types(self._model.dtype, torch.float32)
        if not completion.targets:
            return torch.zeros((), dtype=wide, device=device)
        first = completion.predicting[0] + 1
        ids = torch.tensor([[*row.ids[:first].tolist(), *completion.targets]], device=device)
        inputs: dict[str, Any] = {"input_ids": ids, **self._pictures(row, first, ids.shape[1])}
        count = len(completion.targets)
        if "logits_to_keep" in self._takes:  # the last target predicts nothing, but counting from the end includes it
            inputs["logits_to_keep"] = count + 1
        if "use_cache" in self._takes:
            inputs["use_cache"] = False
        logits = self._model(**inputs).logits[0, -count - 1 : -1].to(wide)
        targets = torch.tensor(completion.targets, device=device)
        return torch.as_tensor(logits.log_softmax(dim=-1).gather(1, targets[:, None]).sum())

    def _pictures(self, row: Row, first: int, length: int) -> dict[str, Tensor]:
        """Inputs for the pictures among the row's first tokens."""
        seen, count = [], 0
        for file in row.images:
            picture = self._picture(file)
            vectors = [i for i in picture.tokens if i == self._image_id]
            count += len(vectors)
            if sum(place < first for place in row.image_places) >= count:
                seen.append(picture)
        if not seen:
            return {}
        found = {"pixel_values": np.concatenate([p.pixels for p in seen])}
        for name in seen[0].more:
            found[name] = np.concatenate([p.more[name] for p in seen])
        if seen[0].grid is not None:
            found["image_grid_thw"] = np.array([p.grid for p in seen])
        for name in PER_TOKEN:
            if name in self._takes:
                found[name] = np.zeros((1, length), dtype=np.int64)
                found[name][0, [place for place in row.image_places if place < first]] = 1
        tensors = {name: torch.from_numpy(value).to(self._model.device) for name, value in found.items()}
        return {name: t.to(self._model.dtype) if t.is_floating_point() else t for name, t in tensors.items()}

    @property
    def _image_id(self) -> int:
        config = self._model.config
        found = getattr(config, "image_token_id", None)
        return int(getattr(config, "image_token_index", -1) if found is None else found)
