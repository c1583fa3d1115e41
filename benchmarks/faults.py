"""What a bad server does to a run: ``python benchmarks/faults.py [--tasks 60] [--share 0.3] [--json OUT]``.

The server answers a share of all calls with one of seven faults; controller and critic are both behind it. Every
trajectory must end, finished or failed by name, and a verdict must be one that the server gave.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loopback import BEST, DOOMED, FAULTS, running
from workload import booted, exploring, fresh, settings

from sport import report
from sport.store import Store

IMPATIENT = {"timeout_s": 1.0, "deadline_s": 20.0, "tries": 2, "max_wait_s": 0.1}
"""Two tries, so that some calls fail for good: patience would hide what is to be shown."""


def explored(folder: Path, queries: Sequence[str], *, share: float, in_flight: int, seed: int = 0) -> dict[str, Any]:
    """One run against such a server, its report included; what came of it, as :func:`figures` counts it."""
    with (
        running(slots=8, delay_s=0.02, share=share, seed=seed) as server,
        fresh(folder, settings(server.url, n=3, in_flight=in_flight, **IMPATIENT), queries) as store,
    ):
        asyncio.run(_run(store))
        found = {"sent": server.stats()["calls"], **figures(store)}
        found["page"] = report.build(store, folder / "report.html").read_text(encoding="utf-8")
    return found


async def _run(store: Store) -> None:
    async with booted(store) as sandbox:
        await exploring(store, sandbox)


def figures(store: Store) -> dict[str, Any]:
    """Ends, verdicts and faults of a run. ``invented``: verdicts that no honest answer of this server gives."""
    trees = list(store.trajectories("explore"))
    steps = [step for tree in trees for step in tree.steps]
    judged = [step.verdict for step in steps if step.verdict is not None]
    none = Counter(v.reason.partition(":")[0] for v in judged if v.best is None)
    return {
        "ends": dict(Counter(tree.end.state if tree.end else "unfinished" for tree in trees)),
        "failed": dict(Counter(t.end.reason.partition(":")[0] for t in trees if t.end and t.end.state == "failed")),
        "steps": len(steps),
        "verdicts": sum(v.best is not None for v in judged),
        "no verdict": dict(none),
        "asked twice": sum(v.asked > 1 for v in judged),
        "invented": sum(v.best not in (None, BEST) for v in judged),
        "faults seen": {role: spent.faults for role, spent in store.spenders().items()},
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    queries = [f"Do it in {1 + i % 3} steps." + (f" {DOOMED}" if i % 20 == 19 else "") for i in range(given.tasks)]
    with tempfile.TemporaryDirectory(prefix="faults-") as home:
        found = explored(Path(home) / "run", queries, share=given.share, in_flight=16)
    page = found.pop("page")
    sent = found.pop("sent")
    print("| sent by the server | calls |\n|---|---:|")
    for name in ("sound", *FAULTS):
        print(f"| {name} | {sent.get(name, 0)} |")
    print("\n| what came of it | |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value if not isinstance(value, dict) else json.dumps(value)} |")
    print(f"| causes in the report | {'yes' if 'tries that failed, by cause' in page else 'NO'} |")
    if given.json:
        given.json.write_text(json.dumps({"sent": sent, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
