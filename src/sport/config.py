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


class Section(BaseModel):
    """A frozen part of the configuration without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Synth(Section):
    """Who writes tasks. ``tasks`` is how many *kept* tasks an iteration explores."""

    kind: Literal["world"] = "world"
    tasks: int = Field(default=60, ge=1)
    families: tuple[str, ...] = (
        "scene", "chart", "label", "receipt", "document", "menu", "scene", "timetable", "paper", "lookup",
    )  # fmt: skip
    defects: float = Field(default=0.25, ge=0, lt=1, description="share of queries that are spoilt on purpose")


class Controller(Section):
    """The model that is taught. ``checkpoint`` is a directory, or "nano" for the one inside the package."""

    checkpoint: str = "nano"
    adapter: str | None = None
    dialect: str = "nano-1"
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"
    threads: int = Field(default=1, ge=1, description="of torch on a CPU; more than 1 only pays on quiet cores")

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies: "nano" is inside the package."""
        return Path(str(resources.files("sport") / "nano")) if self.checkpoint == "nano" else Path(self.checkpoint)


class Agent(Section):
    """Limits of a trajectory (the paper: 8 steps, 5 errors, 512 new tokens)."""

    max_steps: int = Field(default=8, ge=1)
    max_errors: int = Field(default=5, ge=1)
    max_new_tokens: int = Field(default=512, ge=1)


class Explore(Section):
    """Step sampling: n candidates at every step, each in its own fork."""

    n: int = Field(default=5, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    temperatures: tuple[float, ...] | None = Field(default=None, description="one per candidate; overrides temperature")
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    in_flight: int = Field(default=16, ge=1, description="trajectories worked on at once")


class CriticSection(Section):
    """Who judges steps: rules that see what an LLM critic sees (blind), rules that read the key too, or chance."""

    kind: Literal["blind", "informed", "random"] = "blind"


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
    max_row_tokens: int = Field(default=10240, ge=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    save_steps: int = Field(default=25, ge=1)
    report_to: tuple[str, ...] = ()


class Eval(Section):
    """Greedy evaluation, no sampling and no critic, before and after every iteration."""

    split: Literal["dev", "heldout"] = "heldout"
    tasks: int = Field(default=100, ge=1)
    unseen: int = Field(default=0, ge=0, description="tasks of families that no run explores; 0 leaves them out")
    in_flight: int = Field(default=32, ge=1)


class Bench(Section):
    """A benchmark, for ``sport eval gta|gaia|world``; a run with one explores nothing and tunes nothing."""

    kind: Literal["none", "gta", "gaia", "world"] = "none"
    data: str = Field(default="", description="folder of the data set; the embedded world needs none")
    split: str = Field(default="validation", description="of GAIA: validation or test")
    level: int | None = Field(default=None, description="of GAIA: only this one")
    images: bool = Field(default=True, description="of GTA: False replays the reference's tool results; no comparison")
    step_by_step: bool = Field(default=True, description="of GTA: also ask for every step after the reference's prefix")
    repeats: int = Field(default=1, ge=1, description="whole evaluations, with seeds of their own")
    row: str = Field(default="", description="name of the published row that this run stands beside")


class SandboxSection(Section):
    """Limits of one step of model-written code."""

    wall_s: float = Field(default=10.0, gt=0)
    output_bytes: int = Field(default=65536, ge=1)
    memory_mb: int = Field(default=1024, ge=64)
    libraries: tuple[str, ...] = ("numpy", "pandas", "PIL.Image")


class Tools(Section):
    """Which tools the controller has, and the pool of processes that runs them."""

    names: tuple[str, ...] = ("ocr", "count", "locate", "crop", "inspect_file_as_text", "search")
    workers: int = Field(default=2, ge=1)
    deadline_s: float = Field(default=60.0, gt=0)
    memory_mb: int = Field(default=4096, ge=256)


class Config(Section):
    """A whole run."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9._-]+$")
    seed: int = Field(default=0, ge=0)
    iterations: int = Field(default=1, ge=1)
    synth: Synth = Synth()
    controller: Controller = Controller()
    agent: Agent = Agent()
    explore: Explore = Explore()
    critic: CriticSection = CriticSection()
    pairs: Pairs = Pairs()
    tune: Tune = Tune()
    eval: Eval = Eval()
    bench: Bench = Bench()
    sandbox: SandboxSection = SandboxSection()
    tools: Tools = Tools()


def load(path: Path, overrides: Iterable[str] = ()) -> Config:
    """Read a TOML file and apply ``a.b=value`` overrides; values are TOML, and bare words are strings.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, a wrong type, a value out of range.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such configuration; try configs/demo.toml") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    changes = list(overrides)
    for override in changes:
        _apply(data, override)
    return parse(data, " ".join([str(path), *(f"--set {change}" for change in changes)]))


def parse(data: Mapping[str, Any], source: str) -> Config:
    """Validate plain data; ``source`` is named in the message. Raises ConfigError."""
    try:
        return Config.model_validate(_tuples(data))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {_explain(dict(item))}" for item in error.errors())) from error


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
