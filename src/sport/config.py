"""Configuration: one frozen model per stage, read from TOML, changed by ``--set a.b=c``, saved resolved in the run.

Every field has a default that works on a laptop; an unknown key, a wrong type or a value out of range is a
:class:`~sport.errors.ConfigError` that names the key, says what was expected and suggests the nearest known key.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sport.errors import ConfigError

Layer = Literal[
    "namespaces", "root", "disk", "limits", "uid", "capabilities", "privileges", "dumpable", "parent", "landlock",
    "gate", "seccomp",
]  # fmt: skip
"""The walls around a box, in the order in which they go up (docs/SECURITY.md)."""


def checkpoint_folder(name: str) -> Path:
    """The directory of a checkpoint by the name that a user gives it: "nano" is inside the package."""
    return Path(str(resources.files("sport") / "nano")) if name == "nano" else Path(name)


class Section(BaseModel):
    """A frozen part of the configuration without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Endpoint(Section):
    """A model behind the OpenAI protocol (``/v1/chat/completions``), for one role; docs/ENDPOINTS.md has examples.

    The key itself is never part of a configuration: ``key_env`` names the environment variable that holds it. Prices
    are per million tokens; a budget counts over all resumptions of a run.
    """

    base_urls: tuple[str, ...] = Field(default=(), description="servers of one and the same model, used in balance")
    model: str = ""
    key_env: str | None = None
    concurrency: int = Field(default=16, ge=1, description="calls under way at once, over all servers")
    timeout_s: float = Field(default=120.0, gt=0, description="of one try, from its first byte to its last")
    deadline_s: float = Field(default=600.0, gt=0, description="of all tries of a call and the waits between them")
    tries: int = Field(default=6, ge=1)
    max_wait_s: float = Field(default=30.0, ge=0, description="longest wait between tries, whatever Retry-After says")
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    leave_out: tuple[Literal["temperature", "top_p", "seed", "stop"], ...] = Field(
        default=(), description="parameters that this server refuses"
    )
    logprobs: bool = False
    price_in: float | None = Field(default=None, ge=0)
    price_out: float | None = Field(default=None, ge=0)
    max_cost: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, ge=1, description="budget of the whole run, prompts included")


AMENDABLE = frozenset(Endpoint.model_fields) - {"model", "limit_name", "leave_out", "logprobs"}
"""Settings of an endpoint that may change when a run goes on: none of them changes what is sampled."""
AMENDABLE_OF_TOOLS = frozenset({"concurrency", "cost", "deadline_s", "max_cost", "memory_mb", "rate"})
"""Likewise those of a tool, ``tools.settings.NAME``."""


class SynthSeeds(Section):
    """Queries that a language model sees as examples. ``path`` is JSONL or one query a line; "" is the shipped set."""

    path: str = ""
    examples: int = Field(default=20, ge=1, description="shown in one call, as in the paper")


class SynthEmbedding(Section):
    """What turns captions into vectors: an ``/v1/embeddings`` endpoint, or sentence-transformers on this machine."""

    kind: Literal["endpoint", "local"] = "endpoint"
    endpoint: Endpoint = Endpoint()
    model: str = Field(default="BAAI/bge-m3", description="of sentence-transformers: a directory or a name")
    device: str = "cpu"
    batch: int = Field(default=64, ge=1, description="captions of one call")


class SynthCaptions(Section):
    """A vision-language model that says what a picture without a caption shows."""

    endpoint: Endpoint = Endpoint()


class SynthImages(Section):
    """Where pictures come from; ``sources`` are tried in order until one has the picture that is wanted.

    ``library`` is a folder, a JSONL of image and caption, or a JSON of ShareGPT4V's layout; paths in it are relative to
    ``root`` ("" is its own folder). ``embeddings`` is a ready .npy, a row an entry, made by the embedding's model.
    """

    sources: tuple[Literal["library", "endpoint", "diffusers"], ...] = ()
    library: str = ""
    root: str = ""
    embeddings: str = ""
    index: str = Field(default="runs/index", description="folder that keeps captions and embeddings between runs")
    floor: float = Field(default=0.5, ge=-1, le=1, description="least cosine of a match: no picture beats a bad one")
    embedding: SynthEmbedding = SynthEmbedding()
    captions: SynthCaptions = SynthCaptions()
    endpoint: Endpoint = Endpoint()
    size: str = Field(default="1024x1024", pattern=r"^[1-9]\d*x[1-9]\d*$")
    ask_base64: bool = Field(default=True, description="send response_format; some servers refuse the parameter")
    model: str = Field(default="", description="of diffusers: the directory of a pipeline")
    device: str = "cpu"
    steps: int = Field(default=30, ge=1)


