"""The step critic that is a language model (SPORT, arXiv 2504.21561, section 3.3).

It sees the task with its pictures, what was done so far, and the candidates with their results. Departures from the
paper, on purpose: the candidates are shown in an order drawn for every call and under letters, since judges favour
places; a second call with the order reversed may have to agree; a judge that cannot tell says so, and there is then no
winner; and equally good candidates tie.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sport import structured
from sport.config import CriticSection
from sport.errors import ContentError, TransientModelError
from sport.llm.base import LLM
from sport.seeds import derive
from sport.types import Action, Candidate, Json, Message, Observation, Sampling, Step, Task, ToolSpec, Verdict
from sport.verify.base import Critic
from sport.verify.replies import FORMS
from sport.wording import Prompt, prompt

CRITERIA = {
    "hallucination": "values come from the task, its files or earlier results; nothing is written into the code that a "
    "tool should have found out",
    "tool": "the tools that are called are the right ones for what is still missing",
    "content": "what a tool is given is right: the file, the question, the words to search for",
    "relevance": "the step serves the task",
    "coherence": "the step follows from earlier results and uses them",
    "assumption": "nothing is assumed beyond the task, its files and earlier results",
}
"""What the paper's verifier looks at."""
LETTERS = "PQRSTUVWXYZ"
"""Names of candidates: no letter of them is a word, a mark at school or the beginning of a list."""
_EQUAL = 1e-9


@dataclass(frozen=True)
class Lettered:
    """A candidate as the judge sees it."""

    name: str
    action: Action
    observation: Observation | None


@dataclass(frozen=True)
class Call:
    """One reading: the order in which candidates were shown, what the judge made of each, and its words.

    ``shares`` is None when it could not tell, or when nothing could be read (``problem``).
    """

    order: tuple[int, ...]
    shares: dict[int, float] | None
    notes: dict[str, Json]
    problem: Exception | None = None

    @property
    def best(self) -> list[int]:
        """Those that no other is better than."""
        return _best(self.shares) if self.shares else []


class JudgeCritic(Critic):
    """Asks a language model which candidate is best.

    A *vote* is one call, or with ``swap`` a pair of calls with opposite orders; a pair that agrees on no best candidate
    is an abstention, as is a judge that says it cannot tell. With several votes, shares are averaged over those that
    were cast, and more than half must be. Candidates with equal shares tie.

    Its verdict follows from (task, history, candidates, seed) as far as its model does from its messages and seed.
    Where no candidate has any code there is nothing to judge, and nobody is asked.

    Args:
        llm: the judge.
        settings: mode, votes, swap, pictures, prompt.
        tools: what the controller may call.
        name: of this critic, kept with its verdicts.
        where: its place in the configuration, for messages.

    Raises:
        ConfigError: a prompt of the user's that is not there, is no template, or speaks of what there is not.
    """

    def __init__(
        self,
        llm: LLM,
        settings: CriticSection,
        tools: Sequence[ToolSpec] = (),
        *,
        name: str = "llm",
        where: str = "critic",
    ) -> None:
        self.name = name
        self._llm = llm
        self._settings = settings
        self._tools = tuple(tools)
        self._where = where
        self.prompt = checked_prompt(settings, where)

    async def judge(self, task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int) -> Verdict:
        """See :class:`~sport.verify.base.Critic`.

        Raises:
            ContentError: no vote could be read, also after asking for a mended form.
            TransientModelError: no vote came.
            FatalModelError: no further try can help.
        """
        shown = sorted(candidates, key=lambda candidate: candidate.index)
        if all(candidate.action.code is None for candidate in shown):
            return Verdict(best=None, reason="no candidate could be parsed", critic=self.name)
        orders = self._orders(len(shown), seed)
        asked = [
            self._call(task, history, [shown[i] for i in order], derive(seed, "vote", vote))
            for vote, pair in enumerate(orders)
            for order in pair
        ]
        calls = await _all(asked)
        width = len(orders[0])
        return self._verdict([calls[i : i + width] for i in range(0, len(calls), width)])

    # ------------------------------------------------------------------------------------------ asking

    def _orders(self, size: int, seed: int) -> list[list[list[int]]]:
        """By vote: the orders in which candidates are shown."""
        votes = []
        for vote in range(self._settings.votes):
            order = list(range(size))
            random.Random(derive(seed, "order", vote)).shuffle(order)
            votes.append([order, order[::-1]] if self._settings.swap else [order])
        return votes

    async def _call(self, task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int) -> Call:
        names = [LETTERS[i] if i < len(LETTERS) else f"P{i + 1}" for i in range(len(candidates))]
        order = tuple(candidate.index for candidate in candidates)
        lettered = [Lettered(n, c.action, c.observation) for n, c in zip(names, candidates, strict=True)]
        parts = self.prompt.parts(values(self._settings, self._tools, task, history, lettered))
        sampling = Sampling(
            temperature=self._settings.temperature, max_new_tokens=self._settings.max_new_tokens, seed=seed
        )
        try:
            answer = await structured.ask(
                self._llm, [Message(role="user", parts=parts)], FORMS[self._settings.mode], sampling,
                what=self._where, context={"names": names},
            )  # fmt: skip
        except (ContentError, TransientModelError) as error:
            return Call(order, None, {"order": list(order), "problem": str(error)}, error)
        by_name, found = dict(zip(names, order, strict=True)), answer.value.shares(names)
        shares = None if found is None else {by_name[name]: share for name, share in found.items()}
        notes: dict[str, Json] = {
            "order": list(order),
            "best": _best(shares) if shares else None,
            "reason": _renamed(answer.value.reason, by_name),
            "criteria": {name: _renamed(words, by_name) for name, words in answer.value.criteria.items()},
            "repaired": answer.repaired,
            "model": answer.source,
        }
        return Call(order, shares, notes)

    # ----------------------------------------------------------------------------------------- counting

    def _verdict(self, votes: Sequence[Sequence[Call]]) -> Verdict:
        """Votes to a verdict. Raises the problem where no call could be read."""
        calls = [call for vote in votes for call in vote]
        problem = next((call.problem for call in calls if call.problem), None)
        if problem and all(call.problem for call in calls):
            raise problem
        cast = [shares for vote in votes if (shares := _cast(vote)) is not None]
        notes: dict[str, Json] = {"prompt": self.prompt.version, "mode": self._settings.mode}
        notes |= {"votes": len(votes), "cast": len(cast), "calls": [call.notes for call in calls]}
        if 2 * len(cast) <= len(votes):
            return Verdict(best=None, reason=_why_not(votes), notes=notes, critic=self.name)
        shares = {index: sum(one[index] for one in cast) / len(cast) for index in cast[0]}
        best, *tied = _best(shares)
        scores = tuple(round(shares[i], 4) if i in shares else None for i in range(max(shares) + 1))
        reason = next((str(call.notes["reason"]) for call in calls if best in call.best), "")
        return Verdict(
            best=best, tied=tuple(tied), scores=scores, reason=_sentence(reason), notes=notes, critic=self.name
        )


