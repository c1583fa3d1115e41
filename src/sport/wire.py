"""From a configuration to engines, tools, sandbox and critic: the only place that names concrete classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sport import adapters, checkpoint
from sport.bench import gta
from sport.config import Config, Endpoint
from sport.dialect import Dialect
from sport.errors import ConfigError
from sport.events import Progress
from sport.kit import Kit, Tune
from sport.llm import servers
from sport.llm.base import LLM
from sport.llm.endpoint import EndpointLLM
from sport.llm.ledger import Ledger
from sport.llm.scripted import ScriptedLLM, lines
from sport.render import Renderer
from sport.sandbox.base import Sandbox
from sport.sandbox.docker import DockerSandbox
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.names import told
from sport.sandbox.unsafe import WARNING, UnsafeSandbox
from sport.seeds import derive
from sport.store import Store
from sport.synth.check import RuleCheck
from sport.synth.queries import WorldWriter
from sport.tools.entry import builtin
from sport.tools.reference import ReferenceTools
from sport.tools.toolbox import Toolbox
from sport.types import Json, Pair, Spent, Trajectory
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
    Dialect(config.controller.dialect, [entry.spec for entry in builtin(config.tools.names)])
    if config.controller.kind == "scripted":
        if not all(config.controller.script) or not config.controller.script:
            raise ConfigError("controller.script: expected at least one line, and in every line at least one text")
    elif config.controller.kind == "endpoint":
        servers.check(config.controller.endpoint, "controller.endpoint")
        if config.controller.adapter is not None:
            raise ConfigError('controller.adapter: only for controller.kind = "local"; a server loads its own adapters')
    else:
        checkpoint.check(config.controller.folder)
    temperatures = config.explore.temperatures
    if temperatures is not None and len(temperatures) != config.explore.n:
        raise ConfigError(
            f"explore.temperatures: {len(temperatures)} values for explore.n = {config.explore.n} candidates"
        )


def build(store: Store, progress: Progress) -> Kit:
    """All parts of a run. Loads the controller; boots nothing yet.

    Raises:
        UserError: as :func:`check`, or weights that cannot be loaded.
    """
    config = store.config
    check(config)
    toolbox = _tools(store)
    dialect = Dialect(config.controller.dialect, toolbox.specs, limits=told(config.sandbox))
    llm, tune = _controller(store, dialect, progress)
    return Kit(
        config=config,
        store=store,
        progress=progress,
        llm=llm,
        dialect=dialect,
        tools=toolbox,
        sandbox=sandbox(store, toolbox),
        writer=WorldWriter(config.synth, config.seed),
        checker=RuleCheck(toolbox.call, store.read),
        critic=_critic(store),
        tune=tune,
    )


def sandbox(store: Store, toolbox: Toolbox | ReferenceTools) -> Sandbox:
    """The executor that the configuration names, not started yet. One without walls is noted in the run's log."""
    limits = store.config.sandbox
    if limits.executor == "unsafe":
        store.log("warning", text=WARNING)
    made = SANDBOXES[limits.executor]
    return made(specs=toolbox.specs, call=toolbox.call, put=store.put, read=store.read, limits=limits)


def _controller(store: Store, dialect: Dialect, progress: Progress) -> tuple[LLM, Tune | None]:
    """The model that is taught, and how; a model behind an endpoint is not tuned."""
    config = store.config
    if config.controller.kind == "scripted":
        return ScriptedLLM(lines(config.controller.script), remember=False), None
    if config.controller.kind == "endpoint":
        return _endpoint(store, "controller", config.controller.endpoint), None
    from sport.llm.local import LocalLLM  # torch comes with it

    checkpoint.use_threads(config.controller.threads)
    loaded = checkpoint.load(config.controller.folder, device=config.controller.device, dtype=config.controller.dtype)
    if config.controller.adapter is not None:
        adapters.merge(loaded.model, Path(config.controller.adapter))  # so that "start" is what the run starts from
    llm = LocalLLM(loaded, store.read)
    return llm, _tuner(store.folder, config, dialect, loaded, llm.renderer, progress)


def _endpoint(store: Store, role: str, settings: Endpoint) -> LLM:
    """A role's model behind an endpoint; what it charges is kept in the run."""

    def save(spent: Spent) -> None:
        store.set_spent(role, spent)

    where = f"{role}.endpoint"
    return EndpointLLM(settings, where, store.read, Ledger(where, settings, store.spent(role), save))


def _tools(store: Store) -> Toolbox | ReferenceTools:
    """The tools of the configuration, or GTA's reference in their place where its pictures are not here."""
    config = store.config
    if config.bench.kind == "gta" and not config.bench.images:
        items = gta.load(Path(config.bench.data))
        turns = [turn for item in items for turn in item.turns]
        recorded = [(t.move.name, t.move.arguments, t.result) for t in turns if t.result is not None]
        return ReferenceTools(gta.all_tools(items), recorded)
    return Toolbox(
        builtin(config.tools.names),
        workers=config.tools.workers,
        deadline_s=config.tools.deadline_s,
        memory_mb=config.tools.memory_mb,
        cache=store.cache(),
    )


def _critic(store: Store) -> Critic:
    kind = store.config.critic.kind
    if kind == "random":
        return ChanceCritic()
    return RuleCritic(keys=store.key if kind == "informed" else None)


def _tuner(
    folder: Path, config: Config, dialect: Dialect, loaded: Checkpoint, renderer: Renderer, progress: Progress
) -> Tune:
    """The tuning stage over the loaded controller. It touches no store, for it runs on a thread of its own."""

    def tune(
        iteration: int, trajectories: Sequence[Trajectory], pairs: Sequence[Pair], previous: Path | None
    ) -> tuple[Path | None, dict[str, Json]]:
        from sport.tune import card, pack
        from sport.tune.own import figures
        from sport.tune.run import tune as run

        rows, lost = pack.rows(trajectories, pairs, dialect, renderer, config.tune.max_row_tokens)
        if not rows:
            return None, {"tuned": False, **lost}
        out = folder / "tune" / f"{iteration:02d}"
        seed = derive(config.seed, "tune", iteration)
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
        return result.adapter, {**note, **curve, **lost}

    return tune
