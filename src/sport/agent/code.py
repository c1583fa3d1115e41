"""The agent: ReAct with code, as in SPORT (arXiv 2504.21561, section 3.2).

One loop serves exploration, where n candidates are tried in futures of one state and a critic chooses, and evaluation,
where n is 1 and nothing is judged. Departures from the paper, on purpose: candidates cannot see each other's effects,
equal ones run once, and a critic that fails makes no winner.
"""

from __future__ import annotations

from collections.abc import Sequence

from sport import config
from sport.agent import plan
from sport.agent.base import Judge, Recorder
from sport.agent.choice import Choice, choose
from sport.agent.form import parser
from sport.agent.parse import same_action
from sport.agent.running import twice
from sport.agent.state import State, entry
from sport.answers import answer_text
from sport.dialect import Dialect
from sport.errors import ContentError, SandboxError, TransientModelError, boundary
from sport.llm.base import LLM
from sport.sandbox.base import Entry, Sandbox
from sport.seeds import derive
from sport.types import Candidate, End, Observation, Sample, Sampling, Step, Task

GREEDY = Sampling(temperature=0.0)
_UNVERIFIED = 3  # steps in a row without a verdict


class CodeAgent:
    """Thought, code, observation, until ``final_answer`` or a limit.

    Randomness is a function of names: the texts of a step come from (seed, iteration, task, step), its code from
    (seed, task, step) for every candidate alike, its critic from (seed, iteration, task, step).

    Args:
        llm: the controller.
        dialect: how task and observations are worded for it.
        sandbox: where states come from; it has been started.
        record: the one writer.
        settings: limits of a trajectory.
        seed: the run's.
        iteration: of the loop, 0 before the first.
        n: candidates at every step.
        sampling: a template; its seed, order and token limit are set here.
        judge: a critic's method; None goes on with the first candidate that ran.
    """

    def __init__(
        self,
        llm: LLM,
        dialect: Dialect,
        sandbox: Sandbox,
        record: Recorder,
        settings: config.Agent,
        *,
        seed: int,
        iteration: int,
        n: int = 1,
        sampling: Sampling = GREEDY,
        judge: Judge | None = None,
    ) -> None:
        self._llm = llm
        self._dialect = dialect
        self._sandbox = sandbox
        self._record = record
        self._settings = settings
        self._seed = seed
        self._iteration = iteration
        self._n = n
        self._sampling = sampling.model_copy(update={"max_new_tokens": settings.max_new_tokens})
        self._judge = judge
        self._parse = parser(dialect.name)

    # ---------------------------------------------------------------------------------------- the loop

    async def run(
        self, trajectory: str, task: Task, order: int = 0, done: Sequence[Step] = (), partial: Step | None = None
    ) -> tuple[tuple[Step, ...], End]:
        """Carry one trajectory to its end, from wherever it stands; every step goes through the recorder.

        ``done`` are its decided steps: their state is rebuilt by replay when a next step needs it. ``partial`` is a
        step that was sampled and not decided: only what is missing of it is done, nothing is sampled again.

        A sandbox or model that fails twice running ends this trajectory as "failed", by the name of the error.

        Raises:
            FatalModelError: no further try can help; nothing is recorded, so that the run can be resumed.
            RunError: the store cannot be written.
        """
        steps, end = list(done), self._end(done)
        with boundary(f"step {len(steps)}", SandboxError, TransientModelError, ContentError) as caught:
            async with State(self._sandbox, trajectory, task.files, self._journal(task, done)) as state:
                while end is None:
                    steps.append(await self._step(trajectory, task, order, steps, state, partial))
                    partial, end = None, self._end(steps)
        if end is None and caught.failure is not None:
            end = End(state="failed", reason=f"{caught.failure.kind}: {caught.failure.message}")
        assert end is not None
        self._record.ended(trajectory, end)
        return tuple(steps), end

    async def _step(
        self, trajectory: str, task: Task, order: int, history: Sequence[Step], state: State, partial: Step | None
    ) -> Step:
        """One fork in the tree: sample, run, judge, go on. The three commits stand where HOUSE puts them."""
        index = len(history)
        candidates = partial.candidates if partial else ()
        if plan.due(history, self._settings.planning):
            return await self._plan(trajectory, task, order, history, candidates)
        if not candidates:
            candidates = await twice(
                lambda: self._sample(trajectory, task, order, history), TransientModelError, ContentError
            )
        candidates = await self._observe(trajectory, task, index, candidates, state)
        choice = await self._choose(task, history, candidates)
        step = Step(index=index, candidates=candidates, **choice._asdict())
        self._record.decided(trajectory, step)
        await state.follow(step.trunk.index, entry(step.trunk, self._code_seed(task, index)))
        return step

    # ------------------------------------------------------------------------------------- its parts

    async def _sample(self, trajectory: str, task: Task, order: int, history: Sequence[Step]) -> tuple[Candidate, ...]:
        """Ask, and commit the intent before and the n texts after."""
        step = len(history)
        seed = derive(self._seed, "sample", self._iteration, task.id, step)
        sampling = self._sampling.model_copy(update={"seed": seed, "order": order})
        messages = self._dialect.history(task, history)
        self._record.asked(trajectory, step)
        samples = await self._llm.sample(messages, self._n, sampling)
        if len(samples) != self._n:
            raise ContentError(f"asked for {self._n} texts, got {len(samples)}")
        candidates = self._read(samples)
        self._record.sampled(trajectory, step, candidates)
        return candidates

    async def _plan(
        self, trajectory: str, task: Task, order: int, history: Sequence[Step], candidates: Sequence[Candidate]
    ) -> Step:
        """A step that is a plan: one greedy text, nothing run, nothing judged."""
        index = len(history)
        if not candidates:
            seed = derive(self._seed, "plan", self._iteration, task.id, index)
            sampling = GREEDY.model_copy(
                update={"seed": seed, "order": order, "max_new_tokens": self._sampling.max_new_tokens}
            )
            messages = plan.request(self._dialect.history(task, history), history)

            async def ask() -> list[Sample]:
                self._record.asked(trajectory, index)
                return await self._llm.sample(messages, 1, sampling)

            (sample,) = await twice(ask, TransientModelError, ContentError)
            candidates = (plan.noted(sample),)
            self._record.sampled(trajectory, index, candidates)
        step = Step(index=index, candidates=tuple(candidates), continued_with=0, why="a plan")
        self._record.decided(trajectory, step)
        return step

    def _read(self, samples: Sequence[Sample]) -> tuple[Candidate, ...]:
        """Texts to candidates. One that equals a lower-numbered one will not run, nor will one without code."""
        candidates: list[Candidate] = []
        for index, sample in enumerate(samples):
            known = {"logprob": sample.logprob, "usage": sample.usage, "source": sample.source}
            parsed = self._parse(sample.text, sample.finished, self._sampling.max_new_tokens)
            action = parsed.model_copy(update=known)
            same = next((c.index for c in candidates if c.same_as is None and same_action(c.action, action)), None)
            seen = (
                Observation(outcome="unparsed", error=action.problem) if action.code is None and same is None else None
            )
            candidates.append(Candidate(index=index, action=action, observation=seen, same_as=same))
        return tuple(candidates)

    async def _observe(
        self, trajectory: str, task: Task, step: int, candidates: Sequence[Candidate], state: State
    ) -> tuple[Candidate, ...]:
        """Run what has no observation yet; each is committed when its run ends. One broken sandbox is mended."""
        seen = {c.index: c.observation for c in candidates if c.observation is not None}
        waiting = {c.index: c.action.code for c in candidates if c.same_as is None and c.action.code is not None}
        waiting = {index: code for index, code in waiting.items() if index not in seen}
        seed = self._code_seed(task, step)

        def ran(index: int, observation: Observation) -> None:
            self._record.observed(trajectory, step, index, observation)
            seen[index] = observation
            del waiting[index]

        async def run() -> None:
            if self._n > 1:
                await state.try_out(dict(waiting), seed, ran)
            elif waiting:
                ((index, code),) = waiting.items()
                await state.go(index, code, seed, ran)

        await twice(run, SandboxError, between=state.rewind)
        return tuple(c.model_copy(update={"observation": seen.get(c.index)}) for c in candidates)

    async def _choose(self, task: Task, history: Sequence[Step], candidates: Sequence[Candidate]) -> Choice:
        seed = derive(self._seed, "judge", self._iteration, task.id, len(history))
        return await choose(self._judge, task, history, candidates, seed)

    def _end(self, steps: Sequence[Step]) -> End | None:
        """Whether the trunk is at an end, and at which."""
        steps = [step for step in steps if not plan.is_plan(step)]
        trunk = [step.trunk.observation for step in steps]
        errors = sum(1 for seen in trunk if seen is None or seen.outcome != "ok")
        silent = [step.verdict is not None and step.verdict.best is None for step in steps[-_UNVERIFIED:]]
        if trunk and trunk[-1] is not None and trunk[-1].answered:
            return End(state="answered", answer=answer_text(trunk[-1].answer))
        if len(silent) == _UNVERIFIED and all(silent):
            return End(state="unverified", reason=f"no verdict in {_UNVERIFIED} steps in a row")
        if errors >= self._settings.max_errors:
            return End(state="error_limit", reason=f"{errors} errors")
        if len(steps) >= self._settings.max_steps:
            return End(state="step_limit", reason=f"{len(steps)} steps without an answer")
        return None

    def _journal(self, task: Task, done: Sequence[Step]) -> list[Entry]:
        lines = (entry(step.trunk, self._code_seed(task, step.index)) for step in done)
        return [line for line in lines if line is not None]

    def _code_seed(self, task: Task, step: int) -> int:
        """The same for every candidate of a step, so that equal code is comparable and replay can derive it."""
        return derive(self._seed, "code", task.id, step)