DocumentKind = Literal["csv", "xlsx", "docx", "pptx", "pdf", "json", "html", "txt"]


class SynthDocuments(Section):
    """Documents written by a program of the language model's in the sandbox. No ``kinds``: queries need none."""

    kinds: tuple[DocumentKind, ...] = ("csv", "xlsx", "docx", "pptx", "pdf", "json", "html", "txt")


class SynthCheck(Section):
    """The query-file check. Off, every task that has its files is kept. Without servers of its own it asks synth's."""

    enabled: bool = True
    endpoint: Endpoint = Endpoint()
    revisions: int = Field(default=1, ge=0, description="how often a query may be revised and looked at again")


class Synth(Section):
    """Who writes tasks. ``tasks`` is how many *kept* tasks an iteration explores.

    The embedded world reads ``families`` and ``defects``; a language model (``kind`` "llm") reads everything else.
    """

    kind: Literal["world", "llm"] = "world"
    tasks: int = Field(default=60, ge=1)
    tasks_file: str = Field(default="", description="JSON lines of one's own tasks, explored in place of written ones")
    families: tuple[str, ...] = (
        "scene", "receipt", "document", "chart", "menu", "scene", "receipt", "label", "scene", "receipt",
        "chart", "menu", "lookup", "scene", "receipt", "paper", "chart", "timetable", "scene", "receipt",
        "label", "menu", "receipt",
    )  # fmt: skip  # often: what only the picture tells (scenes), and what the embedded controller was hardly taught
    defects: float = Field(default=0.25, ge=0, lt=1, description="share of queries that are spoilt on purpose")
    endpoint: Endpoint = Endpoint()
    prompts: str = Field(default="", description='folder of your own templates; "" are the shipped ones')
    queries_per_call: int = Field(default=10, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    max_new_tokens: int = Field(default=4096, ge=1)
    duplicate: float = Field(default=0.6, gt=0, le=1, description="word-triple overlap that makes a near-duplicate")
    exclude: tuple[str, ...] = Field(default=(), description="benchmarks that no query may come close to: JSON, text")
    overlap: float = Field(default=0.5, gt=0, le=1, description="share of an item's word 5-grams that is close")
    give_up: int = Field(default=64, ge=1, description="drafts dropped in a row after which synthesis stops")
    seeds: SynthSeeds = SynthSeeds()
    images: SynthImages = SynthImages()
    documents: SynthDocuments = SynthDocuments()
    check: SynthCheck = SynthCheck()


class Serving(Section):
    """How an adapter that was tuned here comes to the servers that sample from the controller (docs/SCALING.md)."""

    how: Literal["local", "vllm", "restart"] = Field(
        default="local",
        description="the local weights answer for an adapter; runtime endpoints of vLLM; or the command below",
    )
    root: str | None = Field(
        default=None, description="servers see RUN/tune/01/adapter as ROOT/01/adapter; None: as here"
    )
    command: tuple[str, ...] = Field(default=(), description="a restart: {name} and {adapter} are filled in")
    wait_s: float = Field(default=600.0, gt=0, description="for servers to come back after the command")


class Controller(Section):
    """The model that is taught. ``checkpoint`` is a directory, or "nano" for the one inside the package.

    ``kind`` says where its weights are. "local": here, for sampling and for tuning. "endpoint": elsewhere; it explores
    and is evaluated, and is not tuned. "served": here for tuning, and a server of the same checkpoint samples.
    "scripted": nowhere; ``script``, a line of texts for every step, stands in where everything around it is tried.
    """

    kind: Literal["local", "endpoint", "served", "scripted"] = "local"
    script: tuple[tuple[str, ...], ...] = Field(
        default=(), description="of kind scripted: a step's texts, the last again"
    )
    endpoint: Endpoint = Endpoint()
    checkpoint: str = "nano"
    adapter: str | None = None
    dialect: str = "nano-1"
    system: str | None = Field(default=None, description="file of the system prompt: text, or data that holds one")
    images: bool = Field(default=True, description="False hides pictures from the controller; its tools see them")
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"
    threads: int = Field(default=1, ge=1, description="of torch on a CPU; more than 1 only pays on quiet cores")
    serving: Serving = Serving()

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies: "nano" is inside the package."""
        return checkpoint_folder(self.checkpoint)


class Agent(Section):
    """Limits of a trajectory (the paper: 8 steps, 5 errors, 512 new tokens)."""

    max_steps: int = Field(default=8, ge=1)
    max_errors: int = Field(default=5, ge=1)
    max_new_tokens: int = Field(default=512, ge=1)
    planning: int = Field(default=0, ge=0, description="a plan first, and again after so many steps; 0 is off")


class Explore(Section):
    """Step sampling: n candidates at every step, each in its own fork."""

    n: int = Field(default=5, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    temperatures: tuple[float, ...] | None = Field(default=None, description="one per candidate; overrides temperature")
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    in_flight: int = Field(default=16, ge=1, description="trajectories worked on at once")


class Judging(Section):
    """A language model that judges, for one role (docs/CRITICS.md)."""

    endpoint: Endpoint = Endpoint()
    prompt: str | None = Field(default=None, description="a Jinja file of your own in place of the package's")
    images: bool = Field(default=True, description="show pictures; False for a judge that only reads")
    temperature: float = Field(default=0.0, ge=0)
    max_new_tokens: int = Field(default=1024, ge=1)


class CriticSection(Judging):
    """Who judges steps: rules that see what an LLM critic sees (blind), rules that read the key too, chance, a model.

    All but ``kind`` are of the model behind an endpoint.
    """

    kind: Literal["blind", "informed", "random", "endpoint"] = "blind"
    mode: Literal["best", "ranking", "scores"] = Field(default="best", description="what the model is asked for")
    swap: bool = Field(default=False, description="ask again in the opposite order; disagreement is an abstention")
    votes: int = Field(default=1, ge=1, description="times it is asked; more than half must be cast")


class Expert(Section):
    """Who writes T3's trajectories: the controller itself, or a stronger model behind an endpoint."""

    kind: Literal["controller", "endpoint"] = "controller"
    endpoint: Endpoint = Endpoint()
    dialect: str = Field(default="react-1", description="how tasks are worded for a model behind an endpoint")
    temperature: float = Field(default=0.0, ge=0)
    max_new_tokens: int = Field(default=512, ge=1, description="of a model behind an endpoint")


class Reviewing(Judging):
    """Who decides which trajectories are fit to learn from: rules, or a model behind an endpoint."""

    kind: Literal["rules", "endpoint"] = "rules"


class T3(Section):
    """Supervised tuning on verified trajectories (T3, arXiv 2412.15606); its settings of tuning are in ``tune``.

    ``trajectory_check``, ``fraction``, ``synth.check.enabled`` and ``controller.images`` are the paper's ablations.
    """

    expert: Expert = Expert()
    critic: Reviewing = Reviewing()
    trajectory_check: bool = Field(default=True, description="False learns from every trajectory with an answer")
    fraction: float = Field(default=1.0, gt=0, le=1, description="share of the kept trajectories that is learnt from")
    mix: tuple[str, ...] = Field(default=(), description="PATH=W: W general conversations for every trajectory")


class Pairs(Section):
    """Filters by name. ``too_similar`` drops a pair whose word similarity (0..1) is at least this; None is off."""

    failed: bool = Field(default=False, description="keep pairs whose chosen candidate's code failed, too")
    broken: bool = Field(default=True, description="keep pairs whose rejected candidate's code failed")
    too_similar: float | None = Field(default=None, ge=0, le=1)


class Tune(Section):
    """Step-wise DPO with LoRA (SPORT, equation 3). Defaults suit the embedded controller."""

    rank: int = Field(default=32, ge=1)
    alpha: int = Field(default=32, ge=1)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    beta: float = Field(default=0.1, gt=0)
    loss: Literal["sigmoid", "ipo"] = "sigmoid"
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    nll_weight: float = Field(default=0.0, ge=0)
    reference: Literal["start", "previous"] = "start"
    learning_rate: float = Field(default=3e-4, gt=0)
    epochs: int = Field(default=2, ge=1)
    rows_per_step: int = Field(default=4, ge=1, description="trajectories that one optimiser step sees")
    pairs_per_step: int | None = Field(
        default=None, ge=1, description="pairs that one optimiser step sees; overrides rows_per_step"
    )
    max_row_tokens: int = Field(default=10240, ge=1, description="a longer trajectory is cut at a step")
    batch_tokens: int | None = Field(
        default=None, ge=1, description="tokens that go through the model at once; None takes max_row_tokens"
    )
    gradient_checkpointing: bool = Field(default=False, description="less memory for a third more time")
    warmup: float = Field(default=0.1, ge=0, lt=1)
    save_steps: int = Field(default=25, ge=1)
    report_to: tuple[str, ...] = ()


class Eval(Section):
    """Greedy evaluation, no sampling and no critic, before and after every iteration."""

    split: Literal["dev", "heldout"] = "heldout"
    tasks: int = Field(default=100, ge=1)
    unseen: int = Field(default=0, ge=0, description="tasks of families that no run explores; 0 leaves them out")
    in_flight: int = Field(default=32, ge=1)


class Judge(Section):
    """Who says whether an answer is right where a task's scorer is ``judge``."""

    endpoint: Endpoint = Endpoint()


class Bench(Section):
    """A benchmark, for ``sport eval gta|gaia|world|tasks``; a run with one explores nothing and tunes nothing."""

    kind: Literal["none", "gta", "gaia", "world", "tasks"] = "none"
    data: str = Field(default="", description="folder of the data set, or file of tasks; the world needs none")
    split: str = Field(default="validation", description="of GAIA: validation or test")
    level: int | None = Field(default=None, description="of GAIA: only this one")
    images: bool = Field(default=True, description="of GTA: False replays the reference's tool results; no comparison")
    step_by_step: bool = Field(default=True, description="of GTA: also ask for every step after the reference's prefix")
    repeats: int = Field(default=1, ge=1, description="whole evaluations, with seeds of their own")
    candidates: int = Field(default=1, ge=1, description="more than 1: sampled as explore says, judged by the critic")
    row: str = Field(default="", description="name of the published row that this run stands beside")
    normalise: bool = Field(default=False, description="of GAIA: the controller restates answers; reported apart")
    judge: Judge = Judge()
    similarity: str = Field(
        default="", description="of GTA: folder of all-mpnet-base-v2; without it no subjective score"
    )
    answers: str = Field(default="", description="of sport score: a file of answers made elsewhere; nothing is run")


class SandboxSection(Section):
    """Where model-written code runs, what is around it, and the limits of one step of it."""

    executor: Literal["forked", "docker", "unsafe"] = Field(default="forked", description="unsafe: for debugging alone")
    without: tuple[Layer, ...] = Field(default=(), description="layers of the wall that are left off")
    below_floor: bool = Field(default=False, description="run all the same where the walls are too thin")
    wall_s: float = Field(default=10.0, gt=0, allow_inf_nan=False, description="of one step; of processor time, too")
    output_bytes: int = Field(default=65536, ge=1)
    memory_mb: int = Field(default=1024, ge=64)
    calls: int = Field(default=100, ge=0, description="tool calls that one step may make")
    call_s: float = Field(
        default=120.0, gt=0, allow_inf_nan=False, description="deadline of one tool call, waiting for a worker included"
    )
    outputs: int = Field(default=32, ge=0, description="new files of one step that its observation carries")
    file_mb: int = Field(default=64, ge=1, description="the largest file that code may write")
    disk_mb: int = Field(default=256, ge=1, description="all files of a box, those of its candidates included")
    disk_files: int = Field(default=16384, ge=64, description="how many of them, folders included")
    open_files: int = Field(default=256, ge=128)
    threads: int = Field(default=128, ge=16, description="threads of a box, all its processes counted")
    libraries: tuple[str, ...] = Field(
        default=(
            "numpy", "pandas", "scipy", "sympy", "matplotlib.pyplot", "PIL.Image", "cv2", "openpyxl", "docx", "pptx",
            "reportlab",
        ),
        description="what code finds imported already; a missing one is reported when the sandbox starts",
    )  # fmt: skip


class ToolSettings(Section):
    """What one tool is given beyond its name: ``[tools.settings.NAME]``. Unset limits are those of all tools.

    ``options`` are the tool's own and JSON. A key is never one of them: ``env`` names variables of the environment that
    the tool's process gets. A tool with limits of its own has processes of its own.
    """

    options: dict[str, Any] = Field(default_factory=dict)
    endpoint: Endpoint = Endpoint()
    env: tuple[str, ...] = Field(default=(), description="names of environment variables, never their values")
    concurrency: int | None = Field(default=None, ge=1, description="calls under way at once")
    rate: float | None = Field(
        default=None, gt=0, description="calls a minute; what is answered from the cache is free"
    )
    cost: float | None = Field(default=None, ge=0, description="of a call, in the currency of the endpoints' prices")
    max_cost: float | None = Field(default=None, gt=0, description="budget of the whole run")
    deadline_s: float | None = Field(default=None, gt=0)
    memory_mb: int | None = Field(default=None, ge=256)
    cache: bool | None = Field(default=None, description="equal calls share an answer; the tool's own choice if unset")


class McpServer(Section):
    """A server of the Model Context Protocol: ``command`` starts one on this machine, ``url`` is one that runs."""

    command: tuple[str, ...] = ()
    cwd: str | None = None
    url: str = ""
    key_env: str | None = Field(default=None, description="variable that holds the bearer token of a url")
    env: tuple[str, ...] = Field(default=(), description="names of environment variables that the command gets")
    only: tuple[str, ...] = Field(default=(), description="the tools to take, all without it")
    prefix: str = Field(default="", description="put before the tools' names")
    concurrency: int = Field(default=1, ge=1, description="servers started, or connections")


class Web(Section):
    """How tools reach the web. ``record`` is a folder of answers: written by "record", and all there is to "replay"."""

    mode: Literal["live", "record", "replay"] = "live"
    record: str = ""
    allow_private: bool = Field(default=False, description="also private and loopback addresses")
    timeout_s: float = Field(default=20.0, gt=0, description="of one page, redirects included")
    max_mb: int = Field(default=8, ge=1, le=32, description="the largest page")


class Tools(Section):
    """Which tools the controller has, and the pool of processes that runs them.

    A name is that of a built-in tool, ``"module:function"`` or ``"path/file.py:function"``; docs/TOOLS.md says more.
    """

    names: tuple[str, ...] = ("ocr", "count", "locate", "crop", "inspect_file_as_text", "search")
    workers: int = Field(default=2, ge=1)
    deadline_s: float = Field(default=60.0, gt=0)
    memory_mb: int = Field(default=4096, ge=256)
    settings: dict[str, ToolSettings] = Field(default_factory=dict)
    mcp: dict[str, McpServer] = Field(default_factory=dict)
    web: Web = Web()


class Cluster(Section):
    """Workers of ``sport run --ray``. Each explores ``explore.in_flight`` trajectories at once."""

    workers: int | None = Field(default=None, ge=1, description="None: as many as the cluster has room for")
    cpus: float = Field(default=2.0, gt=0, description="that a worker asks the cluster for: its boxes run on them")
    gpus: float = Field(
        default=0.0, ge=0, description="the same, for engines and tools that need one; parts are allowed"
    )


class Config(Section):
    """A whole run."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9._-]+$")
    seed: int = Field(default=0, ge=0)
    method: Literal["sport", "t3"] = Field(default="sport", description="t3: supervised tuning, once, as sport t3 does")
    iterations: int = Field(default=1, ge=1)
    synth: Synth = Synth()
    controller: Controller = Controller()
    agent: Agent = Agent()
    explore: Explore = Explore()
    critic: CriticSection = CriticSection()
    t3: T3 = T3()
    pairs: Pairs = Pairs()
    tune: Tune = Tune()
    eval: Eval = Eval()
    bench: Bench = Bench()
    sandbox: SandboxSection = SandboxSection()
    tools: Tools = Tools()
    cluster: Cluster = Cluster()


def endpoints(config: Config) -> dict[str, Endpoint]:
    """The chat endpoints that a configuration uses, by their place in it; a benchmark uses the controller's alone."""
    learns, t3 = config.bench.kind == "none", config.method == "t3"
    reviews = config.t3.trajectory_check and config.t3.critic.kind == "endpoint"
    writes = learns and config.synth.kind == "llm"
    check, captions = config.synth.check.endpoint, config.synth.images.captions.endpoint
    used = {
        "synth.endpoint": (writes, config.synth.endpoint),
        "synth.check.endpoint": (writes and check.base_urls, check),
        "synth.images.captions.endpoint": (
            writes and captions.base_urls and "library" in config.synth.images.sources,
            captions,
        ),
        "controller.endpoint": (config.controller.kind in ("endpoint", "served"), config.controller.endpoint),
        "critic.endpoint": (learns and not t3 and config.critic.kind == "endpoint", config.critic.endpoint),
        "t3.expert.endpoint": (t3 and config.t3.expert.kind == "endpoint", config.t3.expert.endpoint),
        "t3.critic.endpoint": (t3 and reviews, config.t3.critic.endpoint),
    }
    asking = {
        f"tools.settings.{name}.endpoint": one.endpoint
        for name, one in config.tools.settings.items()
        if name in config.tools.names and one.endpoint.base_urls and not name.startswith("image_")  # those paint
    }
    return {where: settings for where, (wanted, settings) in used.items() if wanted} | asking


def mute_endpoints(config: Config) -> dict[str, Endpoint]:
    """The endpoints that a configuration uses and that do not talk: they paint, or turn captions into vectors."""
    images = config.synth.images
    writes = config.bench.kind == "none" and config.synth.kind == "llm"
    embeds = "library" in images.sources and images.embedding.kind == "endpoint"
    used = {
        "synth.images.endpoint": (writes and "endpoint" in images.sources, images.endpoint),
        "synth.images.embedding.endpoint": (writes and embeds, images.embedding.endpoint),
        **{
            f"tools.settings.{name}.endpoint": (name in config.tools.names and name.startswith("image_"), one.endpoint)
            for name, one in config.tools.settings.items()
        },
    }
    return {where: settings for where, (wanted, settings) in used.items() if wanted and settings.base_urls}


def load(path: Path | None, overrides: Iterable[str] = ()) -> Config:
    """Read a TOML file (None: all defaults), apply ``a.b=value`` overrides; values are TOML, and bare words strings.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, a wrong type, a value out of range.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such configuration; try configs/demo.toml") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    changes = list(overrides)
    for override in changes:
        _apply(data, override)
    return parse(data, " ".join([*([str(path)] if path else []), *(f"--set {change}" for change in changes)]))


def parse(data: Mapping[str, Any], source: str) -> Config:
    """Validate plain data; ``source`` is named in the message. Raises ConfigError."""
    try:
        return Config.model_validate(_tuples(data))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {_explain(dict(item))}" for item in error.errors())) from error


def limits(changes: Iterable[str]) -> SandboxSection:
    """A sandbox's settings, changed by ``KEY=VALUE`` as a run's are by ``sandbox.KEY=VALUE``. Raises ConfigError."""
    data: dict[str, Any] = {}
    for change in changes:
        _apply(data, f"sandbox.{change.removeprefix('sandbox.')}")
    return parse(data, " ".join(f"--set {change}" for change in changes)).sandbox


def amend(config: Config, overrides: Iterable[str]) -> Config:
    """The configuration of a run that exists, with overrides that change no result (:data:`AMENDABLE`).

    Raises:
        ConfigError: any other key, or a value that does not fit.
    """
    data, changes = config.model_dump(), list(overrides)
    for override in changes:
        section, _, name = override.partition("=")[0].strip().rpartition(".")
        parent, _, last = section.rpartition(".")
        of_endpoint = last == "endpoint" and name in AMENDABLE
        if not of_endpoint and not (parent == "tools.settings" and name in AMENDABLE_OF_TOOLS):
            raise ConfigError(
                f"--set {override}: a run that is resumed keeps its settings, but for an endpoint's "
                f"{', '.join(sorted(AMENDABLE))} and a tool's {', '.join(sorted(AMENDABLE_OF_TOOLS))}"
            )
        _apply(data, override)
    return parse(data, " ".join(f"--set {change}" for change in changes))


def _apply(data: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"--set {override}: expected KEY=VALUE, for example --set explore.n=3")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    if not isinstance(value, bool | int | float | str | list | dict):
        value = text.strip()  # a date to TOML, a word to us
    *path, last = key.strip().split(".")
    for part in path:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override}: {part} is a value, not a section")
    data[last] = value


def _tuples(value: Any) -> Any:
    """TOML arrays become tuples and whole numbers stay whole: strict validation does the rest."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _explain(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place, _known(Config), n=1) or difflib.get_close_matches(
            str(error["loc"][-1]), [k.rsplit(".", 1)[-1] for k in _known(Config)], n=1
        )
        return f"unknown key {place!r}" + (f"; did you mean {near[0]!r}?" if near else "; see configs/demo.toml")
    return f"{place}: {error['msg']} (got {error['input']!r})"


def _known(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        names.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += _known(field.annotation, f"{prefix}{name}.")
    return names
