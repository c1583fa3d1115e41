"""The query-file check by a language model: keep, revise and look again, or drop (SPORT, section 3.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from sport.errors import ContentError, ToolError
from sport.seeds import derive
from sport.synth.base import Check, LookInto
from sport.synth.near import Excluded
from sport.synth.replies import Asker, as_json
from sport.types import File, Json, Sampling, Task, ToolSpec

EXCERPT = 6000  # characters of a document that are shown


class _Verdict(BaseModel):
    verdict: Literal["keep", "revise", "drop"]
    criterion: str = "none"
    reason: str = Field(min_length=1)
    query: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> _Verdict:
        if self.verdict == "revise" and not (self.query or "").strip():
            raise ValueError("a verdict of revise needs the new query")
        return self


@dataclass(frozen=True)
class _Shown:
    """A file on its way into the prompt: a picture itself, or a document's text."""

    record: File
    text: str = ""


@dataclass(frozen=True)
class JudgeCheck:
    """A :class:`~sport.synth.base.Checker` that sees query, pictures and documents' texts, never a key.

    A query may be revised ``revisions`` times, each time looked at again; what would need one more is dropped. A
    revised query that comes close to a benchmark's item is dropped. Whoever judged may be wrong: what it said is in the
    notes, round by round.
    """

    asker: Asker
    look: LookInto
    tools: tuple[ToolSpec, ...]
    excluded: Excluded
    revisions: int
    seed: int

    async def check(self, task: Task) -> Check:
        """See :meth:`Checker.check`. Raises FatalModelError."""
        rounds: list[Json] = []
        notes: dict[str, Json] = {"check": self.asker.prompts["check"].version, "rounds": rounds}
        query = task.query
        try:
            shown = [await self._shown(file) for file in task.files]
            for turn in range(self.revisions + 1):
                verdict = await self._ask(query, shown, derive(self.seed, "check", task.id, turn), turn)
                rounds.append({"query": query, **verdict.model_dump()})
                if verdict.verdict != "revise" or turn == self.revisions:
                    break
                query = (verdict.query or "").strip()
                if close := self.excluded.close(query):
                    reason = f'benchmark: revised to what is close to item {close.item} of "{close.source}"'
                    return Check(False, reason, notes)
        except (ContentError, ToolError) as error:
            return Check(False, f'check: failed, "{_quotable(str(error))}"', notes)
        revised = query if query != task.query else None
        if verdict.verdict == "keep":
            return Check(True, f'fits{", revised" if revised else ""}: "{_quotable(verdict.reason)}"', notes, revised)
        kind = (
            " ".join(re.findall(r"\w+", verdict.criterion.lower()))
            if verdict.verdict == "drop"
            else "needs another revision"
        )
        return Check(False, f'check: {kind}, "{_quotable(verdict.reason)}"', notes, revised)

    async def _ask(self, query: str, shown: list[_Shown], seed: int, turn: int) -> _Verdict:
        values = {"query": query, "files": shown, "tools": self.tools, "may_revise": turn < self.revisions}
        sampling = Sampling(temperature=0, max_new_tokens=1024, seed=seed)
        return (await self.asker.ask("check", values, as_json(_Verdict), sampling)).value

    async def _shown(self, file: File) -> _Shown:
        return _Shown(file) if file.is_image else _Shown(file, (await self.look(file))[:EXCERPT])


class NoCheck:
    """Keeps everything: the ablation without a query-file check (T3, table 5)."""

    async def check(self, task: Task) -> Check:
        """Keep it."""
        return Check(True, "not checked")


def _quotable(text: str) -> str:
    return " ".join(text.replace('"', "'").split())
