"""What is too much like what: items of benchmarks that no query may come close to, and queries that are there already.

Both compare words in order, so a query that says the same in other words passes; neither is a proof of novelty.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sport.errors import ConfigError, InputError

if TYPE_CHECKING:
    from datasketch import MinHash

GRAM = 5  # words; long enough that "how many of the" alone is no match
SHINGLE = 3
_PERMUTATIONS = 128
_ASKS = frozenset(("query", "question", "prompt", "instruction", "problem"))

Gram = tuple[str, ...]


def grams(text: str, length: int) -> frozenset[Gram]:
    """All runs of ``length`` words, without case and punctuation; a shorter text is one run.

    >>> sorted(grams("How many? Three!", 2))
    [('how', 'many'), ('many', 'three')]
    """
    words = tuple(re.findall(r"\w+", text.lower()))
    if len(words) < length:
        return frozenset({words} if words else ())
    return frozenset(words[i : i + length] for i in range(len(words) - length + 1))


@dataclass(frozen=True)
class Close:
    """A query's nearest item: which file it is of, its number there, and the larger share of word runs in common."""

    source: str
    item: int
    share: float


class Excluded:
    """Items of benchmarks, by their runs of five words.

    Args:
        items: (file, texts) of each benchmark.
        overlap: share of an item's runs in the query, or of the query's in an item, from which on they are close.
    """

    def __init__(self, items: Iterable[tuple[str, Sequence[str]]], overlap: float) -> None:
        self._overlap = overlap
        self._sizes: list[tuple[str, int, int]] = []
        self._having: dict[Gram, list[int]] = {}
        for source, texts in items:
            for number, text in enumerate(texts):
                own = grams(text, GRAM)
                for gram in own:
                    self._having.setdefault(gram, []).append(len(self._sizes))
                self._sizes.append((source, number, len(own)))

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._sizes)

    def close(self, query: str) -> Close | None:
        """The item that the query is closest to, None where it is close to none."""
        own = grams(query, GRAM)
        shared = Counter(item for gram in own for item in self._having.get(gram, ()))
        best: Close | None = None
        for item, number in shared.items():
            source, place, size = self._sizes[item]
            share = number / min(size, len(own))
            if share >= self._overlap and (best is None or share > best.share):
                best = Close(source, place, share)
        return best


class Known:
    """Queries that are there already: MinHash (datasketch) finds candidates, the true Jaccard index decides.

    Raises:
        ConfigError: the library is not installed.
    """

    def __init__(self, threshold: float) -> None:
        try:
            from datasketch import MinHashLSH
        except ImportError as error:
            raise ConfigError('synth.kind = "llm" needs datasketch: pip install "sport[synth]"') from error
        self._threshold = threshold
        self._index = MinHashLSH(threshold=max(0.05, threshold - 0.1), num_perm=_PERMUTATIONS)
        self._texts: dict[str, frozenset[Gram]] = {}

    def add(self, text: str) -> None:
        """One more; the same twice counts once."""
        if text not in self._texts:
            self._texts[text] = grams(text, SHINGLE)
            self._index.insert(text, _sketch(self._texts[text]))

    def like(self, text: str) -> tuple[str, float] | None:
        """The most similar text that is similar enough, and its Jaccard index over runs of three words."""
        own = grams(text, SHINGLE)
        scored = [(jaccard(own, self._texts[other]), other) for other in self._index.query(_sketch(own))]
        score, other = max(scored, default=(0.0, ""))
        return (other, score) if scored and score >= self._threshold else None


def jaccard(one: frozenset[Gram], other: frozenset[Gram]) -> float:
    """Shared runs by all runs; 0 of nothing."""
    return len(one & other) / len(one | other) if one or other else 0.0


def _sketch(runs: frozenset[Gram]) -> MinHash:
    from datasketch import MinHash

    sketch = MinHash(num_perm=_PERMUTATIONS)
    sketch.update_batch([" ".join(run).encode() for run in sorted(runs)])
    return sketch


# ------------------------------------------------------------------------------------- benchmarks' files


def read(paths: Iterable[str]) -> list[tuple[str, list[str]]]:
    """(path, questions) of each benchmark: JSON, JSONL, parquet, or text with an item a line; or a folder of these.

    In JSON, questions are what stands under "query", "question", "prompt", "instruction" or "problem", and what a
    "user" says in a dialogue; where there is nothing of the kind, every text of four words and more.

    Raises:
        InputError: a path that is not there or cannot be read, or holds no question.
    """
    found = []
    for path in paths:
        texts = list(dict.fromkeys(text for file in _files(path) for text in _questions(file)))
        if not texts:
            raise InputError(f"synth.exclude: {path}: no question found in it")
        found.append((path, texts))
    return found


def _files(path: str) -> list[Path]:
    place = Path(path)
    if place.is_dir():
        return sorted(file for file in place.rglob("*") if file.suffix in (".json", ".jsonl", ".parquet"))
    return [place]


def _questions(file: Path) -> list[str]:
    try:
        if file.suffix == ".parquet":
            import pandas

            data: Any = pandas.read_parquet(file).to_dict("records")
        else:
            text = file.read_text(encoding="utf-8")
            if file.suffix not in (".json", ".jsonl"):
                return [line for line in text.splitlines() if line.strip()]
            data = json.loads(text) if file.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"synth.exclude: {file}: cannot be read ({error})") from error
    return list(_asked(data)) or [text for text in _texts(data) if len(text.split()) >= 4]


def _asked(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        if data.get("role") in ("user", "human") and isinstance(data.get("content"), str):
            yield data["content"]
        for name, value in data.items():
            if isinstance(value, str):
                if str(name).lower() in _ASKS:
                    yield value
            else:
                yield from _asked(value)
    elif isinstance(data, list):
        for value in data:
            yield from _asked(value)


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for value in data.values() if isinstance(data, dict) else data:
            yield from _texts(value)
