"""What a run will cost, before it is started: calls, tokens, seconds and disk per stage.

The figures per step and token were measured with the embedded controller on two cores of a laptop-like machine; for
another controller the calls and tokens hold, and the seconds are a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from sport.config import Config

STEPS = 2.5  # steps of a trajectory, on average
PROMPT_TOKENS, ACTION_TOKENS = 220, 45  # of one step
TASK_S = 0.25  # a task written and checked: mostly OCR, on two workers
CANDIDATE_S = 0.035  # one candidate sampled, run and judged
TOKEN_S = 0.00012  # one row token tuned once
TASK_MB, STEP_MB, ADAPTER_MB = 0.25, 0.01, 0.6


@dataclass(frozen=True)
class Estimate:
    """One stage of all iterations: calls of a model, tokens read and written, seconds, and MB on disk."""

    stage: str
    calls: int
    tokens: int
    seconds: float
    disk_mb: float


def estimate(config: Config) -> list[Estimate]:
    """What is expected of every stage, all iterations together (pure)."""
    k, tasks, n = config.iterations, config.synth.tasks, config.explore.n
    written = tasks / (1 - config.synth.defects)
    tunes = config.controller.kind == "local"  # any other is evaluated once and not tuned
    steps, exams = k * tasks * STEPS, (k + 1 if tunes else 1) * config.eval.tasks * STEPS
    row = PROMPT_TOKENS + STEPS * n * ACTION_TOKENS
    tuned = int(k * tasks * row * (config.tune.epochs + 1 / 3))  # the reference pass is a third of a training pass
    tuned *= tunes
    checkpoints = ADAPTER_MB * k * 2 * tunes
    return [
        Estimate("synth", 0, 0, k * written * TASK_S, k * written * TASK_MB),
        Estimate("explore", int(steps), _tokens(steps, n), steps * n * CANDIDATE_S, steps * n * STEP_MB),
        Estimate("pairs", 0, 0, k * tasks * 0.002, 0.0),
        Estimate("tune", 0, tuned, tuned * TOKEN_S, checkpoints),
        Estimate("eval", int(exams), _tokens(exams, 1), exams * CANDIDATE_S * 2, exams * STEP_MB),
    ]


def _tokens(steps: float, n: int) -> int:
    """The history is encoded once for all n candidates of a step."""
    return int(steps * (PROMPT_TOKENS + n * ACTION_TOKENS))
