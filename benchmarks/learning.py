"""Is the gain the loop's? Seeds x critics, each a whole run; a table, a picture and a JSON file.

    .venv/bin/python benchmarks/learning.py --out runs/learning            # three seeds, three critics, about an hour
    .venv/bin/python benchmarks/learning.py --out runs/learning --seeds 0  # go on with, or look at, a part of it

The control is ``random``: the trunk and the pairs of every step are chosen by chance, all else is equal. Every run is a
directory below ``--out`` and is resumed when it is there. Differences are paired over the same held-out tasks.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from sport import config
from sport.causes import cause
from sport.stats import Difference, paired_bootstrap
from sport.store import Store
from sport.types import Trajectory

CRITICS = ("blind", "informed", "random")
SPLITS = ("heldout", "unseen")


def arguments() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory of the runs, the table and the picture")
    parser.add_argument("--config", type=Path, default=Path("configs/demo.toml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--critics", nargs="+", choices=CRITICS, default=list(CRITICS))
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; each keeps about one core busy")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=c", help="as sport run's")
    return parser.parse_args()


def run(folder: Path, settings: Path, seed: int, critic: str, overrides: list[str]) -> None:
    """One run, or the rest of it."""
    if not (folder / "run.db").exists():
        chosen = config.load(settings, [f"seed={seed}", f"critic.kind={critic}", *overrides])
        with Store.create(folder, chosen):
            print(f"== seed {seed}, {critic}: begun", flush=True)
        lend_tool_results(folder)
    sport = [sys.executable, "-m", "sport.cli", "run", "--resume", str(folder)]
    subprocess.run(sport, check=True, stdout=subprocess.DEVNULL)


def lend_tool_results(folder: Path) -> None:
    """Give a new run what the tools of its siblings have read: most pictures are the same, so OCR is paid once.

    Results of tools do not depend on seed or critic; no figure changes but the time.
    """
    with closing(sqlite3.connect(folder / "run.db")) as own:
        for other in sorted(folder.parent.glob("*/run.db")):
            if other.parent != folder:
                own.execute("ATTACH ? AS other", (str(other),))
                own.execute("INSERT OR IGNORE INTO cache SELECT * FROM other.cache")
                own.commit()
                own.execute("DETACH other")


def read(folder: Path) -> dict[str, Any]:
    """Figures of one run: metrics by split and iteration, right answers by task, errors by cause, agreement."""
    with Store.view(folder) as store:
        metrics: dict[str, dict[int, Any]] = {}
        for iteration, split, found in store.metrics():
            metrics.setdefault(split, {})[iteration] = {name: m.model_dump() for name, m in found.items()}
        last = max(metrics["heldout"])
        right = {split: {k: _right(store, split, k) for k in metrics[split]} for split in metrics}
        causes = {k: _causes(store, k) for k in (0, last)}
        agreement = _agreement(store)
        pairs = [len(store.pairs(k)) for k in range(1, last + 1)]
    return {"metrics": metrics, "right": right, "causes": causes, "agreement": agreement, "pairs": pairs}


def _right(store: Store, split: str, iteration: int) -> list[float]:
    scores = store.scores("eval", iteration)
    found = (scores.get(f"eval.{iteration}.{task.id}", {}).get("right") for task in store.tasks(split))
    return [float(value) for value in found if value is not None]


def _causes(store: Store, iteration: int) -> dict[str, int]:
    """Held-out errors by cause."""
    heldout = {task.id for task in store.tasks("heldout")}
    counted: Counter[str] = Counter()
    for trajectory in store.trajectories("eval", iteration):
        key = store.key(trajectory.task.id)
        if key is not None and trajectory.task.id in heldout:
            counted[cause(trajectory, key) or "right"] += 1
    return dict(counted)


def _agreement(store: Store) -> dict[str, int]:
    """Explored trajectories that answered, and of them those whose answer is the key's."""
    answered: list[Trajectory] = [t for t in store.trajectories("explore") if t.end and t.end.answer is not None]
    keys = [(t, store.key(t.task.id)) for t in answered]
    return {"answered": len(answered), "right": sum(key is not None and cause(t, key) is None for t, key in keys)}


