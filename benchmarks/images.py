"""The image library at its size: building an index over 100,000 captions, stopping and going on, top 1, the floor.

`.venv/bin/python benchmarks/images.py [--captions N] [--width W] [--json FILE]`. Captions are made from a grammar and
differ in at least one word; vectors are hashed bags of words of BGE-M3's width, so that the figures are those of our
code - building, disk, search, floor - and say nothing of how well any embedding model tells pictures apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path
from random import Random

import numpy as np
from rich.console import Console
from rich.table import Table

from sport.events import Progress
from sport.llm.embed import unit
from sport.progress import watcher
from sport.synth import index
from sport.synth.base import Vectors

ADJECTIVES = "old small red empty wooden broken painted wet shiny crowded quiet narrow striped round tall folded"
NOUNS = """bicycle kettle tram lighthouse violin orchard staircase market bakery harbour tent chessboard tractor piano
fountain greenhouse canoe carousel typewriter beehive windmill sledge lantern quilt anvil telescope ferry hammock
scarecrow accordion"""
VERBS = "stands leans lies waits rests hangs glows drips turns shines"
PLACES = """river wall gate window field bridge roof hedge kitchen courtyard cellar terrace pier forest railway square
chapel workshop attic dune"""


class HashedWords:
    """An embedder without weights. ``stop`` ends it after so many texts, as a server does that goes away."""

    name = "hashed words"

    def __init__(self, width: int, stop: int | None = None) -> None:
        self._width = width
        self._left = stop
        self.texts = 0

    def lane(self) -> AbstractAsyncContextManager[None]:
        """Nothing to keep open."""
        return nullcontext()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text."""
        if self._left is not None and self.texts >= self._left:
            raise RuntimeError("gone")
        self.texts += len(texts)
        rows = np.zeros((len(texts), self._width), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[zlib.crc32(word.encode()) % self._width] += 1
        return unit(rows)


def captions(number: int) -> list[str]:
    """Distinct ones, in a fixed order."""
    rng, found = Random(0), dict[str, None]()
    while len(found) < number:
        a, n, v, p = (rng.choices(words.split(), k=3) for words in (ADJECTIVES, NOUNS, VERBS, PLACES))
        found[f"{a[0]} {n[0]} {v[0]} by {a[1]} {p[0]} while {a[2]} {n[1]} {v[1]} near {p[1]} and {n[2]}"] = None
    return list(found)


async def measure(number: int, width: int, folder: Path, progress: Progress) -> dict[str, float]:
    """All figures."""
    texts = captions(number)
    began = time.perf_counter()
    half, rest = HashedWords(width, stop=number // 2), HashedWords(width)
    with suppress(RuntimeError):  # as planned: half of it is on disk
        await index.build(texts, half, folder, progress, batch=256)
    rows = await index.build(texts, rest, folder, progress, batch=256)
    built, twice = time.perf_counter() - began, half.texts + rest.texts - number
    began = time.perf_counter()
    await index.build(texts, HashedWords(width, stop=0), folder, progress, batch=256)
    found_again = time.perf_counter() - began

    rng, seconds, hits, scores, strange = Random(1), [], 0, [], []
    chosen = [rng.randrange(number) for _ in range(200)]
    for place in chosen:
        words = texts[place].split()
        del words[rng.randrange(len(words))]
        [query] = await rest.embed([" ".join(words)])
        began = time.perf_counter()
        best, score = index.best(rows, query)
        seconds.append(time.perf_counter() - began)
        hits += best == place
        scores.append(score)
        [query] = await rest.embed([f"three giraffes sign contract {place} under parliament"])
        strange.append(index.best(rows, query)[1])
    return {
        "captions": number,
        "width": width,
        "build_s": round(built, 1),
        "asked_again_after_the_stop": twice,
        "found_again_s": round(found_again, 3),
        "disk_mb": round(sum(file.stat().st_size for file in folder.iterdir()) / 2**20, 1),
        "search_ms_median": round(1000 * statistics.median(seconds), 1),
        "top1_one_word_missing": hits / len(chosen),
        "least_score_of_those": round(min(scores), 3),
        "best_score_of_what_is_not_there": round(max(strange), 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, watcher(Console(file=sys.stderr)) as progress:
        found = asyncio.run(measure(options.captions, options.width, Path(folder), progress))
    table = Table("figure", "value")
    for name, value in found.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
