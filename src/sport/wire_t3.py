"""From a configuration to the parts of T3: expert, reviewer, and supervised tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sport.config import Config, Endpoint
from sport.dialect import Dialect
from sport.errors import ConfigError, InputError
from sport.events import Progress
from sport.kit import Imitate, Kit
from sport.llm.base import LLM
from sport.sandbox.names import told
from sport.seeds import derive
from sport.store import Store
from sport.t3 import Parts
from sport.types import File, Json, Trajectory
from sport.verify import reviewer
from sport.verify.base import TrajectoryCritic
from sport.verify.sound import RuleReviewer

if TYPE_CHECKING:
    from sport.checkpoint import Checkpoint

Engine = Callable[[Store, str, Endpoint], LLM]


def check(config: Config) -> None:
    """What can be found wrong with T3's settings before anything is made on disk.

    Raises:
        ConfigError: weights that are elsewhere, an unknown dialect, a prompt that is none, a mixture that is none.
    """
    if config.method != "t3":
        return
    own = config.t3
    if config.controller.kind in ("endpoint", "scripted"):
        raise ConfigError(
            'controller.kind: T3 tunes the controller, so its weights must be here: "local" or "served"; '
            "a stronger model that solves the tasks is t3.expert"
        )
    if own.expert.kind == "endpoint":
        Dialect(own.expert.dialect, ())
    if own.trajectory_check and own.critic.kind == "endpoint":
        reviewer.checked_prompt(own.critic, "t3.critic")
    for one in own.mix:
        from sport.tune.mixing import share

        try:
            path = Path(str(share(one, "t3.mix").source))
        except InputError as error:
            raise ConfigError(str(error)) from None
        if not path.exists():
            raise ConfigError(f"t3.mix {one}: no such file or directory: {path}")


def parts(kit: Kit, engine: Engine) -> Parts:
    """Expert and reviewer of a run; ``engine`` makes the model of a role from its endpoint."""
    own, specs = kit.config.t3, kit.specs
    expert, dialect = kit.llm, kit.dialect
    helpers: list[LLM] = []
    if own.expert.kind == "endpoint":
        expert = engine(kit.store, "t3.expert", own.expert.endpoint)
        dialect = Dialect(own.expert.dialect, specs, limits=told(kit.config.sandbox))
        kit.store.keep_prompt(dialect.version, dialect.text)
        helpers.append(expert)
    critic: TrajectoryCritic = RuleReviewer()
    if own.critic.kind == "endpoint" and own.trajectory_check:
        llm = engine(kit.store, "t3.critic", own.critic.endpoint)
        name = f"llm {own.critic.endpoint.model}"
        asking = reviewer.LLMReviewer(llm, own.critic, specs, name=name, where="t3.critic")
        kit.store.keep_prompt(asking.prompt.version, asking.prompt.text)
        critic = asking
        helpers.append(llm)
    return Parts(expert, dialect, critic, tuple(helpers))


def imitator(store: Store, dialect: Dialect, loaded: Checkpoint, progress: Progress) -> Imitate:
    """The supervised tuning of the loaded controller. It reads the store's files and writes below its folder only."""
    config, folder = store.config, store.folder

    def imitate(trajectories: Sequence[Trajectory]) -> tuple[Path, dict[str, Json]]:
        from sport.render import Renderer
        from sport.tune import card, memory, pack, tree
        from sport.tune.mixing import draw, share
        from sport.tune.own import figures
        from sport.tune.readers.pictures import Pictures
        from sport.tune.run import tune as run

        pictures, seed = Pictures(), derive(config.seed, "sft")
        mixed = [draw(share(one, "t3.mix"), len(trajectories), seed, pictures) for one in config.t3.mix]

        def read(file: File) -> bytes:
            return pictures.read(file) if file in pictures else store.read(file)

        renderer = Renderer(loaded.tokenizer, loaded.image_processor, read)
        trees = [*tree.of_sft(trajectories, dialect), *(one for data in mixed for one in data.trees)]
        rows, lost = pack.lay_out(trees, renderer, config.tune.max_row_tokens)
        if not rows:
            raise InputError(
                f"none of {len(trees)} trajectories fits into tune.max_row_tokens = {config.tune.max_row_tokens}; "
                "raise it"
            )
        memory.watch()
        out = folder / "tune" / "01"
        result = run(
            loaded, rows, out, config.tune, picture=renderer.picture, seed=seed, progress=progress, resume=True
        )
        source = {"name": f"run {folder.name}, T3", "records": len(trajectories)}
        notes = [source, *({"name": data.name, "records": len(data.trees)} for data in mixed)]
        card.add(result.adapter, method="imitation", data=notes, facts=figures(result, config.tune), previous=None)
        first, last = result.history[0], result.history[-1]
        return result.adapter, {
            "rows": result.rows,
            "tokens": result.tokens,
            "steps": result.steps,
            "mixed": sum(len(data.trees) for data in mixed),
            "loss_first": first.get("loss"),
            "loss_last": last.get("loss"),
            **memory.peaks(),
            **lost,
        }

    return imitate
