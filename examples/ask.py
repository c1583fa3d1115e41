"""One question about your own files, from Python; ``sport ask`` is this with more drawing.

    python examples/ask.py "How much is the tea?" sign.png

Prints each step as it comes, then the answer, and leaves the run in ``runs/example-<time>/``, where ``sport report``
finds it. The embedded controller knows the small world it was taught on; any Qwen2-VL checkpoint takes its place:
``Config(controller=Controller(checkpoint="models/qwen2-vl-7b", dialect="react-1", device="cuda"))``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sport import wire
from sport.ask import SETTINGS, ask, copy_out
from sport.events import Silent
from sport.given import prepare
from sport.store import Store
from sport.types import Candidate, End, Observation, Step


class Printer:
    """Hears what the store has just committed (the Protocol is ``sport.agent.base.Recorder``)."""

    def asked(self, trajectory: str, step: int) -> None:
        """The controller is about to write."""

    def sampled(self, trajectory: str, step: int, candidates: Sequence[Candidate]) -> None:
        """It wrote this."""
        print(f"--- step {step + 1}\n{candidates[0].action.raw}")

    def observed(self, trajectory: str, step: int, candidate: int, observation: Observation) -> None:
        """Its code led to this."""
        print(f"{observation.outcome}: {observation.error or observation.stdout + (observation.value or '')}")

    def decided(self, trajectory: str, step: Step) -> None:
        """The step is done."""

    def ended(self, trajectory: str, end: End) -> None:
        """The trajectory is done: "answered", or what else ended it."""
        print(f"=== {end.answer if end.state == 'answered' else f'no answer: {end.state}, {end.reason}'}")


def main(query: str, *paths: str) -> None:
    """Ask, and say where everything lies."""
    question = prepare(query, map(Path, paths))  # raises InputError before anything is made
    with Store.create(Path("runs") / f"example-{time.strftime('%Y%m%d-%H%M%S')}", SETTINGS) as store:
        trajectory = asyncio.run(ask(wire.build(store, Silent()), question, Printer()))
        made = copy_out(store, trajectory, store.folder / "made")
        print(f"{trajectory.id} in {store.folder}; files made: {[str(one.path) for one in made]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
