"""Templated tasks of the embedded world, behind the Protocol that an LLM writer implements too."""

from __future__ import annotations

from sport.config import Synth
from sport.synth.base import Draft
from sport.world.make import make


class WorldWriter:
    """Drafts of the split ``explore``, a new stream for every (seed, iteration)."""

    def __init__(self, settings: Synth, seed: int) -> None:
        self._settings = settings
        self._seed = seed

    async def write(self, iteration: int, ordinal: int) -> Draft:
        """The draft with this number."""
        made = make(
            "explore",
            ordinal,
            families=self._settings.families,
            defects=self._settings.defects,
            seed=self._seed,
            iteration=iteration,
        )
        return Draft(made.key.task_id, made.query, made.files, made.key)
