"""The part of ``wire`` that fills the tool box: tools of the configuration, and models for those that ask one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sport import checkpoint, config
from sport.config import Endpoint, SynthImages, ToolSettings
from sport.errors import ConfigError
from sport.llm import pipeline, servers
from sport.llm.base import LLM
from sport.llm.edits import EndpointEditor
from sport.llm.images import EndpointPainter
from sport.llm.ledger import Ledger
from sport.llm.pipeline import DiffusersPainter
from sport.sandbox.names import check_names
from sport.store import Store
from sport.tools import sources
from sport.tools.base import Answered, AskModel, FileBytes
from sport.tools.catalogue import CARDS
from sport.tools.entry import Entry, Hosted
from sport.tools.painting import ImageEdit, ImageGenerator
from sport.tools.search_agent import SearchAgent
from sport.tools.toolbox import Toolbox
from sport.tools.visualizer import Visualizer
from sport.tools.weights import NotReady
from sport.types import File, Message, Sampling, Spent, ToolSpec

MakeModel = Callable[[Store, str, Endpoint], LLM]
"""``make(store, role, settings)``: the model behind an endpoint, whose charges are kept under ``role``."""


def entries(tools: config.Tools) -> tuple[Entry, ...]:
    """All tools, those that ask a model with their settings looked at.

    Raises:
        ConfigError: see :func:`sport.tools.sources.entries`; a tool that asks a model and has none; a
            name that code could not call.
    """
    found = sources.entries(tools)
    check_names(one.spec.name for one in found)
    for one in found:
        check(one, tools)
    return found


def check(one: Entry, tools: config.Tools) -> None:
    """Whether a tool that asks a model has one. Raises ConfigError, or NotReady where nothing is said of it."""
    if not isinstance(one, Hosted):
        return
    settings = _settings(one, tools)
    where = f"tools.settings.{one.spec.name}"
    if folder := settings.options.get("checkpoint"):
        checkpoint.check(config.checkpoint_folder(str(folder)))
    elif settings.options.get("model"):
        if not pipeline.installed():
            raise NotReady(f"{where}.options.model: a pipeline needs diffusers; {pipeline.GET}", "package")
        pipeline.check(str(settings.options["model"]), f"{where}.options")
    elif not settings.endpoint.base_urls:
        own = {"visualizer": "checkpoint", "image_generator": "model"}.get(one.spec.name)
        other = f", or {where}.options.{own} to a directory" if own else ""
        raise NotReady(f"{where}: this tool needs a model; set {where}.endpoint.base_urls and .model{other}", "model")
    else:
        servers.check(settings.endpoint, f"{where}.endpoint")


def toolbox(store: Store, model: MakeModel, tools: config.Tools) -> Toolbox:
    """The box of a run, not started yet. Raises ConfigError as :func:`entries`."""
    made: list[Toolbox] = []

    async def call(name: str, arguments: Mapping[str, Any]) -> Answered:
        """Of the box that is being made: a tool that asks others asks them there."""
        return await made[0].call(name, arguments)

    bound = [
        _Binding(store, model, one, tools).bound(call) if isinstance(one, Hosted) else one for one in entries(tools)
    ]
    made.append(
        Toolbox(
            bound,
            workers=tools.workers,
            deadline_s=tools.deadline_s,
            memory_mb=tools.memory_mb,
            cache=store.cache(),
            accounts=store,
        )
    )
    return made[0]


class _Binding:
    """A tool and the model that it asks."""

    def __init__(self, store: Store, model: MakeModel, one: Hosted, tools: config.Tools) -> None:
        self._store = store
        self._model = model
        self._one = one
        self._settings = _settings(one, tools)
        self._where = f"tools.settings.{one.spec.name}"

    def bound(self, call: Callable[..., Any]) -> Hosted:
        """The tool, ready. What changes its answers is in its version: model, prompt, options."""
        options = {key: value for key, value in self._settings.options.items() if key not in ("checkpoint", "model")}
        match self._one.spec.name:
            case "visualizer":
                tool: Any = Visualizer(self._ask(), self._keep, **options)
            case "ask_search_agent":
                tool = SearchAgent(self._ask(), call, **options)
            case "image_generator":
                tool = ImageGenerator(self._paint(options))
            case "image_edit":
                tool = ImageEdit(self._edit())
            case name:
                raise ConfigError(f"tools.names: nobody hosts {name!r}")
        version = "+".join(filter(None, (self._one.spec.version, getattr(tool, "version", ""))))
        spec = self._one.spec.model_copy(update={"version": version})
        return replace(self._one, spec=spec, call=tool.call)

    def _ask(self) -> AskModel:
        llm = self._llm()

        async def ask(messages: Sequence[Message], most: int) -> str:
            sampling = Sampling(temperature=0.0, max_new_tokens=most, seed=self._store.config.seed)
            (sample,) = await llm.sample(messages, 1, sampling)
            return sample.text

        return ask

    def _llm(self) -> LLM:
        folder = self._settings.options.get("checkpoint")
        if not folder:
            return self._model(self._store, self._where, self._settings.endpoint)
        from sport.llm.local import LocalLLM  # torch comes with it

        loaded = checkpoint.load(config.checkpoint_folder(str(folder)), device="cpu", dtype="float32")
        return LocalLLM(loaded, self._store.read)

    def _keep(self, file: FileBytes) -> File:
        """Most pictures are in the store already: bytes are kept once."""
        ending = {"image/png": "png", "image/jpeg": "jpg"}.get(file.media_type, "img")
        digest = hashlib.sha256(file.data).hexdigest()[:12]
        return self._store.put(f"seen_{digest}.{ending}", file.data, file.media_type)

    def _paint(self, options: Mapping[str, Any]) -> Callable[[str], Any]:
        settings = SynthImages(
            endpoint=self._settings.endpoint, model=str(self._settings.options.get("model", "")), **options
        )
        painter: DiffusersPainter | EndpointPainter = (
            DiffusersPainter(settings, f"{self._where}.options") if settings.model else self._endpoint_painter(settings)
        )

        async def paint(words: str) -> bytes:
            return await painter.paint(words, self._store.config.seed)

        return paint

    def _endpoint_painter(self, settings: SynthImages) -> EndpointPainter:
        return EndpointPainter(settings, f"{self._where}.endpoint", self._ledger())

    def _edit(self) -> Callable[[str, FileBytes], Any]:
        editor = EndpointEditor(self._settings.endpoint, f"{self._where}.endpoint", self._ledger())

        async def edit(words: str, picture: FileBytes) -> bytes:
            return await editor.edit(words, picture.data, picture.media_type)

        return edit

    def _ledger(self) -> Ledger:
        def save(spent: Spent) -> None:
            self._store.set_spent(self._where, spent)

        endpoint = self._settings.endpoint
        return Ledger(f"{self._where}.endpoint", endpoint, self._store.spent(self._where), save)


def _settings(one: Entry, tools: config.Tools) -> ToolSettings:
    return tools.settings.get(one.spec.name, ToolSettings())


# ---------------------------------------------------------------------------------------- what there is


@dataclass(frozen=True)
class Found:
    """One tool for ``sport tools``. ``state`` is "ready", "needs ..." or "wrong", ``why`` says more of the last two.

    ``chosen``: the configuration names it. ``spec`` is None where it could not be asked.
    """

    name: str
    origin: str
    state: str
    chosen: bool
    spec: ToolSpec | None = None
    why: str = ""
    weights: str = ""
    licence: str = ""


def survey(tools: config.Tools) -> list[Found]:
    """Every tool that the configuration names and every built-in one, in that order. Starts MCP servers, loads nothing.

    Tools of one name are shown side by side; whatever is wrong with one does not hide the others.
    """
    rest = [name for name in CARDS if name not in tools.names and name != "web_search"]
    found: list[Found] = []
    for name in (*tools.names, *rest):
        found += _look(name, tools)
    for name in tools.mcp:
        where = f"MCP server {name}"
        try:
            found += [Found(one.spec.name, where, "ready", True, one.spec) for one in sources.server(name, tools)]
        except ConfigError as error:
            found.append(Found(name, where, _state(error), True, None, str(error)))
    return found


def _look(name: str, tools: config.Tools) -> list[Found]:
    chosen = name in tools.names
    if ":" not in name and name not in CARDS:
        return [Found(name, "unknown", "wrong", chosen, why=f"tools.names: unknown tool {name!r}")]
    card = CARDS.get(name)
    told = {"weights": card.weights, "licence": card.licence} if card else {}
    origin = "built in" if card else name
    spec = sources.spec(card) if card else None
    try:
        made = sources.entry(name, tools) if card else sources.own([name], tools)[name]
        check(made, tools)
    except ConfigError as error:
        return [Found(spec.name if spec else name, origin, _state(error), chosen, spec, str(error), **told)]
    return [Found(made.spec.name, origin, "ready", chosen, made.spec, **told)]


def _state(error: ConfigError) -> str:
    return f"needs {error.needs}" if isinstance(error, NotReady) else "wrong"
