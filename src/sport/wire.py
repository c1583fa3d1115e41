"""From a configuration to engines, tools, sandbox and critic: the only place that names concrete classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sport import adapters, checkpoint, wire_bench, wire_synth, wire_t3
from sport.config import Config, Endpoint, endpoints
from sport.dialect import Dialect, system_prompt
from sport.errors import ConfigError
from sport.events import Progress
from sport.kit import Imitate, Kit, Tune
from sport.llm import servers
from sport.llm.base import LLM
from sport.llm.scripted import ScriptedLLM, lines
from sport.llm.served import GoLive, ServedLLM
from sport.llm.serving import Live
from sport.render import Renderer
from sport.sandbox.base import Sandbox
from sport.sandbox.docker import DockerSandbox
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.names import told
from sport.sandbox.unsafe import WARNING, UnsafeSandbox
from sport.seeds import derive
from sport.store import Store
from sport.t3 import Parts
from sport.tools.gta.box import Box
from sport.types import Json, Pair, ToolSpec, Trajectory
from sport.verify import judge
from sport.verify.base import Critic
from sport.verify.chance import ChanceCritic
from sport.verify.rules import RuleCritic
from sport.world.make import make

if TYPE_CHECKING:
    from sport.checkpoint import Checkpoint

SANDBOXES: dict[str, Callable[..., Sandbox]] = {
    "forked": ForkedSandbox,
    "docker": DockerSandbox,
    "unsafe": UnsafeSandbox,
}


def check(config: Config) -> None:
    """What can be found wrong before anything is made on disk.

    Raises:
        ConfigError: a family, tool, dialect or endpoint that does not exist, or numbers that do not fit each other.
        CheckpointError: the controller's directory, or its adapter's, is not there or not whole.
    """
    make("explore", 0, families=config.synth.families)
    if config.controller.kind == "scripted" and not (config.controller.script and all(config.controller.script)):
        raise ConfigError("controller.script: expected at least one line, and in every line at least one text")
    worded(config, [entry.spec for entry in wire_bench.entries(config)])
    wire_t3.check(config)
    for where, settings in endpoints(config).items():
        servers.check(settings, where)
    if config.controller.kind != "local" and config.controller.adapter is not None:
        raise ConfigError(
            'controller.adapter: only for controller.kind = "local"; a server answers with what it has loaded: '
            "sport merge-adapter makes a checkpoint of both, to be served and named in controller.checkpoint"
        )
    if "critic.endpoint" in endpoints(config):
        judge.checked_prompt(config.critic, "critic")
    wire_bench.check(config)
    temperatures = config.explore.temperatures
    if temperatures is not None and len(temperatures) != config.explore.n:
        raise ConfigError(
            f"explore.temperatures: {len(temperatures)} values for explore.n = {config.explore.n} candidates"
        )
    wire_synth.check(config)
    if config.controller.kind in ("local", "served"):
        checkpoint.check(config.controller.folder)


def build(store: Store, progress: Progress) -> Kit:
    """All parts of a run. Loads the controller; boots nothing yet.

    Raises:
        UserError: as :func:`check`, or weights that cannot be loaded.
    """
    config = store.config
    check(config)
    toolbox = wire_bench.tools(store, endpoint, SANDBOXES[config.sandbox.executor])
    dialect = worded(config, toolbox.specs)
    store.keep_prompt(dialect.version, dialect.text)
    llm, tune, imitate = _controller(store, dialect, progress)
    critic, helpers = _critic(store, toolbox)
    box = sandbox(store, toolbox)
    writer, checker = wire_synth.parts(store, toolbox.specs, toolbox.call, box, progress)
    return Kit(
        config=config,
        store=store,
        progress=progress,
        llm=llm,
        dialect=dialect,
        tools=toolbox,
        sandbox=box,
        writer=writer,
        checker=checker,
        critic=critic,
        tune=tune,
        specs=tuple(toolbox.specs),
        helpers=helpers,
        imitate=imitate,
        similarity=wire_bench.similarity(config),
        judge=wire_bench.judge(store, endpoint),
    )


def worded(config: Config, tools: Sequence[ToolSpec]) -> Dialect:
    """How the controller is spoken to. Raises ConfigError."""
    own = config.controller
    system = system_prompt(Path(own.system)) if own.system is not None else None
    return Dialect(own.dialect, tools, limits=told(config.sandbox), system=system, images=own.images)


def t3(kit: Kit) -> Parts:
    """What T3 needs beside the parts of a run (:func:`build`)."""
    return wire_t3.parts(kit, endpoint)


def sandbox(store: Store, toolbox: Box) -> Sandbox:
    """The executor that the configuration names, not started yet. One without walls is noted in the run's log."""
    limits = store.config.sandbox
    if limits.executor == "unsafe":
        store.log("warning", text=WARNING)
    made = SANDBOXES[limits.executor]
    return made(specs=toolbox.specs, call=toolbox.call, put=store.put, read=store.read, limits=limits)


