"""What a run will cost, before it is started: calls, tokens, seconds and disk per stage.

The figures per step and token were measured with the embedded controller on two cores of a laptop-like machine. Of any
other controller calls and tokens are told, and no seconds: those are its machine's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sport.config import Config, Synth

STEPS = 2.5  # steps of a trajectory, on average
ACTION_TOKENS = 45  # of one step
PROMPT_TOKENS, LONG_PROMPT = 220, 5000  # the embedded controller's; tools described and pictures, as in docs/SCALING.md
TASK_S = 0.25  # a task written and checked: mostly OCR, on two workers
CANDIDATE_S = 0.035  # one candidate sampled, run and judged
TOKEN_S = 0.00012  # one row token tuned once
JUDGE_PROMPT, JUDGE_WORDS = 1500, 300  # what a judge reads of a step and writes about it; pictures come on top
KEPT, WITH_FILES, FILES, PICTURES = 0.6, 0.85, 1.2, 0.5  # of drafts by a language model; our guess, none is published
CALL_S = 6.0  # a call of a large model
TASK_MB, STEP_MB, ADAPTER_MB = 0.25, 0.01, 0.6


@dataclass(frozen=True)
class Estimate:
    """One stage of all iterations: calls of a model, tokens read and written, seconds, and MB on disk.

    ``seconds`` is None where they depend on a machine that nobody here has measured.
    """

    stage: str
    calls: int
    tokens: int
    seconds: float | None
    disk_mb: float


def estimate(config: Config) -> list[Estimate]:
    """What is expected of every stage, all iterations together (pure)."""
    if config.method == "t3":
        return _t3(config)
    k, tasks, n = config.iterations, config.synth.tasks, config.explore.n
    tunes = config.controller.kind in ("local", "served")  # any other is evaluated once and not tuned
    steps, exams = k * tasks * STEPS, (k + 1 if tunes else 1) * config.eval.tasks * STEPS
    prompt, own = _prompt(config), _measured(config)  # None of ``own`` stays None in seconds
    row = prompt + STEPS * n * ACTION_TOKENS
    tuned = int(k * tasks * row * (config.tune.epochs + 1 / 3))  # the reference pass is a third of a training pass
    tuned *= tunes
    checkpoints = ADAPTER_MB * k * 2 * tunes
    asks = len(set(config.explore.temperatures or (0.0,)))  # candidates of one temperature come in one call
    judged = int(steps * config.critic.votes * (1 + config.critic.swap)) if config.critic.kind == "endpoint" else 0
    critic = [Estimate("critic", judged, judged * _read(n), None, 0.0)] if judged else []
    return [
        _synthesis(config.synth, k),
        Estimate(
            "explore",
            int(steps) * asks,
            _tokens(steps, n, prompt),
            own and steps * n * CANDIDATE_S,
            steps * n * STEP_MB,
        ),
        *critic,
        Estimate("pairs", 0, 0, k * tasks * 0.002, 0.0),
        Estimate("tune", 0, tuned, own and tuned * TOKEN_S, checkpoints),
        Estimate("eval", int(exams), _tokens(exams, 1, prompt), own and exams * CANDIDATE_S * 2, exams * STEP_MB),
    ]


def _t3(config: Config) -> list[Estimate]:
    """The T3 path: one trajectory a task, one review each, one tuning."""
    tasks, t3 = config.synth.tasks, config.t3
    prompt, own = _prompt(config), _measured(config)
    steps, exams = tasks * STEPS, 2 * config.eval.tasks * STEPS
    reviews = tasks if t3.trajectory_check and t3.critic.kind == "endpoint" else 0
    tuned = int(t3.fraction * tasks * (prompt + STEPS * ACTION_TOKENS) * config.tune.epochs)
    return [
        _synthesis(config.synth, 1),
        Estimate("trajectories", int(steps), _tokens(steps, 1, prompt), own and steps * CANDIDATE_S, steps * STEP_MB),
        Estimate("review", reviews, reviews * _read(STEPS), None, 0.0)
        if reviews
        else Estimate("review", 0, 0, 0.0, 0.0),
        Estimate("sft", 0, tuned, own and tuned * TOKEN_S, ADAPTER_MB * 2),
        Estimate("eval", int(exams), _tokens(exams, 1, prompt), own and exams * CANDIDATE_S * 2, exams * STEP_MB),
    ]


def _read(actions: float) -> int:
    """Tokens of one call of a judge."""
    return int(JUDGE_PROMPT + actions * 2 * ACTION_TOKENS + JUDGE_WORDS)


def _synthesis(synth: Synth, iterations: int) -> Estimate:
    """Written by a language model: queries some at a time, then for each contents, files and the check.

    Captions and vectors of an image library come on top; they are made once and kept between runs.
    """
    if synth.kind == "world":
        written = iterations * synth.tasks / (1 - synth.defects * synth.check.enabled)
        return Estimate("synth", 0, 0, written * TASK_S, written * TASK_MB)
    drafts = iterations * synth.tasks / KEPT
    files = WITH_FILES if synth.images.sources or synth.documents.kinds else 0.0
    painted = files * PICTURES if synth.images.sources else 0.0
    calls = (  # (how many, tokens of each)
        (drafts / synth.queries_per_call, 2500 + 90 * synth.queries_per_call),
        (drafts * files, 700),  # contents
        (drafts * (files * FILES - painted) * bool(synth.documents.kinds), 1600),  # programs
        (drafts * painted, 60),  # a vector or a picture each
        (drafts * 1.3 * synth.check.enabled, 2200),  # the check, three in ten twice
    )
    number, tokens = sum(many for many, _ in calls), sum(many * each for many, each in calls)
    at_once = min(16, synth.endpoint.concurrency)  # drafts looked at together
    return Estimate("synth", math.ceil(number), int(tokens), number * CALL_S / at_once, drafts * TASK_MB)


def _tokens(steps: float, n: int, prompt: int) -> int:
    """The history is encoded once for all n candidates of a step."""
    return int(steps * (prompt + n * ACTION_TOKENS))


def _prompt(config: Config) -> int:
    return PROMPT_TOKENS if config.controller.dialect == "nano-1" else LONG_PROMPT


def _measured(config: Config) -> float | None:
    """1, to multiply seconds with, where they were measured: for the embedded controller, and for none (scripted)."""
    known = config.controller.kind == "scripted" or config.controller.checkpoint == "nano"
    return 1.0 if known and config.controller.kind in ("local", "scripted") else None