def table(results: dict[tuple[int, str], dict[str, Any]]) -> list[str]:
    """The figures as Markdown."""
    lines = [
        "| seed | critic | split | AnsAcc by iteration | change, 95 % | ToolAcc | CodeExec |",
        "|---|---|---|---|---|---|---|",
    ]
    for (seed, critic), found in results.items():
        for split in (s for s in SPLITS if s in found["metrics"]):
            by = found["metrics"][split]
            series = " → ".join(f"{100 * by[k]['AnsAcc']['value']:.1f}" for k in sorted(by))
            right, last = found["right"][split], max(by)
            change = _points(paired_bootstrap(right[0], right[last]))
            rest = [
                f"{100 * by[0][m]['value']:.1f} → {100 * by[last][m]['value']:.1f}" for m in ("ToolAcc", "CodeExec")
            ]
            lines.append(f"| {seed} | {critic} | {split} | {series} | {change} | {rest[0]} | {rest[1]} |")
    lines += [
        "",
        "| seed | comparison on heldout, after the last iteration | difference, paired 95 % |",
        "|---|---|---|",
    ]
    for seed in sorted({seed for seed, _ in results}):
        for critic in ("blind", "informed"):
            if (seed, critic) in results and (seed, "random") in results:
                ours, chance = (results[seed, name]["right"]["heldout"] for name in (critic, "random"))
                difference = _points(paired_bootstrap(chance[max(chance)], ours[max(ours)]))
                lines.append(f"| {seed} | {critic} - random | {difference} |")
    lines += [
        "",
        "| seed | critic | errors by cause: before → after | explored answers that are right |",
        "|---|---|---|---|",
    ]
    for (seed, critic), found in results.items():
        before, after = (found["causes"][k] for k in sorted(found["causes"]))
        names = [name for name in dict.fromkeys([*before, *after]) if name != "right"]
        causes = "; ".join(f"{name} {before.get(name, 0)} → {after.get(name, 0)}" for name in names)
        agreed = found["agreement"]
        lines.append(f"| {seed} | {critic} | {causes} | {agreed['right']} of {agreed['answered']} |")
    return lines


def _points(difference: Difference) -> str:
    return f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def draw(results: dict[tuple[int, str], dict[str, Any]], out: Path) -> None:
    """AnsAcc by iteration: one panel a split, one colour a critic, one line a seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    splits = [s for s in SPLITS if any(s in found["metrics"] for found in results.values())]
    figure, panels = plt.subplots(1, len(splits), figsize=(5.2 * len(splits), 3.8), sharey=True, squeeze=False)
    colours = dict(zip(CRITICS, ("#1f5fbf", "#0a7d5a", "#9a9a9a"), strict=True))
    for panel, split in zip(panels[0], splits, strict=True):
        for (_, critic), found in results.items():
            by = found["metrics"].get(split, {})
            panel.plot(sorted(by), [100 * by[k]["AnsAcc"]["value"] for k in sorted(by)], "o-", color=colours[critic])
        panel.set(title=split, xlabel="iteration", ylim=(0, 100), xticks=sorted(by))
        panel.grid(axis="y", alpha=0.3)
    panels[0][0].set_ylabel("AnsAcc, per cent")
    shown = [c for c in CRITICS if any(critic == c for _, critic in results)]
    figure.legend(
        [plt.Line2D([], [], color=colours[c]) for c in shown], shown, loc="lower center", ncols=3, frameon=False
    )
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(out, dpi=130)


def write(results: dict[tuple[int, str], dict[str, Any]], out: Path, overrides: list[str]) -> None:
    """Table, figures and picture of what is there so far."""
    (out / "learning.md").write_text("\n".join(table(results)) + "\n", encoding="utf-8")
    record = {"machine": platform.platform(), "date": date.today().isoformat(), "overrides": overrides}
    runs = {f"seed{seed}-{critic}": found for (seed, critic), found in results.items()}
    (out / "learning.json").write_text(json.dumps({**record, "runs": runs}, indent=1), encoding="utf-8")
    draw(results, out / "learning.png")


def main() -> None:
    """Run what is missing, then read all."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    folders = {(s, c): options.out / f"seed{s}-{c}" for s in options.seeds for c in options.critics}
    found: dict[tuple[int, str], dict[str, Any]] = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = {
            pool.submit(run, folder, options.config, *which, options.overrides): which
            for which, folder in folders.items()
        }
        for job in as_completed(jobs):
            job.result()
            which = jobs[job]
            found[which] = read(folders[which])
            done = {one: found[one] for one in folders if one in found}
            write(done, options.out, options.overrides)  # a long benchmark that is stopped has still said something
            series = found[which]["metrics"]["heldout"]
            steps = " -> ".join(f"{100 * series[k]['AnsAcc']['value']:.1f}" for k in sorted(series))
            print(f"== seed {which[0]}, {which[1]}: AnsAcc on heldout {steps}", flush=True)
    print("\n".join(table(done)))


if __name__ == "__main__":
    main()