def checked_prompt(settings: CriticSection, where: str) -> Prompt:
    """The critic's prompt, filled in once with an example, so that mistakes in it are found before anything runs.

    Raises:
        ConfigError: as :class:`JudgeCritic`.
    """
    found = prompt("critic", settings.prompt, f"{where}.prompt")
    task = Task(id="example", query="How many?")
    said = Action(raw="Thought: I count.\nCode:\n```py\n1\n```", thought="I count.", code="1")
    seen = Observation(outcome="ok", stdout="1\n")
    step = Step(index=0, candidates=(Candidate(index=0, action=said, observation=seen),), continued_with=0)
    broken = Observation(outcome="error", error="NameError", answered=True, value="1")
    found.parts(values(settings, (), task, [step], [Lettered("A", said, seen), Lettered("B", said, broken)]))
    return found


def values(
    settings: CriticSection,
    tools: Sequence[ToolSpec],
    task: Task,
    history: Sequence[Step],
    candidates: Sequence[Lettered],
) -> dict[str, Any]:
    """What a critic's prompt may speak of."""
    return {
        "task": task, "tools": tools, "history": history, "candidates": candidates, "criteria": CRITERIA,
        "mode": settings.mode, "images": settings.images,
    }  # fmt: skip


async def _all(calls: Sequence[Any]) -> list[Call]:
    """All at once; the first error that ends the run ends the others too."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _cast(vote: Sequence[Call]) -> dict[int, float] | None:
    """A vote's shares; None for an abstention."""
    shares = [call.shares for call in vote]
    if any(one is None for one in shares) or not set.intersection(*(set(call.best) for call in vote)):
        return None
    return {index: sum(one[index] for one in shares if one) / len(shares) for index in shares[0] or {}}


def _why_not(votes: Sequence[Sequence[Call]]) -> str:
    """Why there is no verdict, in a sentence."""
    reasons = []
    for vote in votes:
        bests = [call.best for call in vote]
        if _cast(vote) is not None:
            continue
        if any(call.problem for call in vote):
            reasons.append("an answer could not be had")
        elif all(bests):
            reasons.append(f"in one order the best is {bests[0]}, in the other {bests[1]}")
        else:
            reasons.append(next(str(call.notes["reason"]) for call in vote if not call.best))
    return _sentence("The judge abstains: " + "; ".join(dict.fromkeys(reasons)))


def _best(shares: dict[int, float]) -> list[int]:
    highest = max(shares.values())
    return sorted(index for index, share in shares.items() if share > highest - _EQUAL)


def _renamed(words: str, by_name: dict[str, int]) -> str:
    """Letters that stand alone become candidates' numbers: the order of one call says nothing to a reader."""
    return " ".join(_number(word, by_name) for word in words.split())


def _number(word: str, by_name: dict[str, int]) -> str:
    bare = word.strip("'\"`().,;:[]")
    bare = bare.removesuffix("'s")
    return word.replace(bare, str(by_name[bare]), 1) if bare in by_name else word


def _sentence(words: str) -> str:
    words = words.strip()
    return words if words.endswith((".", "!", "?")) else f"{words}."
