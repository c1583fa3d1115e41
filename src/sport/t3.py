"""The T3 path (arXiv 2412.15606): synthesise, let a strong model solve, verify, imitate what was kept, evaluate.

Its result is an adapter that a run of SPORT can start from: ``controller.adapter``. Departures from the paper, on
purpose: a trajectory that nobody could judge is not learnt from, and the share of data is drawn by the run's seed.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from sport import loop
from sport.agent.code import CodeAgent
from sport.agent.fleet import run_tasks
from sport.agent.running import together
from sport.dialect import Dialect
from sport.errors import ContentError, TransientModelError, boundary
from sport.kit import Kit
from sport.llm.base import LLM
from sport.seeds import derive
from sport.types import Json, Review, Sampling, Trajectory
from sport.verify.base import TrajectoryCritic

STAGES = ("synth", "trajectories", "review", "sft", "eval")
TOGETHER = 16  # reviews under way at once; a server's own limit comes on top


@dataclass(frozen=True)
class Parts:
    """What T3 needs beside a run's kit: who solves tasks, how they are worded for him, and who reviews.

    ``helpers`` are the models behind them that are not the kit's; their connections are kept while stages run.
    """

    expert: LLM
    dialect: Dialect
    reviewer: TrajectoryCritic
    helpers: tuple[LLM, ...] = ()


async def run(kit: Kit, parts: Parts) -> None:
    """Evaluate the controller as it is, then all stages once, in order. Done stages are left alone.

    Raises:
        FatalModelError: a model cannot be used; what is done stays.
    """
    work: dict[str, loop.Work] = {
        "synth": loop.synth,
        "trajectories": partial(_trajectories, parts),
        "review": partial(_review, parts),
        "sft": _sft,
        "eval": loop.measure,
    }
    kit = replace(kit, helpers=(*kit.helpers, *parts.helpers))
    await loop.through(kit, [(0, "eval"), *((1, name) for name in STAGES)], work)


# --------------------------------------------------------------------------------------------- the stages


async def _trajectories(parts: Parts, kit: Kit, iteration: int) -> dict[str, Json]:
    """One trajectory a task, zero-shot: no candidates, no critic."""
    expert = kit.config.t3.expert
    agent = kit.config.agent
    if expert.kind == "endpoint":
        agent = agent.model_copy(update={"max_new_tokens": expert.max_new_tokens})
    solver = CodeAgent(
        parts.expert, parts.dialect, kit.sandbox, kit.store, agent,
        seed=kit.config.seed, iteration=iteration, sampling=Sampling(temperature=expert.temperature),
    )  # fmt: skip
    await run_tasks(
        kit.store.tasks("explore", iteration), solver, kit.store, parts.expert, purpose="explore",
        iteration=iteration, in_flight=kit.config.explore.in_flight, progress=kit.progress, stage="trajectories",
    )  # fmt: skip
    ends: Counter[str] = Counter(t.end.state for t in kit.store.trajectories("explore", iteration) if t.end)
    return {**ends, "dialect": parts.dialect.version}


async def _review(parts: Parts, kit: Kit, iteration: int) -> dict[str, Json]:
    """Every trajectory once; reviews that are there already are left alone."""
    names = _names(kit, iteration)
    due = [name for name in names if kit.store.review(name) is None]
    kit.progress.start("review", len(names), "trajectories")
    kit.progress.advance("review", len(names) - len(due))

    async def one(name: str) -> None:
        kit.store.add_review(name, await _reviewed(parts, kit, kit.store.trajectory(name)))
        kit.progress.advance("review")

    for start in range(0, len(due), TOGETHER):
        await together(one(name) for name in due[start : start + TOGETHER])
    counts = Counter(_word(kit.store.review(name)) for name in names)
    kit.progress.finish("review", ", ".join(f"{number} {word}" for word, number in counts.items()))
    return dict(counts)


async def _reviewed(parts: Parts, kit: Kit, trajectory: Trajectory) -> Review:
    """Ask, and once more if the critic breaks or cannot tell."""
    if not kit.config.t3.trajectory_check:
        answered = trajectory.end is not None and trajectory.end.state == "answered"
        return Review(kept=answered, reason="Not checked.", critic="none")
    seed, review = derive(kit.config.seed, "review", trajectory.id), Review(kept=None)
    for asked, draw in ((1, seed), (2, derive(seed, "again"))):
        with boundary("review", TransientModelError, ContentError) as caught:
            review = await parts.reviewer.review(trajectory, draw)
        if caught.failure is not None:
            reason = f"{caught.failure.kind}: {caught.failure.message}"
            review = Review(kept=None, reason=reason, critic=parts.reviewer.name)
        review = review.model_copy(update={"asked": asked})
        if review.kept is not None:
            break
    return review


async def _sft(kit: Kit, iteration: int) -> dict[str, Json]:
    """Imitate a share of what was kept."""
    kept = [name for name in _names(kit, iteration) if (found := kit.store.review(name)) is not None and found.kept]
    chosen = share(kept, kit.config.t3.fraction, kit.config.seed)
    if not chosen:
        kit.store.set_adapter(iteration, None)
        return {"tuned": False, "trajectories": 0}
    assert kit.imitate is not None  # wire refuses T3 for a controller whose weights are elsewhere
    await kit.llm.use(None)
    made, note = await asyncio.to_thread(kit.imitate, [kit.store.trajectory(name) for name in chosen])
    kit.store.set_adapter(iteration, str(made.relative_to(kit.store.folder)))
    return {"tuned": True, "trajectories": len(chosen), "of": len(kept), **note}


def share(names: Sequence[str], fraction: float, seed: int) -> list[str]:
    """A share of the names, rounded up, in their order. A smaller share is part of every larger one.

    >>> share(["a", "b", "c"], 1.0, 0)
    ['a', 'b', 'c']
    """
    drawn = sorted(names, key=lambda name: derive(seed, "share", name))
    chosen = set(drawn[: math.ceil(fraction * len(names))])
    return [name for name in names if name in chosen]


def _names(kit: Kit, iteration: int) -> list[str]:
    return [outline.id for outline in kit.store.outlines("explore", iteration)]


def _word(review: Review | None) -> str:
    return {True: "kept", False: "rejected", None: "no verdict"}[review.kept if review else None]
