"""The part of ``wire`` that fills the tool box: tools of the configuration, and models for those that ask one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sport import config
from sport.config import Endpoint
from sport.llm import servers
from sport.llm.base import LLM
from sport.store import Store
from sport.tools import sources
from sport.tools.entry import Entry, Hosted
from sport.tools.toolbox import Toolbox

MakeModel = Callable[[Store, str, Endpoint], LLM]
"""``make(store, role, settings)``: the model behind an endpoint, whose charges are kept under ``role``."""


def entries(tools: config.Tools) -> tuple[Entry, ...]:
    """All tools, those that ask a model with their settings looked at.

    Raises:
        ConfigError: see :func:`sport.tools.sources.entries`; a tool that asks a model and has none.
    """
    found = sources.entries(tools)
    for one in found:
        if isinstance(one, Hosted):
            name = one.spec.name
            servers.check(tools.settings.get(name, config.ToolSettings()).endpoint, f"tools.settings.{name}.endpoint")
    return found


def toolbox(store: Store, model: MakeModel) -> Toolbox:
    """The box of a run, not started yet. Raises ConfigError as :func:`entries`."""
    tools = store.config.tools
    box = Toolbox(
        [_bound(one, store, model) if isinstance(one, Hosted) else one for one in entries(tools)],
        workers=tools.workers,
        deadline_s=tools.deadline_s,
        memory_mb=tools.memory_mb,
        cache=store.cache(),
        accounts=store,
    )
    return box


def _bound(one: Hosted, store: Store, model: MakeModel) -> Hosted:
    return replace(one)
