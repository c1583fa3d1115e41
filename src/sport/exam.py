"""One benchmark from its data set to its figures: ``sport eval gta|gaia|world CONFIG``.

The controller answers greedily: no sampling of candidates, no verification. Every repeat is an iteration of the run, so
that a stopped evaluation goes on where it stood. What it leaves: trajectories and scores in the store, and beside it
``scores.json``, ``row.md`` and, for GAIA, ``leaderboard.jsonl``. What it never does: hand an item to synthesis,
exploration or tuning.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sport.agent.code import CodeAgent
from sport.bench import gaia, gaia_run, gta, outcome, world
from sport.bench.gta_run import EndToEnd, StepByStep
from sport.bench.gta_run import key as gta_key
from sport.bench.run import Figures, Keyed, Scorer, evaluate
from sport.bench.stepwise import Stepwise
from sport.config import Bench, Config
from sport.errors import ConfigError, FatalModelError, InputError
from sport.kit import Kit, booted
from sport.store import Store
from sport.tools.reference import placeholder
from sport.types import Metric, Task


@dataclass(frozen=True)
class Part:
    """What is measured on one split: its tasks are in the store, ``run(repeat)`` does the work and counts."""

    split: str
    run: Callable[[int], Awaitable[dict[str, Metric]]]


def check(bench: Bench) -> str:
    """Read the data set and find what is wrong with it; how many tasks there are, in words.

    Raises:
        ConfigError: no benchmark, or one without its data.
        InputError: as the loaders say.
    """
    if bench.kind == "none":
        raise ConfigError("bench.kind: no benchmark; call sport eval gta|gaia|world CONFIG")
    if bench.kind == "world":
        return "the embedded world"
    if not bench.data:
        raise ConfigError(f"bench.data: {bench.kind} needs its data set: give --data DIR (see docs/BENCHMARKS.md)")
    if bench.kind == "gaia":
        return f"{len(gaia.load(Path(bench.data), bench.split, bench.level))} questions"
    items = gta.load(Path(bench.data))
    if bench.images:
        gta.check_images(items, Path(bench.data))
    return f"{len(items)} of {gta.TASKS} tasks"


def lacking(config: Config) -> str:
    """What is not on this machine and would be needed, in words, for ``--dry-run``."""
    folder = config.controller.folder
    return "ready" if folder.is_dir() else f"the controller {folder} is not here yet (controller.checkpoint)"


async def run(kit: Kit) -> None:
    """Evaluate as often as the configuration says; done repeats are left alone. Then write the outcome's files.

    Raises:
        UserError: as :func:`check`, or a data set that is not the one the run began with.
    """
    store, bench = kit.store, kit.config.bench
    check(bench)
    parts = {"gta": _gta, "gaia": _gaia, "world": _world}[bench.kind](kit)
    due = [repeat for repeat in range(bench.repeats) if store.stage_done(repeat, "eval") is None]
    store.set_state("running")
    try:
        async with booted(kit) if due else nullcontext():
            for repeat in due:
                await _once(store, parts, repeat)
        outcome.write(store.folder, store.config, store, comparable(store.config))
    except (asyncio.CancelledError, FatalModelError):
        store.set_state("stopped")
        raise
    else:
        store.set_state("done")
    finally:
        store.write_summary()


def comparable(config: Config) -> str:
    """Why figures cannot stand beside published ones; empty when nothing speaks against it.

    A part of a data set is told by the denominators, which are always printed.
    """
    if config.bench.kind == "gta" and not config.bench.images:
        wanted = {name for item in gta.load(Path(config.bench.data)) for name in item.files}
        return f"not comparable: 0 of {len(wanted)} images; tool results are the reference's"
    return ""


async def _once(store: Store, parts: list[Part], repeat: int) -> None:
    began, note = time.monotonic(), None
    try:
        for part in parts:
            figures = await part.run(repeat)
            store.add_metrics(repeat, part.split, figures)
            note = (note or {}) | {f"{part.split} {name}": metric.value for name, metric in figures.items()}
    except BaseException:
        store.add_wall(repeat, "eval", time.monotonic() - began)
        raise
    store.finish_stage(repeat, "eval", time.monotonic() - began, note or {})


# ------------------------------------------------------------------------------------------ data sets


def _gta(kit: Kit) -> list[Part]:
    bench = kit.config.bench
    data, items = Path(bench.data), gta.load(Path(bench.data))
    found: dict[str, gta.Item] = {}
    splits: dict[str, list[Keyed]] = {"gta": [], "gta-steps": []}
    for item in items:
        files = tuple(
            kit.store.put(name, gta.picture(data, name))
            if bench.images
            else kit.store.put(name, placeholder(name), "text/plain")
            for name in item.files
        )
        for split, added in splits.items():
            name = item.id if split == "gta" else f"{item.id}-steps"
            task = Task(id=name, query=item.query, files=files, origin="gta")
            added.append((task, gta_key(item, name)))
            found[name] = item
    for split, added in splits.items():
        _add(kit.store, split, added)
    whole, steps = EndToEnd(), StepByStep(gta.all_tools(items))
    parts = [_whole_tasks(kit, "gta", whole.score, whole.figures)]
    return [*parts, Part("gta-steps", partial(_stepwise, kit, found, steps))] if bench.step_by_step else parts


async def _stepwise(kit: Kit, items: Mapping[str, gta.Item], scorer: StepByStep, repeat: int) -> dict[str, Metric]:
    config, store, tasks = kit.config, kit.store, kit.store.tasks("gta-steps")
    asking = Stepwise(
        kit.llm, kit.dialect, store, seed=config.seed, max_new_tokens=config.agent.max_new_tokens
    )  # fmt: skip
    await asking.run(tasks, items, iteration=repeat, in_flight=config.eval.in_flight, progress=kit.progress)
    rows = []
    for task in tasks:
        trajectory, key = store.trajectory(f"eval.{repeat}.{task.id}"), store.key(task.id)
        assert key is not None  # they were added together
        rows.append(scorer.score(trajectory, key))
        store.add_scores(trajectory.id, rows[-1])
    return scorer.figures(rows)


def _gaia(kit: Kit) -> list[Part]:
    bench = kit.config.bench
    added = []
    for question in gaia.load(Path(bench.data), bench.split, bench.level):
        files = (kit.store.put(question.file.name, question.file.read_bytes()),) if question.file else ()
        task = Task(id=question.id, query=question.query, files=files, origin="gaia")
        added.append((task, gaia_run.key(question)))
    _add(kit.store, f"gaia-{bench.split}", added)
    return [_whole_tasks(kit, f"gaia-{bench.split}", gaia_run.score, gaia_run.figures)]


def _world(kit: Kit) -> list[Part]:
    config = kit.config
    added: list[Keyed] = []
    for made in world.drafts(config.eval.split, config.eval.tasks, config.synth.families):
        files = tuple(kit.store.put(name, data) for name, data in made.files.items())
        added.append((Task(id=made.key.task_id, query=made.query, files=files), made.key))
    _add(kit.store, config.eval.split, added)
    return [_whole_tasks(kit, config.eval.split, world.score, None)]


def _add(store: Store, split: str, tasks: list[Keyed]) -> None:
    """Put the tasks into the store, or see that they are the ones that lie there."""
    there = store.tasks(split)
    if there and there != [task for task, _ in tasks]:
        raise InputError(
            f"{store.folder}: the data set is not the one that this run began with ({len(there)} tasks then, "
            f"{len(tasks)} now, or other words or files); begin a new run"
        )
    for ordinal, (task, key) in enumerate(tasks):
        store.add_task(task, key, split=split, iteration=0, ordinal=ordinal)


def _whole_tasks(kit: Kit, split: str, scorer: Scorer, figures: Figures | None) -> Part:
    async def work(repeat: int) -> dict[str, Metric]:
        config = kit.config
        agent = CodeAgent(
            kit.llm, kit.dialect, kit.sandbox, kit.store, config.agent, seed=config.seed, iteration=repeat
        )
        return await evaluate(
            kit.store, kit.store.tasks(split), agent, kit.llm, scorer,
            iteration=repeat, in_flight=config.eval.in_flight, progress=kit.progress, figures=figures,
        )  # fmt: skip

    return Part(split, work)
