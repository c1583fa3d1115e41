"""What must hold of the embedded world and its controller, measured: `.venv/bin/python benchmarks/gates.py`.

1. The picture is seen: with every picture blanked for the controller alone (the tools see the real one), held-out
   AnsAcc falls by at least 15 points.
2. The query-file check: precision and recall over drafts of which a quarter are spoilt on purpose.
3. The warm start: AnsAcc on heldout, and how many of its errors are habits that the recipe planted (at most half).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL.Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes" / "nano"))

from habits import shown

from sport import config, loop, wire
from sport.causes import cause
from sport.events import Silent
from sport.stats import paired_bootstrap, wilson
from sport.store import Store
from sport.synth.stage import take


def arguments() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200, help="held-out tasks")
    parser.add_argument("--drafts", type=int, default=240, help="drafts for the check")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


@contextmanager
def opened(folder: Path, tasks: int) -> Iterator[tuple[Store, Any]]:
    """A run of the demo's configuration that evaluates ``tasks`` held-out tasks, and its kit."""
    settings = config.load(Path("configs/demo.toml"), [f"eval.tasks={tasks}", "eval.split=heldout", "eval.unseen=0"])
    with Store.create(folder, settings) as store:
        yield store, wire.build(store, Silent())


def evaluate(folder: Path, tasks: int, *, blank: bool) -> tuple[list[float], Counter[str]]:
    """Right or wrong by task, and errors by (planted habit or cause)."""
    with opened(folder, tasks) as (store, kit):
        if blank:
            _blank(kit.llm.renderer)
        asyncio.run(loop.stage(kit, "eval", 0))
        right, errors = [], Counter[str]()
        for trajectory in store.trajectories("eval", 0):
            key = store.key(trajectory.task.id)
            assert key is not None
            why = cause(trajectory, key)
            right.append(float(why is None))
            if why is not None:
                habit = shown(trajectory, key)
                errors[f"planted: {habit}" if habit else why] += 1
        return right, errors


def _blank(renderer: Any) -> None:
    """Let the controller see an empty white sheet where a picture is: a picture as any other, but of nothing."""
    sheet = io.BytesIO()
    PIL.Image.new("RGB", (448, 448), "white").save(sheet, "PNG")
    renderer._read = lambda file: sheet.getvalue()
    renderer._pictures.clear()


async def check(kit: Any, store: Store, drafts: int) -> tuple[int, int, int]:
    """Spoilt drafts, dropped drafts, and those that are both."""
    await kit.tools.start()
    try:
        made = [await kit.writer.write(1, ordinal) for ordinal in range(drafts)]
        checks = await asyncio.gather(*(kit.checker.check(take(store, draft)) for draft in made))
    finally:
        await kit.tools.stop()
    pairs = [(draft.key.defect is not None, not found.kept) for draft, found in zip(made, checks, strict=True)]
    return sum(s for s, _ in pairs), sum(d for _, d in pairs), sum(s and d for s, d in pairs)


def main() -> None:
    """Measure and print."""
    options = arguments()
    with tempfile.TemporaryDirectory() as name:
        seen, errors = evaluate(Path(name, "seen"), options.tasks, blank=False)
        blanked, _ = evaluate(Path(name, "blank"), options.tasks, blank=True)
        with opened(Path(name, "check"), 1) as (store, kit):
            spoilt, dropped, both = asyncio.run(check(kit, store, options.drafts))
    fall = paired_bootstrap(blanked, seen)
    planted = sum(number for why, number in errors.items() if why.startswith("planted"))
    figures = {
        "ans_acc": wilson(sum(seen), len(seen)).model_dump(),
        "ans_acc_blank": wilson(sum(blanked), len(blanked)).model_dump(),
        "fall": fall._asdict(),
        "check_precision": wilson(both, dropped).model_dump(),
        "check_recall": wilson(both, spoilt).model_dump(),
        "errors": dict(errors.most_common()),
        "planted_share": planted / max(1, sum(errors.values())),
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
