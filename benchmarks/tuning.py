"""What a trajectory costs to tune on: the tree against one row per step, pair by pair, and TRL's DPOTrainer.

    .venv/bin/python benchmarks/tuning.py                     # small shape on the CPU, about a quarter of an hour
    .venv/bin/python benchmarks/tuning.py --device cuda --shape mid --json mid.json
    .venv/bin/python benchmarks/tuning.py --curve cost.png    # over T and n, without TRL

Same model (random weights), same LoRA, same pairs, same dtype. Every measurement is a process of its own; contenders
take turns, and the median counts. Seconds are those of one trajectory: its reference pass, one epoch over its pairs,
one optimiser step. TRL's settings are chosen by a sweep over four pairs; then only the best is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

Result = dict[str, Any]
PACKAGES = ("torch", "transformers", "peft", "trl")


def arguments() -> argparse.Namespace:
    """Options; those without help are for the processes that this program starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", default="small", help="small, mid or large; tiny and sight are smoke tests")
    parser.add_argument("--steps", type=int, help="another T")
    parser.add_argument("--n", type=int, help="another number of candidates")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--processor", action="store_true", help="one thread and its own seconds: for a machine with other work to do"
    )
    parser.add_argument("--without-trl", action="store_true", help="ours only")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--curve", type=Path, help="draw seconds over T and n instead")
    parser.add_argument(
        "--over", nargs=2, default=("1,2,3,5,8", "2,3,5,8"), metavar=("T", "N"), help="steps and candidates of --curve"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--checkpointing", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# ---------------------------------------------------------------------------------------------- one process


def shape_of(options: argparse.Namespace) -> Any:
    """The shape that the options name."""
    from contenders.problem import SHAPES

    if options.shape not in SHAPES:
        sys.exit(f"--shape {options.shape}: expected one of {', '.join(SHAPES)}")
    shape = SHAPES[options.shape]
    changes = {"steps": options.steps, "n": options.n}
    return replace(shape, **{name: value for name, value in changes.items() if value})


def child(options: argparse.Namespace) -> None:
    """Measure one contender and write what was found."""
    import warnings

    warnings.filterwarnings("ignore")
    from contenders import problem as problems

    problem = problems.build(shape_of(options), options.device)
    more: Result = {}
    if options.child in ("tree", "group", "pairs"):
        from contenders import ours

        measured = getattr(ours, options.child)(problem, options.epochs)
        if options.child == "tree":
            more = {"share_of_limit": ours.share_of_limit(problem, measured.seconds / options.epochs)}
    else:
        from contenders import peer

        if options.child == "sweep":
            options.out.write_text(json.dumps({"sweep": peer.sweep(problem)}))
            return
        if options.child == "ahead":
            reference, epoch = peer.ahead(problem, options.batch, options.checkpointing)
            options.out.write_text(json.dumps({"reference": reference, "epoch": epoch}))
            return
        if options.child == "worst":
            measured = peer.worst(problem, options.checkpointing)
        else:
            measured = peer.once(problem, options.batch, options.checkpointing)
    found = {"seconds": measured.seconds, "peak_bytes": measured.peak_bytes, **more}
    if measured.gradient is not None:
        import numpy as np

        np.save(options.out.with_suffix(".npy"), measured.gradient)
    options.out.write_text(json.dumps(found))


# ------------------------------------------------------------------------------------------------ the parent


class Bench:
    """Starts one process after another and says how far it is."""

    def __init__(self, options: argparse.Namespace, folder: Path, total: int) -> None:
        self.options, self.folder, self.total = options, folder, total
        self.done = 0

    def run(self, contender: str, *more: str) -> Result:
        """One measurement. Stops the program with the contender's own words if it fails."""
        self.done += 1
        out = self.folder / f"{self.done}-{contender}.json"
        options = self.options
        command = [sys.executable, __file__, "--child", contender, "--out", str(out), *more]
        command += ["--device", options.device, "--shape", options.shape]
        for name in ("steps", "n"):
            if getattr(options, name):
                command += [f"--{name}", str(getattr(options, name))]
        began = time.monotonic()
        clock = {"OMP_NUM_THREADS": "1", "SPORT_BENCHMARK_CLOCK": "processor"} if options.processor else {}
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **clock})
        if done.returncode:
            sys.exit(f"{contender} failed:\n{done.stderr[-3000:]}")
        found: Result = json.loads(out.read_text())
        words = f"{found['seconds']:.2f} s" if "seconds" in found else "done"
        print(
            f"[{self.done}/{self.total}] {' '.join([contender, *more])}: {words} "
            f"({time.monotonic() - began:.0f} s with its start)",
            file=sys.stderr,
            flush=True,
        )
        return {**found, "gradient": out.with_suffix(".npy")}


