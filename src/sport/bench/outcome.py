"""What an evaluation leaves beside its store: ``scores.json``, ``row.md``, and GAIA's ``leaderboard.jsonl``.

The first two hold figures and names of tasks, never a question or an answer, so they may be passed on; the third is for
the leaderboard alone, since GAIA asks that its content is not published.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sport.bench import gaia_run, gaia_score, gta_score, tasks
from sport.config import Config
from sport.errors import RunError
from sport.types import Json, Metric, Trajectory

VERSIONS = {"gta": gta_score.VERSION, "gaia": gaia_score.VERSION, "world": "world-1", "tasks": tasks.VERSION}


class Measured(Protocol):
    """What is read of the store."""

    def metrics(self) -> list[tuple[int, str, dict[str, Metric]]]:
        """(repeat, split, metrics)."""
        ...

    def scores(self, purpose: str, iteration: int | None = None) -> Mapping[str, Mapping[str, float | bool | None]]:
        """By trajectory."""
        ...

    def trajectories(self, purpose: str, iteration: int | None = None) -> Iterator[Trajectory]:
        """In order."""
        ...


def write(folder: Path, config: Config, store: Measured, caveat: str) -> None:
    """Write the files. ``caveat`` says why the figures cannot be compared, empty if they can.

    Raises:
        RunError: the run's directory cannot be written.
    """
    kind = config.bench.kind
    measured = store.metrics()
    scores: dict[str, Json] = {
        "benchmark": kind,
        "row": config.bench.row or None,
        "scorer": VERSIONS[kind],
        "caveat": caveat or None,
        "tools": _tools(config),
        "absent": absent(config) or None,
        "web": config.tools.model_dump(mode="json").get("web"),
        "candidates": None if config.bench.answers else config.bench.candidates,
        "verification": config.critic.kind if config.bench.candidates > 1 else False,
        "repeats": config.bench.repeats,
        "metrics": [
            {"repeat": repeat, "split": split, "metrics": {name: m.model_dump() for name, m in found.items()}}
            for repeat, split, found in measured
        ],
        "over_repeats": spread(measured) if config.bench.repeats > 1 else None,
        "tasks": store.scores("eval"),
    }
    try:
        (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
        notes = [caveat, manner(config), *(f"{name}: absent, {why}" for name, why in absent(config).items())]
        (folder / "row.md").write_text(markdown(config.name, measured, notes), encoding="utf-8")
        if kind == "gaia":
            lines = [json.dumps(gaia_run.line(t), ensure_ascii=False) for t in store.trajectories("eval", 0)]
            (folder / "leaderboard.jsonl").write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    except OSError as error:
        raise RunError(f"{folder}: the outcome cannot be written there ({error.strerror})") from error


def absent(config: Config) -> dict[str, str]:
    """Figures that the benchmark has and this run cannot have, by name, each with what it lacks."""
    if config.bench.kind == "gta" and not config.bench.similarity:
        why = "needs sentence similarity: weights of all-mpnet-base-v2 (bench.similarity)"
        return {"AnsAcc official": why, "AnsAcc official, with images": why}
    return {}


def manner(config: Config) -> str:
    """How answers came about, in words: they go where figures go."""
    bench = config.bench
    if bench.answers:
        return f"answers made elsewhere ({bench.answers}); scorer {VERSIONS[bench.kind]}"
    judged = f"{bench.candidates} candidates a step, judged by the critic {config.critic.kind!r}"
    tools = _tools(config)
    named = tools if isinstance(tools, str) else ", ".join(tools)
    how = judged if bench.candidates > 1 else "one candidate a step, no verification"
    return f"{how}; tools: {named}; scorer {VERSIONS[bench.kind]}"


def _tools(config: Config) -> Json:
    """Which tools there were; None where nothing was run."""
    if config.bench.answers:
        return None
    return list(config.tools.names) if config.bench.kind != "gta" or config.bench.images else "the reference's"


def spread(measured: Sequence[tuple[int, str, Mapping[str, Metric]]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (n - 1) over repeats, by "split metric"."""
    values: dict[str, list[float]] = {}
    for _, split, found in measured:
        for name, metric in found.items():
            values.setdefault(f"{split} {name}", []).append(metric.value)
    return {
        name: {"mean": statistics.fmean(some), "sd": statistics.stdev(some) if len(some) > 1 else 0.0}
        for name, some in values.items()
    }


def markdown(name: str, measured: Sequence[tuple[int, str, Mapping[str, Metric]]], notes: Sequence[str]) -> str:
    """A heading and one row a paper can take over: value [low, high] and denominator of every figure.

    With repeats: mean and standard deviation over them in place of the interval.
    """
    columns = {f"{split}: {key}": metric for repeat, split, found in measured if repeat == 0
               for key, metric in found.items()}  # fmt: skip
    cells = [str(m) for m in columns.values()]
    if len({repeat for repeat, _, _ in measured}) > 1:
        over = spread(measured)
        found = [(m, over[name.replace(": ", " ", 1)]) for name, m in columns.items()]
        cells = [f"{m.show(o['mean'])}, sd {m.show(o['sd'])} (n={m.n})" for m, o in found]
    note = "".join(f"\n{one}\n" for one in notes if one)
    rule = "|".join(["---"] * (len(columns) + 1))
    return f"| method | {' | '.join(columns)} |\n|{rule}|\n| {name} | {' | '.join(cells)} |\n{note}"
