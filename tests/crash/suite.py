"""All trials as one table: ``python tests/crash/suite.py [--kills 100] [--jobs 2] [--json OUT]``. A fault: exit 1."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from trial import Outcome, apart

from sport.crash import POINTS

PLACES = tuple(place for place in POINTS if place != "after_adapter")  # a script is not tuned
Work = Callable[[Path], Outcome]


def moments(kills: int, seconds: float) -> Iterator[tuple[str, Work]]:
    """Trials at random moments."""
    for seed in range(kills):
        yield f"random-{seed:03d}", partial(_at, "--seconds", str(seconds), "--seed", str(seed))


def places() -> Iterator[tuple[str, Work]]:
    """A trial at every named place."""
    for place in PLACES:
        yield place, partial(_at, "--place", place)


def _at(*words: str | Path) -> Outcome:
    *options, folder = words
    return apart(Path(folder), *map(str, options))


def every(folder: Path, trials: Sequence[tuple[str, Work]], jobs: int) -> Iterator[tuple[str, Outcome]]:
    """Do them, ``jobs`` at a time; a trial's directory goes when it is done."""

    def one(named: tuple[str, Work]) -> tuple[str, Outcome]:
        name, work = named
        try:
            return name, work(folder / name)
        finally:
            shutil.rmtree(folder / name, ignore_errors=True)

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, trials)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-") as home:
        whole = apart(Path(home) / "undisturbed")
        print(f"undisturbed: {whole.wall_s:.1f} s")
        trials = [*moments(given.kills, whole.wall_s), *places()]
        done = dict(every(Path(home), trials, given.jobs))
    rows = []
    for kind, names in (("random moments", [n for n in done if n.startswith("random")]), ("named places", PLACES)):
        some = [done[name] for name in names]
        good = sum(not one.faults(whole.digest) for one in some)
        rows.append((kind, f"{good} of {len(some)}", sum(o.kills for o in some), sum(o.repeated for o in some)))
    print("| killed at | equal to the undisturbed run, nothing left | kills | calls repeated |\n|---|---:|---:|---:|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    wrong = {name: found for name, one in done.items() if (found := one.faults(whole.digest))}
    print(f"{platform.platform()}, {os.cpu_count()} cores, {datetime.date.today()}")
    for name, found in wrong.items():
        print(name, *found, sep="\n  ")
    never = [name for name in PLACES if done[name].kills == 0]
    print("places that no run came to:", ", ".join(never) or "none")
    if given.json:
        given.json.write_text(json.dumps({name: asdict(one) for name, one in done.items()}, indent=1) + "\n")
    return 1 if wrong or never else 0


if __name__ == "__main__":
    sys.exit(main())