def compare(options: argparse.Namespace, folder: Path) -> Result:
    """All contenders in turn, and their medians and ratios."""
    trl, repeats = not options.without_trl, options.repeats
    bench = Bench(options, folder, repeats * (5 if trl else 4) + (3 if trl else 0))
    found: dict[str, list[Result]] = {name: [] for name in ("tree", "group", "pairs", "three", "trl")}
    best: Result = {}
    sweep: list[Result] = []
    if trl:
        sweep = bench.run("sweep")["sweep"]
        best = min(sweep, key=lambda one: float(one["seconds_per_pair"]))
    setting = ["--batch", str(best.get("batch", 1)), *(["--checkpointing"] if best.get("checkpointing") else [])]
    for _ in range(repeats):
        for name in ("tree", "trl", "group", "pairs"):
            if trl or name != "trl":
                found[name].append(bench.run(name, *(setting if name == "trl" else [])))
        found["three"].append(bench.run("tree", "--epochs", "3"))
    result = figures(options, found)
    if trl:
        ahead, worst = bench.run("ahead", *setting), bench.run("worst", *setting[2:])
        per_epoch = ahead["reference"] / 3 + ahead["epoch"]
        result |= {
            "peak_trl_bytes": worst["peak_bytes"],
            "peak_ratio": result["peak_tree_bytes"] / worst["peak_bytes"],
            "trl_settings": best,
            "trl_sweep": sweep,
            "trl_precomputed_epoch_of_three_s": per_epoch,
            "speedup_vs_trl_epoch_of_three": result["trl_s"] / result["tree_epoch_of_three_s"],
            "speedup_vs_trl_precomputed_epoch_of_three": per_epoch / result["tree_epoch_of_three_s"],
        }
    return result


