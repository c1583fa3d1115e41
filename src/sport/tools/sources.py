"""From ``[tools]`` to entries: built-in tools, a user's own, and those of MCP servers. Imports no user code.

A tool that cannot work yet is :class:`NotReady`, which says what is missing and how to get it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from sport import config
from sport.errors import ConfigError, ToolError
from sport.tools import describe, weights
from sport.tools.catalogue import CARDS, Card
from sport.tools.entry import Entry, Hosted, Limits, ToolEntry, load
from sport.tools.weights import NotReady, fingerprint
from sport.types import Json, ToolSpec

OWN = "sport.tools.adopt:make"
MCP = "sport.tools.mcp:McpTool"
PROVIDER = "provider"  # the option that makes search one of the web
GIVEN = (
    "web",
    "env",
    "fingerprint",
    "ask",
    "keep",
    "call",
    "paint",
    "edit",
)  # parameters that are not a user's options
HELPERS = ("search", "visit")  # what the search agent works with


def entries(tools: config.Tools) -> tuple[Entry, ...]:
    """Every tool of the configuration, in its order, those of MCP servers last.

    What only the search agent needs is there and not shown. Tools that ask a model are not bound to one yet.

    Raises:
        ConfigError: a tool that is not known, cannot be described or lacks something; two tools of one name; settings
            for a tool that is not there.
    """
    hidden = [one for one in HELPERS if "ask_search_agent" in tools.names and one not in tools.names]
    found: dict[str, Entry] = {name: entry(name, tools) for name in [*tools.names, *hidden] if ":" not in name}
    places: dict[str, list[str]] = {}
    for name in tools.names:
        if ":" in name:
            places.setdefault(name.rpartition(":")[0], []).append(name)
    with ThreadPoolExecutor(8) as threads:  # each waits for a process
        described = [threads.submit(own, names, tools) for names in places.values()]
        servers = [threads.submit(server, name, tools) for name in tools.mcp]
        for one in described:
            found |= one.result()
        served = [one for future in servers for one in future.result()]
    shown = [*(found[name] for name in tools.names), *served]
    _distinct(shown)
    taken = {one.spec.name for one in shown}
    helpers = [replace(found[name], shown=False) for name in hidden if name not in taken]
    unknown = set(tools.settings) - taken - set(hidden)
    if unknown:
        raise ConfigError(f"tools.settings.{min(unknown)}: there is no such tool; there are {', '.join(sorted(taken))}")
    return (*shown, *helpers)


def entry(name: str, tools: config.Tools) -> Entry:
    """One built-in tool. Raises ConfigError as :func:`entries`."""
    if name not in CARDS or name == "web_search":
        known = ", ".join(one for one in CARDS if one != "web_search")
        raise ConfigError(
            f"tools.names: unknown tool {name!r}; known are {known}, and your own: 'module:function' or "
            "'path/file.py:function'"
        )
    settings = tools.settings.get(name, config.ToolSettings())
    card = CARDS["web_search" if name == "search" and PROVIDER in settings.options else name]
    said = spec(card)
    _check_environment(settings.env, f"tools.settings.{name}.env")
    options = _options(card, said, settings, tools)
    if card.model:
        version = "+".join(filter(None, (said.version, settings.endpoint.model, *_changes(options))))
        limits = limits_of(name, settings, alone=False)
        return Hosted(said.model_copy(update={"version": version}), _unbound, limits)
    more = card.more if card.more and options.get(card.more.option) else None
    libraries = (*_distributions(name, card), *(_there(more.distributions) if more else ()))
    behind = "+".join((said.version, *libraries, *_changes(options)))
    changed = {"version": behind, **({"description": more.description} if more else {})}
    limits = limits_of(name, settings, alone=card.alone or more is not None)
    limits = replace(limits, env=(*limits.env, *card.env, *(more.env if more else ())))
    return ToolEntry(said.model_copy(update=changed), card.factory, options, limits)


def own(names: Sequence[str], tools: config.Tools) -> dict[str, Entry]:
    """A user's own tools of one file or module, described by one process and run in processes of their own, shared."""
    place = names[0].rpartition(":")[0]
    where = str(Path(place).resolve()) if place.endswith(".py") else place
    sources = [f"{where}:{name.rpartition(':')[2]}" for name in names]
    likely = [tools.settings.get(name.rpartition(":")[2]) for name in names]
    env = tuple(dict.fromkeys(one for settings in likely if settings for one in settings.env))
    found = describe.ask({"sources": sources}, "tools.names", env)
    made: dict[str, Entry] = {}
    for name, source, one in zip(names, sources, found, strict=True):
        settings = tools.settings.get(one.spec.name, config.ToolSettings())
        _check_environment(settings.env, f"tools.settings.{one.spec.name}.env")
        limits = limits_of(one.spec.name, settings, alone=False)
        limits = limits if limits.group else replace(limits, group=f"own {place}")
        options: dict[str, Json] = {"source": source, "options": _json(settings.options)}
        versioned = "+".join((one.spec.version, *_changes(_json(settings.options))))
        made[name] = ToolEntry(one.spec.model_copy(update={"version": versioned}), OWN, options, limits, name)
    return made


