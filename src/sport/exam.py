"""One benchmark from its data set to its figures: ``sport eval gta|gaia|world|tasks``.

The controller answers greedily, without sampling of candidates or verification, unless ``bench.candidates`` asks for
both; what was done is named wherever figures are. Every repeat is an iteration of the run, so
that a stopped evaluation goes on where it stood. What it leaves: trajectories and scores in the store, and beside it
``scores.json``, ``row.md`` and, for GAIA, ``leaderboard.jsonl``. What it never does: hand an item to synthesis,
exploration or tuning.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sport import own
from sport.agent.code import GREEDY, CodeAgent
from sport.bench import gaia, gaia_run, gta, outcome, tasks, world
from sport.bench.gta_run import EndToEnd, StepByStep
from sport.bench.gta_run import key as gta_key
from sport.bench.judge import Asking
from sport.bench.moves import FORMS, form
from sport.bench.run import Figures, Further, Keyed, Scorer, evaluate
from sport.bench.stepwise import Stepwise
from sport.config import Bench, Config
from sport.errors import ConfigError, FatalModelError, InputError
from sport.explore import template
from sport.kit import Kit, booted
from sport.llm.base import LLM
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
        given = "sport eval tasks FILE.jsonl" if bench.kind == "tasks" else "--data DIR"
        raise ConfigError(f"bench.data: {bench.kind} needs its data set: give {given} (see docs/BENCHMARKS.md)")
    if bench.kind == "tasks":
        return _own_tasks(bench)
    if bench.kind == "gaia":
        return f"{len(gaia.load(Path(bench.data), bench.split, bench.level))} questions"
    items = gta.load(Path(bench.data))
    if bench.images:
        gta.check_images(items, Path(bench.data))
    return f"{len(items)} of {gta.TASKS} tasks"


def _own_tasks(bench: Bench) -> str:
    found = own.load(Path(bench.data))
    judged = sum(one.line.rule == "judge" for one in found)
    if judged and not bench.judge.endpoint.base_urls:
        raise ConfigError(
            f"bench.judge.endpoint: {judged} of {len(found)} tasks of {bench.data} are scored by a judge; name its "
            "base_urls and model, or give those tasks another scorer"
        )
    unscored = sum(one.line.rule is None for one in found)
    return f"{len(found)} tasks" + (f", {unscored} of them without an answer to score by" if unscored else "")


def lacking(config: Config) -> str:
    """What is not on this machine and would be needed, in words, for ``--dry-run``."""
    controller, wanting = config.controller, []
    if controller.kind == "endpoint":
        name = controller.endpoint.key_env
        if name is not None and not os.environ.get(name):
            wanting.append(f"the environment variable {name} is not set (controller.endpoint.key_env)")
    elif controller.kind != "scripted" and not controller.folder.is_dir():
        wanting.append(f"the controller {controller.folder} is not here yet (controller.checkpoint)")
    if controller.adapter is not None and not Path(controller.adapter).is_dir():
        wanting.append(f"the adapter {controller.adapter} is not here yet (controller.adapter)")
    if config.bench.kind == "gta" and not config.bench.similarity:
        wanting.append("no weights for sentence similarity, so no figure of subjective answers (bench.similarity)")
    return "; ".join(wanting) or "ready"


async def run(kit: Kit) -> None:
    """Evaluate as often as the configuration says; done repeats are left alone. Then write the outcome's files.

    Raises:
        UserError: as :func:`check`, or a data set that is not the one the run began with.
    """
    store, bench = kit.store, kit.config.bench
    check(bench)
    parts = {"gta": _gta, "gaia": _gaia, "world": _world, "tasks": _tasks}[bench.kind](kit)
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
    written = form(kit.dialect.name)
    whole = EndToEnd(kit.similarity, python=written is FORMS["code"])
    steps = StepByStep(gta.all_tools(items), kit.similarity, written)
    parts = [_whole_tasks(kit, "gta", whole.score, whole.figures)]
    return [*parts, Part("gta-steps", partial(_stepwise, kit, found, steps))] if bench.step_by_step else parts


async def _stepwise(kit: Kit, items: Mapping[str, gta.Item], scorer: StepByStep, repeat: int) -> dict[str, Metric]:
    config, store, asked = kit.config, kit.store, kit.store.tasks("gta-steps")
    asking = Stepwise(
        kit.llm, kit.dialect, store, seed=config.seed, max_new_tokens=config.agent.max_new_tokens
    )  # fmt: skip
    await asking.run(asked, items, iteration=repeat, in_flight=config.eval.in_flight, progress=kit.progress)
    rows = []
    for task in asked:
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
    further = gaia_run.normalising(_asking(kit, kit.llm), kit.config.eval.in_flight) if bench.normalise else None
    return [_whole_tasks(kit, f"gaia-{bench.split}", gaia_run.score, gaia_run.figures, further)]


def _tasks(kit: Kit) -> list[Part]:
    added: list[Keyed] = []
    for one in own.load(Path(kit.config.bench.data)):
        files = tuple(kit.store.put(name, data) for name, data in one.files.items())
        added.append((Task(id=one.id, query=one.query, files=files, origin="user"), tasks.key(one, one.id)))
    _add(kit.store, "tasks", added)
    further = tasks.judging(_asking(kit, kit.judge), kit.config.eval.in_flight) if kit.judge is not None else None
    return [_whole_tasks(kit, "tasks", tasks.score, tasks.figures, further)]


def _asking(kit: Kit, llm: LLM) -> Asking:
    """Questions to a model about answers; what it is called is part of what replies are kept under."""
    config = kit.config
    judged = config.bench.judge.endpoint.model
    own_name = f"{config.controller.kind} {config.controller.checkpoint} {config.controller.endpoint.model}"
    return Asking(llm, judged if llm is kit.judge else own_name, kit.store.cache())


def _world(kit: Kit) -> list[Part]:
    config = kit.config
    added: list[Keyed] = []
    for made in world.drafts(config.eval.split, config.eval.tasks, config.synth.families):
        files = tuple(kit.store.put(name, data) for name, data in made.files.items())
        added.append((Task(id=made.key.task_id, query=made.query, files=files), made.key))
    _add(kit.store, config.eval.split, added)
    return [_whole_tasks(kit, config.eval.split, world.score, None)]


def _add(store: Store, split: str, wanted: list[Keyed]) -> None:
    """Put the tasks into the store, or see that they are the ones that lie there."""
    there = store.tasks(split)
    if there and there != [task for task, _ in wanted]:
        raise InputError(
            f"{store.folder}: the data set is not the one that this run began with ({len(there)} tasks then, "
            f"{len(wanted)} now, or other words or files); begin a new run"
        )
    for ordinal, (task, key) in enumerate(wanted):
        store.add_task(task, key, split=split, iteration=0, ordinal=ordinal)


def _whole_tasks(kit: Kit, split: str, scorer: Scorer, figures: Figures | None, further: Further | None = None) -> Part:
    async def work(repeat: int) -> dict[str, Metric]:
        config = kit.config
        n = config.bench.candidates
        agent = CodeAgent(
            kit.llm, kit.dialect, kit.sandbox, kit.store, config.agent, seed=config.seed, iteration=repeat,
            n=n,
            sampling=GREEDY if n == 1 else template(config.explore.model_copy(update={"temperatures": None})),
            judge=None if n == 1 else kit.critic.judge,
        )  # fmt: skip
        return await evaluate(
            kit.store, kit.store.tasks(split), agent, kit.llm, scorer,
            iteration=repeat, in_flight=config.eval.in_flight, progress=kit.progress, figures=figures,
            further=further,
        )  # fmt: skip

    return Part(split, work)