def figures(options: argparse.Namespace, found: dict[str, list[Result]]) -> Result:
    """Medians, ratios and the distance of gradients."""
    shape = shape_of(options)
    middle: Callable[[str], float] = lambda name: statistics.median(one["seconds"] for one in found[name])  # noqa: E731
    tree = middle("tree")
    result: Result = {
        "shape": {"name": options.shape, **asdict(shape)},
        "tree_tokens": shape.tree_tokens,
        "pair_tokens": shape.pair_tokens,
        "tree_s": tree,
        "tree_epoch_of_three_s": middle("three") / 3,
        "pairs_per_second": shape.pairs / tree,
        "tokens_per_second": shape.tree_tokens / tree,
        "matmul_share": statistics.median(one["share_of_limit"] for one in found["tree"]),
        "peak_tree_bytes": statistics.median(one["peak_bytes"] for one in found["tree"]),
        "seconds": {name: [one["seconds"] for one in runs] for name, runs in found.items() if runs},
        "clock": "processor seconds, one thread" if options.processor else "wall seconds",
        "machine": machine(options.device),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    for name in ("trl", "pairs", "group"):
        if found[name]:
            result |= {f"{name}_s": middle(name), f"speedup_vs_{name}": middle(name) / tree}
            result[f"grad_rel_err_{name}"] = distance(found["tree"][0], found[name][0])
    result["grad_rel_err"] = max(value for name, value in result.items() if name.startswith("grad_rel_err_"))
    return result


def distance(one: Result, other: Result) -> float:
    """Of all LoRA gradients as one vector: norm(x - y) / norm(y)."""
    import numpy as np

    x, y = np.load(one["gradient"]), np.load(other["gradient"])
    return float(np.linalg.norm(x - y) / np.linalg.norm(y))


def machine(device: str) -> Result:
    """What it ran on; the load tells whether others were at work."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found: Result = {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": [round(one, 2) for one in os.getloadavg()],
    }
    return {**found, "gpu": torch.cuda.get_device_name()} if device == "cuda" else found


def table(result: Result) -> str:
    """The figures for people."""
    lines = [f"{'contender':<26}{'s/trajectory':>14}{'tree is faster':>16}"]
    lines.append(f"{'tree':<26}{result['tree_s']:>14.2f}{'':>16}")
    for name, words in (
        ("group", "one row per step"),
        ("pairs", "pair by pair, our kernels"),
        ("trl", "TRL DPOTrainer"),
    ):
        if f"{name}_s" in result:
            lines.append(f"{words:<26}{result[f'{name}_s']:>14.2f}{result[f'speedup_vs_{name}']:>15.1f}x")
    lines.append(
        f"tree: {result['tokens_per_second']:,.0f} tokens/s, {result['matmul_share']:.0%} of what plain matrix "
        "products reach here"
    )
    lines.append(f"an epoch of three: tree {result['tree_epoch_of_three_s']:.2f} s")
    if "speedup_vs_trl_epoch_of_three" in result:
        lines[-1] += (
            f", {result['speedup_vs_trl_epoch_of_three']:.1f}x TRL, "
            f"{result['speedup_vs_trl_precomputed_epoch_of_three']:.1f}x with its precomputed reference"
        )
        lines.append(
            f"peak memory: tree {result['peak_tree_bytes'] / 2**20:.0f} MiB, "
            f"TRL's longest pair {result['peak_trl_bytes'] / 2**20:.0f} MiB ({result['peak_ratio']:.2f})"
        )
    lines.append(f"gradients differ by {result['grad_rel_err']:.1e} at most (relative, {result['shape']['dtype']})")
    return "\n".join(lines)


def curve(options: argparse.Namespace, folder: Path) -> None:
    """Seconds over T at n = 5, and over n at T = 5, for the ways of ours."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    over = {
        name: [int(one) for one in text.split(",")] for name, text in zip(("steps", "n"), options.over, strict=True)
    }
    ways = {"tree": "tree", "group": "one row per step", "pairs": "pair by pair"}
    bench = Bench(options, folder, len(ways) * sum(map(len, over.values())))
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    written: Result = {"machine": machine(options.device), "date": datetime.now(UTC).strftime("%Y-%m-%d")}
    for axis, (what, values), name in zip(axes, over.items(), ("steps T (n = 5)", "candidates n (T = 5)"), strict=True):
        for way, words in ways.items():
            seconds = []
            for value in values:
                options.steps, options.n = (value, 5) if what == "steps" else (5, value)
                seconds.append(bench.run(way)["seconds"])
            axis.plot(values, seconds, marker="o", label=words)
            written[f"{way} over {what}"] = dict(zip(values, seconds, strict=True))
        axis.set(xlabel=name, yscale="log")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(f"seconds per trajectory ({options.shape})")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(options.curve, dpi=120)
    if options.json:
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    print(f"picture: {options.curve}")


def main() -> None:
    """Measure and print."""
    options = arguments()
    if options.child:
        return child(options)
    with tempfile.TemporaryDirectory(prefix="sport-bench-") as folder:
        if options.curve:
            return curve(options, Path(folder))
        result = compare(options, Path(folder))
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