def _controller(store: Store, dialect: Dialect, progress: Progress) -> tuple[LLM, Tune | None, Imitate | None]:
    """The model that is taught, and how: by preference, by imitation. A model behind an endpoint is not tuned."""
    config = store.config
    if config.controller.kind == "scripted":
        return ScriptedLLM(lines(config.controller.script), remember=False), None, None
    if config.controller.kind == "endpoint":
        return endpoint(store, "controller", config.controller.endpoint), None, None
    from sport.llm.local import LocalLLM  # torch comes with it

    checkpoint.use_threads(config.controller.threads)
    loaded = checkpoint.load(config.controller.folder, device=config.controller.device, dtype=config.controller.dtype)
    if config.controller.adapter is not None:
        adapters.merge(loaded.model, Path(config.controller.adapter))  # so that "start" is what the run starts from
    llm = LocalLLM(loaded, store.read)
    tune = _tuner(store.folder, config, dialect, loaded, llm.renderer, progress)
    imitate = wire_t3.imitator(store, dialect, loaded, progress)
    if config.controller.kind == "served":
        return ServedLLM(endpoint(store, "controller", config.controller.endpoint), llm, _go_live(store)), tune, imitate
    return llm, tune, imitate


def endpoint(store: Store, role: str, settings: Endpoint) -> LLM:
    """A role's model behind an endpoint; what it charges is kept in the run."""
    return wire_synth.engine(store, role, settings, store.read)


def _go_live(store: Store) -> GoLive | None:
    """How servers come to know an adapter; None: they do not, and the local weights answer."""
    settings = store.config.controller
    if settings.serving.how == "local":
        return None
    return Live(
        settings.endpoint, settings.serving, "controller.endpoint", lambda made: endpoint(store, "controller", made)
    )


def _critic(store: Store, toolbox: Box) -> tuple[Critic, tuple[LLM, ...]]:
    """Who judges steps, and the models behind him. Where no step is judged, no model is needed for it."""
    settings = store.config.critic
    if settings.kind == "random":
        return ChanceCritic(), ()
    if "critic.endpoint" in endpoints(store.config):
        llm = endpoint(store, "critic", settings.endpoint)
        critic = judge.JudgeCritic(llm, settings, toolbox.specs, name=f"llm {settings.endpoint.model}")
        store.keep_prompt(critic.prompt.version, critic.prompt.text)
        return critic, (llm,)
    return RuleCritic(keys=store.key if settings.kind == "informed" else None), ()


def _tuner(
    folder: Path, config: Config, dialect: Dialect, loaded: Checkpoint, renderer: Renderer, progress: Progress
) -> Tune:
    """The tuning stage over the loaded controller. It touches no store, for it runs on a thread of its own."""

    def tune(
        iteration: int, trajectories: Sequence[Trajectory], pairs: Sequence[Pair], previous: Path | None
    ) -> tuple[Path | None, dict[str, Json]]:
        from sport.tune import card, memory, pack
        from sport.tune.own import figures
        from sport.tune.run import tune as run

        rows, lost = pack.rows(trajectories, pairs, dialect, renderer, config.tune.max_row_tokens)
        if not rows:
            return None, {"tuned": False, **lost}
        out = folder / "tune" / f"{iteration:02d}"
        seed = derive(config.seed, "tune", iteration)
        memory.watch()
        result = run(
            loaded,
            rows,
            out,
            config.tune,
            picture=renderer.picture,
            seed=seed,
            previous=previous,
            progress=progress,
            resume=True,
        )
        source = {"name": f"run {folder.name}, iteration {iteration}", "records": len(trajectories)}
        facts = {"iteration": iteration, **figures(result, config.tune)}
        card.add(result.adapter, method="preference", data=[source], facts=facts, previous=previous)
        first, last = result.history[0], result.history[-1]
        note = {
            "tuned": True,
            "steps": result.steps,
            "rows": result.rows,
            "pairs": result.pairs,
            "tokens": result.tokens,
        }
        curve = {
            f"{name}_{end}": entry.get(name)
            for name in ("loss", "accuracy", "margin")
            for end, entry in (("first", first), ("last", last))
        }
        note["lost_pairs"] = lost.pop("pairs", 0)
        return result.adapter, {**note, **curve, **memory.peaks(), **lost}

    return tune