def server(name: str, tools: config.Tools) -> list[ToolEntry]:
    """The tools of one MCP server, which is started or asked for them; they share its processes."""
    where, settings = f"tools.mcp.{name}", tools.mcp[name]
    if bool(settings.command) == bool(settings.url):
        raise ConfigError(f"{where}: give a command that starts a server, or the url of one that runs")
    keys = (settings.key_env,) if settings.key_env else ()
    env = (*settings.env, *keys)
    _check_environment(env, where)
    asked: dict[str, Json] = {
        "command": list(settings.command),
        "cwd": str(Path(settings.cwd or ".").resolve()),
        "url": settings.url,
        "key_env": settings.key_env,
        "env": list(settings.env),
    }
    found = describe.ask({"server": {**asked, "prefix": settings.prefix}}, where, env)
    offered = {str(one.options["tool"]): one for one in found}
    for wanted in settings.only:
        if wanted not in offered:
            raise ConfigError(f"{where}.only: the server has no tool {wanted!r}; it has {', '.join(offered)}")
    made = []
    for tool in settings.only or offered:
        one = offered[tool]
        chosen = tools.settings.get(one.spec.name, config.ToolSettings())
        limits = replace(
            limits_of(one.spec.name, chosen, alone=True, cache=one.cache),
            group=f"mcp {name}",
            concurrency=settings.concurrency,
            env=env,
        )
        options: dict[str, Json] = {"server": asked, **one.options}
        made.append(ToolEntry(one.spec, MCP, options, limits, f"MCP server {name}"))
    return made


def limits_of(name: str, settings: config.ToolSettings, *, alone: bool, cache: bool = True) -> Limits:
    """A tool's own limits; it has processes of its own where it asks for any, or where it is better ``alone``."""
    asks = settings.env or settings.concurrency or settings.memory_mb
    if settings.max_cost is not None and settings.cost is None:
        raise ConfigError(f"tools.settings.{name}.max_cost: needs tools.settings.{name}.cost, the price of a call")
    return Limits(
        group=name if alone or asks else "",
        concurrency=settings.concurrency,
        deadline_s=settings.deadline_s,
        memory_mb=settings.memory_mb,
        env=settings.env,
        rate=settings.rate,
        cost=settings.cost,
        max_cost=settings.max_cost,
        cache=cache if settings.cache is None else settings.cache,
    )


# ------------------------------------------------------------------------------------------------ details


async def _unbound(arguments: Mapping[str, Any]) -> Json:
    raise ToolError("this tool has no model here")


def spec(card: Card) -> ToolSpec:
    """What a built-in tool says of itself, whether or not it is ready."""
    said: ToolSpec = load(card.factory).spec  # type: ignore[attr-defined]
    return said


def _options(card: Card, said: ToolSpec, settings: config.ToolSettings, tools: config.Tools) -> dict[str, Json]:
    where = f"tools.settings.{said.name}.options"
    options: dict[str, Json] = _json(settings.options)
    factory: Any = load(card.factory)
    takes = [one for one in inspect.signature(factory).parameters if one not in GIVEN]
    takes += card.options
    unknown = set(options) - set(takes)
    if unknown:
        raise ConfigError(f"{where}: unknown option {min(unknown)!r}; it takes {', '.join(takes) or 'none'}")
    if "web" in inspect.signature(factory).parameters:
        options["web"] = web(tools.web)
    if "env" in inspect.signature(factory).parameters:
        options["env"] = list(settings.env)
    if hasattr(factory, "check"):
        factory.check(f"tools.settings.{said.name}", options)
    if card.weights:
        options["weights"] = str(weights.found(options.get("weights"), where, card.weights, card.licence))
        options["fingerprint"] = fingerprint(Path(options["weights"]))
    if (more := card.more) and options.get(more.option):
        path = weights.found(options[more.option], where, more.weights, more.licence, more.option)
        options |= {more.option: str(path), "fingerprint": fingerprint(path)}
    return options


def web(settings: config.Web) -> dict[str, Json]:
    """The section as a worker takes it. Raises ConfigError: a mode that needs a folder and has none."""
    if settings.mode != "live" and not settings.record:
        raise ConfigError(f'tools.web.record: name a folder for tools.web.mode = "{settings.mode}"')
    if settings.mode == "replay" and not Path(settings.record).is_dir():
        raise ConfigError(f'tools.web.record: {settings.record} is no folder; make one with tools.web.mode = "record"')
    folder = str(Path(settings.record).resolve()) if settings.record else ""
    return {**settings.model_dump(mode="json"), "record": folder}


def _changes(options: Mapping[str, Json]) -> tuple[str, ...]:
    """What options change about results; where files lie is not part of it."""
    told = {key: value for key, value in options.items() if key not in ("weights", "speech", "device", "env")}
    if isinstance(told.get("web"), dict):
        told["web"] = {key: told["web"][key] for key in ("mode", "max_mb")}
    return (describe.digest(told),) if told else ()


def _distributions(name: str, card: Card) -> Sequence[str]:
    try:
        return [f"{one}-{metadata.version(one)}" for one in card.distributions]
    except metadata.PackageNotFoundError as error:
        raise NotReady(
            f"tools.names: {name} needs {error.name}; pip install 'sport[{card.extra}]'", "package"
        ) from error


def _there(names: Sequence[str]) -> Iterator[str]:
    """Those that are installed: without the others the tool works for the rest."""
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            yield f"{name}-{metadata.version(name)}"


def _check_environment(names: Sequence[str], where: str) -> None:
    for name in names:
        if not os.environ.get(name):
            raise NotReady(f"{where}: the environment variable {name} is not set; export it first", "key")


def _distinct(found: Sequence[Entry]) -> None:
    origins: dict[str, str] = {}
    for one in found:
        if one.spec.name in origins:
            raise ConfigError(
                f"tools: two tools of one name: {one.spec.name!r} is {origins[one.spec.name]} and {one.origin}; rename "
                "one, leave one out, or give an MCP server a prefix"
            )
        origins[one.spec.name] = one.origin


def _json(value: Any) -> Any:
    """TOML's arrays, which the configuration holds as tuples, as lists."""
    if isinstance(value, Mapping):
        return {key: _json(one) for key, one in value.items()}
    return [_json(one) for one in value] if isinstance(value, list | tuple) else value
