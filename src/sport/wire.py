"""From a configuration to engines, tools, sandbox and critic: the only place that names concrete classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sport import checkpoint
from sport.bench import gta
from sport.config import Config
from sport.dialect import Dialect
from sport.errors import ConfigError
from sport.events import Progress
from sport.kit import Kit, Tune
from sport.render import Renderer
from sport.sandbox.forked import ForkedSandbox
from sport.seeds import derive
from sport.store import Store
from sport.synth.check import RuleCheck
from sport.synth.queries import WorldWriter
from sport.tools.entry import builtin
from sport.tools.reference import ReferenceTools
from sport.tools.toolbox import Toolbox
from sport.types import Json, Pair, Trajectory
from sport.verify.base import Critic
from sport.verify.chance import ChanceCritic
from sport.verify.rules import RuleCritic
from sport.world.make import make

if TYPE_CHECKING:
    from sport.checkpoint import Checkpoint


def check(config: Config) -> None:
    """What can be found wrong before anything is made on disk.

    Raises:
        ConfigError: a family, tool or dialect that does not exist, or numbers that do not fit each other.
        CheckpointError: the controller's directory, or its adapter's, is not there or not whole.
    """
    make("explore", 0, families=config.synth.families)
    Dialect(config.controller.dialect, [entry.spec for entry in builtin(config.tools.names)])
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
    from sport.llm.local import LocalLLM  # torch comes with it

    config = store.config
    check(config)
    checkpoint.use_threads(config.controller.threads)
    toolbox = _tools(store)
    dialect = Dialect(config.controller.dialect, toolbox.specs)
    loaded = checkpoint.load(config.controller.folder, device=config.controller.device, dtype=config.controller.dtype)
    if config.controller.adapter is not None:
        checkpoint.merge(loaded.model, Path(config.controller.adapter))  # so that "start" is what the run starts from
    llm = LocalLLM(loaded, store.read)
    return Kit(
        config=config,
        store=store,
        progress=progress,
        llm=llm,
        dialect=dialect,
        tools=toolbox,
        sandbox=ForkedSandbox(
            specs=toolbox.specs, call=toolbox.call, put=store.put, read=store.read, limits=config.sandbox
        ),
        writer=WorldWriter(config.synth, config.seed),
        checker=RuleCheck(toolbox.call, store.read),
        critic=_critic(store),
        tune=_tuner(store.folder, config, dialect, loaded, llm.renderer, progress),
    )


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
        from sport.tune import pack
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
