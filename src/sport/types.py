"""The nouns of the project: frozen records that every floor may speak of.

A record is data and nothing else: it validates itself, never changes, and goes to JSON and back unharmed.
Two rules hold everywhere. Unknown is ``None``, never a default: a critic that failed has no ``best``. And a
:class:`Trajectory` is a tree that is stored once: its trunk is the chosen actions and their observations, and the
rejected candidates of every step hang from it as leaves (SPORT, arXiv 2504.21561, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Json = Any  # a value that JSON can hold

Outcome = Literal["ok", "error", "timeout", "died", "refused", "unparsed", "planned"]
EndState = Literal["answered", "step_limit", "error_limit", "unverified", "failed"]
Purpose = Literal["explore", "eval"]


class Record(BaseModel):
    """A frozen record without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# ------------------------------------------------------------------------------------------------ tasks


class File(Record):
    """A file by content. ``name`` is what model and code call it; the bytes lie in the store under ``sha256``."""

    name: str
    sha256: str
    size: int
    media_type: str

    @property
    def is_image(self) -> bool:
        """Whether a controller can look at it."""
        return self.media_type.startswith("image/")


ReadFile = Callable[[File], bytes]


class Task(Record):
    """A query with files. It never holds its answer: that is the :class:`Key`, a record of its own.

    ``id`` is unique within a run and says nothing about the answer; ``origin`` names who wrote the task.
    """

    id: str
    query: str
    files: tuple[File, ...] = ()
    origin: str = "world"


class Need(Record):
    """A tool call without which a task cannot honestly be answered."""

    tool: str
    arguments: dict[str, Json] = Field(default_factory=dict)


class Key(Record):
    """What only scorers, the informed critic and the report may read about a task.

    ``defect`` is the kind of a query that was spoilt on purpose, ``None`` for a sound one.
    """

    task_id: str
    answer: str
    facts: dict[str, Json] = Field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    family: str = ""
    wording: str = ""
    layout: str = ""
    defect: str | None = None


# --------------------------------------------------------------------------------------------- messages


class Text(Record):
    """A piece of text in a message."""

    kind: Literal["text"] = "text"
    text: str


class Image(Record):
    """A picture in a message, by file."""

    kind: Literal["image"] = "image"
    file: File


Part = Annotated[Text | Image, Field(discriminator="kind")]


class Message(Record):
    """One turn of a conversation; its parts keep their order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All text parts, joined without a separator."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class Sampling(Record):
    """How to draw samples. ``temperature`` 0 is greedy; candidate i draws from a stream of its own, (seed, i).

    ``temperatures`` overrides ``temperature`` per candidate when given (the paper: 0.7 for the first, 1.2 for
    the others). ``order`` is the place of the task in its stage: engines that batch do so in this order.
    """

    temperature: float = Field(default=1.0, ge=0)
    temperatures: tuple[float, ...] | None = None
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    max_new_tokens: int = Field(default=512, ge=1)
    stop: tuple[str, ...] = ()
    seed: int = 0
    order: int = 0


class Usage(Record):
    """Tokens that a call was charged for."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Spent(Record):
    """What a role's endpoint has charged a run for so far.

    ``unknown`` counts calls that may have been paid for and that nobody can price: cut off, or answered without usage.
    ``cost`` is in the currency of the configured prices, None without prices. ``faults`` counts tries that failed, by
    cause, whether or not a later one succeeded.
    """

    calls: int = 0
    unknown: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    faults: dict[str, int] = Field(default_factory=dict)


class Sample(Record):
    """One text from a model. ``finished`` is False when it was cut at the token limit."""

    text: str
    finished: bool = True
    logprob: float | None = None
    usage: Usage = Usage()
    source: str = ""


# ------------------------------------------------------------------------------------------------ tools


class Parameter(Record):
    """One parameter of a tool. A ``file`` parameter takes a name inside; the tool receives the bytes."""

    name: str
    type: Literal["string", "integer", "number", "boolean", "array", "object", "file", "any"]
    description: str = ""
    required: bool = True
    default: Json = None


