"""How alike two sentences are, by an embedding model on this machine: what GTA's subjective answers are scored with."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sport.errors import CheckpointError, ConfigError

Embed = Callable[[str], "np.ndarray[tuple[int], np.dtype[np.float32]]"]


class Sentences:
    """``similar(a, b)``: the cosine of two texts, in [-1, 1], by a directory that sentence-transformers saved.

    GTA's official figures are made with all-mpnet-base-v2; another model gives other figures, and nothing here can
    tell. Loaded at the first use, on the CPU; every text is embedded once. Nothing is downloaded.

    Raises:
        CheckpointError: no such directory, or none of that kind.
        ConfigError: the library is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "modules.json").is_file():
            raise CheckpointError(
                f"{folder}: no sentence-transformers model (it holds no modules.json); download "
                "sentence-transformers/all-mpnet-base-v2 and give its directory as bench.similarity, or leave it out"
            )
        if find_spec("sentence_transformers") is None:
            raise ConfigError("bench.similarity: needs sentence-transformers; pip install 'sport[bench]'")
        self._folder = folder
        self._embed: Embed | None = None
        self._known: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]] = {}

    def __call__(self, left: str, right: str) -> float:
        """The cosine. Raises CheckpointError when the weights cannot be loaded."""
        return float(self._vector(left) @ self._vector(right))

    def _vector(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        if self._embed is None:
            self._embed = _loaded(self._folder)
        if text not in self._known:
            self._known[text] = self._embed(text)
        return self._known[text]


def _loaded(folder: Path) -> Embed:
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded by sentence-transformers ({error})") from error

    def embed(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        found = model.encode([text], normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found[0], dtype=np.float32)

    return embed
