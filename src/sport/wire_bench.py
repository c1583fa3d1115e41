"""The part of ``wire`` for benchmarks: GTA's tools, the similarity of sentences, a judge of answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sport import hosting
from sport.bench import gta
from sport.bench.boxes import Boxes
from sport.config import Config, Endpoint, Tools
from sport.errors import ConfigError, boundary
from sport.llm import servers
from sport.llm.base import LLM
from sport.llm.similar import Sentences
from sport.sandbox.base import Sandbox
from sport.store import Store
from sport.synth.own import OwnWriter
from sport.tools import sources
from sport.tools.entry import Entry
from sport.tools.gta.box import Box, GtaTools, ours
from sport.tools.gta.engines import ENGINES
from sport.tools.gta.specs import SPECS
from sport.tools.reference import ReferenceTools

Engine = Callable[[Store, str, Endpoint], LLM]


def check(config: Config) -> None:
    """What can be found wrong with a benchmark's settings, or with tasks of one's own, before anything is made on disk.

    Raises:
        ConfigError: a tool of GTA without its engine, plans in a dialect that has none, a server that is none.
        UserError: weights of sentences, or a file of tasks, that cannot be read.
    """
    wanting = lacking(config)
    if wanting:
        raise ConfigError("\n".join(f"tools.names: {name} {why}" for name, why in wanting.items()))
    if config.agent.planning and config.controller.dialect == "nano-1":
        raise ConfigError('agent.planning: the dialect nano-1 knows no plans; set controller.dialect = "react-1"')
    similarity(config)
    if config.bench.judge.endpoint.base_urls:
        servers.check(config.bench.judge.endpoint, "bench.judge.endpoint")
    if config.synth.tasks_file:
        OwnWriter(Path(config.synth.tasks_file), config.synth.tasks)
        if config.critic.kind == "informed":
            raise ConfigError('critic.kind: "informed" reads the answers, which stay hidden for tasks of your own')


def entries(config: Config) -> tuple[Entry, ...]:
    """Tools of ours that a run works with, those behind GTA's names among them. Raises ConfigError."""
    return () if _replayed(config) else hosting.entries(_behind(config))


def lacking(config: Config) -> dict[str, str]:
    """Tools that the configuration names and that lack something yet: weights, a model, an engine; each with what."""
    if _replayed(config):
        return {}
    chosen = [one for one in hosting.survey(config.tools) if one.chosen]
    found = {one.name: one.why for one in chosen if one.state.startswith("needs")}
    for name in config.tools.names:
        for engine in ENGINES.get(name, ()):
            with boundary("tools", ConfigError) as caught:
                hosting.check(sources.entry(engine, config.tools), config.tools)
            if caught.failure is not None:
                found[name] = f"works with {engine}, which is not ready: {caught.failure.message}"
            elif engine == "search" and not _provider(config):
                found[name] = "works with a search provider: set tools.settings.search.options.provider"
    return found


def similarity(config: Config) -> Sentences | None:
    """The cosine of sentences that GTA's subjective answers need; None without its weights.

    Raises:
        CheckpointError: no such directory, or no sentence-transformers model.
        ConfigError: the library is not installed.
    """
    return Sentences(Path(config.bench.similarity)) if config.bench.similarity else None


def judge(store: Store, engine: Engine) -> LLM | None:
    """Who calls answers to one's own tasks right; None where the configuration names nobody."""
    settings = store.config.bench.judge.endpoint
    return engine(store, "bench.judge", settings) if settings.base_urls else None


def tools(store: Store, engine: Engine, executor: Callable[..., Sandbox]) -> Box:
    """The tools of the configuration, or GTA's reference in their place where its pictures are not here."""
    config = store.config
    if _replayed(config):
        items = gta.load(Path(config.bench.data))
        turns = [turn for item in items for turn in item.turns]
        recorded = [(t.move.name, t.move.arguments, t.result) for t in turns if t.result is not None]
        return ReferenceTools(gta.all_tools(items), recorded)
    toolbox = hosting.toolbox(store, engine, _behind(config))
    if SPECS.keys().isdisjoint(config.tools.names):
        return toolbox
    closed = executor(specs=(), call=toolbox.call, put=store.put, read=store.read, limits=config.sandbox)
    return GtaTools(config.tools.names, toolbox, Boxes(closed, store.read))


def _behind(config: Config) -> Tools:
    return config.tools.model_copy(update={"names": ours(config.tools.names)})


def _replayed(config: Config) -> bool:
    """Whether GTA's reference stands in for all tools."""
    return config.bench.kind == "gta" and not config.bench.images


def _provider(config: Config) -> bool:
    """Whether search asks the web; the encyclopaedia inside the package is no stand-in for it."""
    settings: Any = config.tools.settings.get("search")
    return settings is not None and bool(settings.options.get("provider"))
