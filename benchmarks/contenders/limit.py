"""How near the tree comes to what the machine can do: its operations against those of plain matrix products.

Counted are the products of the language model: its linear layers once for the reference, once forwards, once
backwards (the weights are frozen: only the way to the inputs), its attention once, once and twice, and the head where
something is predicted. Not counted are the vision tower, LoRA's own products, norms and softmax: the share is a lower
bound.
"""

from __future__ import annotations

from typing import Any

import torch

from contenders.measure import clock
from contenders.problem import Problem
from sport.tune.row import Row
from sport.tune.table import Table


def operations(problem: Problem, rows: list[Row]) -> float:
    """Of one epoch over ``rows`` and its reference pass; an addition and a multiplication are two."""
    text = problem.model.config.get_text_config()
    linear = [m for m in problem.model.get_decoder().modules() if isinstance(m, torch.nn.Linear)]
    weights = sum(layer.weight.numel() for layer in linear)
    found = 0.0
    for row in rows:
        places = len({place for completion in row.completions for place in completion.predicting})
        head = problem.model.get_output_embeddings().weight.numel()
        found += 3 * 2 * (weights * len(row) + head * places)
        found += 4 * 2 * 2 * text.hidden_size * text.num_hidden_layers * looks(Table.of([row]))
    return found


def looks(table: Table) -> int:
    """How many (token, token it sees) there are."""
    own = sum((end - begin) * (end - begin + 1) // 2 for begin, end in table.chains)
    return own + sum((end - begin) * (last - first) for begin, end, first, last in table.groups)


def limit(device: Any, dtype: torch.dtype) -> float:
    """Operations per second of the best of five large matrix products."""
    size = 8192 if torch.device(device).type == "cuda" else 1024
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        _wait(device)
        began = clock()
        one @ other
        _wait(device)
        best = min(best, clock() - began)
    return 2 * size**3 / best


def _wait(device: Any) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
