"""The loop of SPORT (arXiv 2504.21561, Algorithm 1): synthesise, explore, pair, tune, evaluate, and again.

Every stage is resumable by itself and leaves a mark in the store when it is done; a run goes on by doing what has none.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext

from sport import crash
from sport.agent.code import CodeAgent
from sport.bench import world
from sport.bench.run import evaluate
from sport.config import Config
from sport.errors import FatalModelError, RunError
from sport.explore import explore
from sport.kit import Kit, booted
from sport.pairs import read
from sport.synth.stage import synthesise
from sport.tune import card
from sport.types import Json, Pair, Task

Work = Callable[[Kit, int], Awaitable[dict[str, Json]]]
"""A stage of an iteration; returns figures worth noting."""
STAGES = ("synth", "explore", "pairs", "tune", "eval")


async def run(kit: Kit) -> None:
    """Evaluate the controller as it is; then, for every iteration, all stages in order. Done stages are left alone.

    A controller that cannot be tuned (behind an endpoint) ends every iteration with its pairs.
    """
    stages = STAGES if kit.tune else STAGES[: STAGES.index("tune")]
    due = [(0, "eval"), *((k, name) for k in range(1, kit.config.iterations + 1) for name in stages)]
    await through(kit, due, _WORK)


async def through(kit: Kit, wanted: Sequence[tuple[int, str]], work: Mapping[str, Work]) -> None:
    """Do the stages (iteration, name) in order, each by its name in ``work``; done ones are left alone."""
    due = [(k, name) for k, name in wanted if kit.store.stage_done(k, name) is None]
    kit.store.set_state("running")
    try:
        async with booted(kit) if due else nullcontext():
            for iteration, name in due:
                await _do(kit, name, iteration, work)
    except (asyncio.CancelledError, FatalModelError):
        kit.store.set_state("stopped")
        raise
    else:
        kit.store.set_state("done")
    finally:
        kit.store.write_summary()


async def stage(kit: Kit, name: str, iteration: int | None = None) -> None:
    """One stage by name, of the iteration that is due unless another is given.

    Raises:
        RunError: the stage before it is not done, there is nothing left to do, or the controller cannot be tuned.
    """
    if name == "tune" and kit.tune is None:
        raise RunError(
            f"controller.kind: {kit.config.controller.kind!r} cannot be tuned here, its weights are elsewhere; "
            'tune with controller.kind = "local" and controller.checkpoint = a directory'
        )
    if kit.config.method == "t3":
        raise RunError(f"{kit.store.folder}: follows T3, which has no single stages; sport t3 --resume goes on with it")
    if kit.config.bench.kind != "none":
        raise RunError(f"{kit.store.folder}: evaluates {kit.config.bench.kind}; nothing of it may be learned from")
    iterations = range(0 if name == "eval" else 1, kit.config.iterations + 1)
    due = [k for k in iterations if kit.store.stage_done(k, name) is None]
    if iteration is None and not due:
        raise RunError(f"{name} is done for all {kit.config.iterations} iterations of {kit.store.folder}")
    chosen = due[0] if iteration is None else iteration
    if chosen not in iterations:
        raise RunError(f"{name}: no iteration {chosen}; this run has {iterations[0]} to {iterations[-1]}")
    before = _before(name, chosen)
    if before and kit.store.stage_done(*before) is None:
        raise RunError(
            f"{name} of iteration {chosen} needs {before[1]} of iteration {before[0]} first: "
            f"sport {before[1]} {kit.store.folder}"
        )
    async with booted(kit):
        await _do(kit, name, chosen, _WORK)
    kit.store.write_summary()


def _before(name: str, iteration: int) -> tuple[int, str] | None:
    """The stage whose result this one reads."""
    if name == "synth" or iteration == 0:
        return None
    if name == "explore" and iteration > 1:
        return (iteration, "synth")
    return iteration, STAGES[STAGES.index(name) - 1]


async def _do(kit: Kit, name: str, iteration: int, work: Mapping[str, Work]) -> None:
    """Run one stage and mark it done; the seconds of a stage that is stopped are kept too."""
    began, note = time.monotonic(), None
    kit.store.log("stage", name=name, iteration=iteration)
    try:
        note = await work[name](kit, iteration)
        crash.here("after_stage")
    finally:
        seconds = time.monotonic() - began
        if note is None:
            kit.store.add_wall(iteration, name, seconds)
        else:
            kit.store.finish_stage(iteration, name, seconds, note)
            crash.here("after_stage_mark")
    kit.store.write_summary()


# --------------------------------------------------------------------------------------------- the stages


async def synth(kit: Kit, iteration: int) -> dict[str, Json]:
    """Write and check the tasks of an iteration."""
    settings = kit.config.synth
    return await synthesise(
        kit.store, kit.writer, kit.checker, iteration=iteration, wanted=settings.tasks, progress=kit.progress,
        give_up=settings.give_up if settings.kind == "llm" else None,
    )  # fmt: skip


async def _explore(kit: Kit, iteration: int) -> dict[str, Json]:
    await _use(kit, iteration - 1)
    tasks = kit.store.tasks("explore", iteration)
    if kit.spread is not None:
        await kit.spread(tasks, iteration)
    else:
        await explore(
            tasks, kit.llm, kit.dialect, kit.sandbox, kit.store, kit.critic, kit.config,
            iteration=iteration, progress=kit.progress,
        )  # fmt: skip
    ends: Counter[str] = Counter(o.end.state for o in kit.store.outlines("explore", iteration) if o.end)
    return {**ends, "dialect": kit.dialect.version}


async def _pairs(kit: Kit, iteration: int) -> dict[str, Json]:
    found: list[Pair] = []
    dropped: Counter[str] = Counter()
    for trajectory in kit.store.trajectories("explore", iteration):
        pairs, lost = read(trajectory, kit.config.pairs)
        found += pairs
        dropped += lost
    kit.store.add_pairs(iteration, found, dropped)
    return {"pairs": len(found), **dropped}


async def _tune(kit: Kit, iteration: int) -> dict[str, Json]:
    assert kit.tune is not None  # neither run() nor stage() comes here then
    store, before = kit.store, kit.store.adapter(iteration - 1)
    await kit.llm.use(None)  # the model as the run began is the reference; the last adapter is where tuning goes on
    pairs = store.pairs(iteration)
    wanted = {pair.trajectory for pair in pairs}
    trees = [store.trajectory(name) for name in sorted(wanted)]
    previous = store.folder / before if before else None
    made, note = await asyncio.to_thread(kit.tune, iteration, trees, pairs, previous)
    crash.here("after_adapter")
    store.set_adapter(iteration, str(made.relative_to(store.folder)) if made else before)
    return note


async def measure(kit: Kit, iteration: int) -> dict[str, Json]:
    """Evaluate greedily with the adapter that came of an iteration."""
    await _use(kit, iteration)
    agent = CodeAgent(
        kit.llm, kit.dialect, kit.sandbox, kit.store, kit.config.agent, seed=kit.config.seed, iteration=iteration
    )
    note: dict[str, Json] = {"dialect": kit.dialect.version}
    adapter = kit.store.adapter(iteration)
    for split, number in _splits(kit.config):
        figures = await evaluate(
            kit.store, _exam(kit, split, number), agent, kit.llm, world.score,
            iteration=iteration, in_flight=kit.config.eval.in_flight, progress=kit.progress,
        )  # fmt: skip
        kit.store.add_metrics(iteration, split, figures)
        if adapter is not None:
            card.score(kit.store.folder / adapter, f"iteration {iteration}", split, figures)
        note |= {f"{split} {name}": metric.value for name, metric in figures.items()}
    return note


_WORK: dict[str, Work] = {"synth": synth, "explore": _explore, "pairs": _pairs, "tune": _tune, "eval": measure}


# ------------------------------------------------------------------------------------------------ details


def _splits(config: Config) -> list[tuple[str, int]]:
    """What is evaluated, and on how many tasks."""
    unseen = [("unseen", config.eval.unseen)] if config.eval.unseen else []
    return [(config.eval.split, config.eval.tasks), *unseen]


def _exam(kit: Kit, split: str, number: int) -> list[Task]:
    """An evaluation split, made once a run."""
    store = kit.store
    there = len(store.tasks(split))
    if there < number:
        for ordinal, made in enumerate(world.drafts(split, number, kit.config.synth.families)):
            if ordinal >= there:
                files = tuple(store.put(name, data) for name, data in made.files.items())
                task = Task(id=made.key.task_id, query=made.query, files=files)
                store.add_task(task, made.key, split=split, iteration=0, ordinal=ordinal)
    return store.tasks(split)[:number]


async def _use(kit: Kit, iteration: int) -> None:
    """Answer with the adapter that came of this iteration."""
    path = kit.store.adapter(iteration)
    await kit.llm.use(kit.store.folder / path if path else None)
