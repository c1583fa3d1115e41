"""Steps as figures count them."""

from __future__ import annotations

from sport.types import Trajectory


def counts(trajectory: Trajectory) -> dict[str, float]:
    """``steps``, and those of them that ``ran`` without an exception. A plan is no step: nothing of it runs."""
    seen = [step.trunk.observation for step in trajectory.steps]
    outcomes = [o.outcome if o is not None else "" for o in seen]
    return {
        "steps": float(sum(outcome != "planned" for outcome in outcomes)),
        "ran": float(sum(outcome == "ok" for outcome in outcomes)),
    }