class ToolSpec(Record):
    """What a model is told about a tool, and what its arguments are checked against.

    ``version`` changes whenever equal arguments may give another result: it is part of the cache's key.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    description: str
    parameters: tuple[Parameter, ...] = ()
    returns: str = ""
    version: str = "1"


class ToolCall(Record):
    """A call as it was made. File arguments are stored as ``{"file": sha256, "name": name}``."""

    name: str
    arguments: dict[str, Json] = Field(default_factory=dict)


class ToolResult(Record):
    """What came of a call: a JSON value, new files, or an error that the code inside sees as an exception."""

    value: Json = None
    files: tuple[File, ...] = ()
    error: str | None = None
    cached: bool = False
    wall_s: float = 0.0


class CallRecord(Record):
    """A call with its result, as the journal keeps it: replay answers from here and calls no tool again."""

    call: ToolCall
    result: ToolResult


# ------------------------------------------------------------------------------------------- trajectory


class Action(Record):
    """What the controller wrote at one step. History, training and similarity use ``raw``, never a re-rendering.

    ``code`` is None when ``raw`` could not be parsed; ``problem`` then says what to change.
    """

    raw: str
    thought: str = ""
    code: str | None = None
    problem: str | None = None
    finished: bool = True
    logprob: float | None = None
    usage: Usage = Usage()
    source: str = ""


class Observation(Record):
    """What one action led to, in full. What a controller reads of it is its dialect's affair.

    ``value`` is the repr of the last expression, ``truncated`` the true size in bytes of an output that was cut.
    ``answered`` tells a ``final_answer(None)`` from no answer. Times are in seconds.
    """

    outcome: Outcome
    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    error: str | None = None
    files: tuple[File, ...] = ()
    calls: tuple[CallRecord, ...] = ()
    answered: bool = False
    answer: Json = None
    truncated: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0


class Candidate(Record):
    """One of the n actions tried at a step. ``same_as`` names an equal, lower-numbered one that ran for both."""

    index: int
    action: Action
    observation: Observation | None = None
    same_as: int | None = None


class Verdict(Record):
    """What a critic said of a step's candidates.

    ``best`` is a candidate's index, or None when there is no verdict (the critic failed, abstained or contradicted
    itself). ``tied`` are the others as good as the best: they form no pair with it. ``scores`` are by candidate.
    """

    best: int | None
    tied: tuple[int, ...] = ()
    scores: tuple[float | None, ...] = ()
    reason: str = ""
    notes: dict[str, Json] = Field(default_factory=dict)
    critic: str = ""
    asked: int = 1


class Step(Record):
    """A fork in the tree: its candidates, the verdict, and where the trunk goes on.

    ``continued_with`` is set only where there is no ``best``: the trunk goes on with it, but it won nothing.
    """

    index: int
    candidates: tuple[Candidate, ...]
    verdict: Verdict | None = None
    continued_with: int | None = None
    why: str = ""

    @property
    def trunk(self) -> Candidate:
        """The candidate that the trajectory goes on with. Raises ValueError before the step is decided."""
        index = self.verdict.best if self.verdict and self.verdict.best is not None else self.continued_with
        for candidate in self.candidates:
            if candidate.index == index:
                return candidate
        raise ValueError(f"step {self.index} is not decided")


class End(Record):
    """How a trajectory ended. ``answer`` is the text of what was given to ``final_answer``, None without one."""

    state: EndState
    answer: str | None = None
    reason: str = ""


class Trajectory(Record):
    """One task's tree. ``end`` is None while it grows. Its id is unique within a run."""

    id: str
    task: Task
    purpose: Purpose
    iteration: int
    steps: tuple[Step, ...] = ()
    end: End | None = None


class Review(Record):
    """What a trajectory critic said of a whole trajectory: fit to learn from or not, and why.

    ``kept`` is None when there is no verdict (the critic failed or could not tell); such a one is not learnt from.
    """

    kept: bool | None
    reason: str = ""
    notes: dict[str, Json] = Field(default_factory=dict)
    critic: str = ""
    asked: int = 1


class Pair(Record):
    """A preference, by identity: two candidates of one step of one trajectory."""

    trajectory: str
    step: int
    chosen: int
    rejected: int


# ---------------------------------------------------------------------------------------------- figures


class Metric(Record):
    """A figure with its 95 % interval and its denominator. A ``share`` lies in [0, 1]; a ``mean`` is a plain number."""

    value: float
    low: float
    high: float
    n: int
    unit: Literal["share", "mean"] = "share"

    def show(self, value: float) -> str:
        """One of its numbers as people read it: a share in per cent without the sign, a mean with two decimals."""
        return f"{100 * value:.1f}" if self.unit == "share" else f"{value:.2f}"

    @property
    def interval(self) -> str:
        """Value and interval, as tables have them."""
        return f"{self.show(self.value)} [{self.show(self.low)}, {self.show(self.high)}]"

    def __str__(self) -> str:
        """Value, interval and count."""
        return f"{self.interval} n={self.n}"


class Failure(Record):
    """An exception as data: its place in the error tree, what it said, and where it happened."""

    kind: str
    message: str
    where: str = ""
