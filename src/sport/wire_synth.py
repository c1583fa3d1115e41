"""From ``[synth]`` to a writer and a checker of tasks: what ``wire`` needs for it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sport.config import Config, Endpoint, SynthImages
from sport.errors import ConfigError, ToolError
from sport.events import Progress
from sport.llm import pipeline, servers
from sport.llm.base import LLM
from sport.llm.embed import EndpointEmbedder, LocalEmbedder
from sport.llm.endpoint import EndpointLLM
from sport.llm.images import EndpointPainter
from sport.llm.ledger import Ledger
from sport.llm.pipeline import DiffusersPainter
from sport.sandbox.base import Sandbox
from sport.store import Store
from sport.synth import library, near, seeds
from sport.synth.author import Author
from sport.synth.base import Checker, Embedder, Illustrator, LookInto, Writer
from sport.synth.captions import Captioner, Pictures
from sport.synth.check import RuleCheck
from sport.synth.documents import Documents
from sport.synth.journal import Journal
from sport.synth.judge import JudgeCheck, NoCheck
from sport.synth.near import Excluded, Known
from sport.synth.own import KeepAll, OwnWriter
from sport.synth.pictures import Library, Painted
from sport.synth.prompts import prompts
from sport.synth.queries import WorldWriter
from sport.synth.replies import Asker
from sport.synth.tasks import Queries
from sport.tools.base import CallTool, FileBytes
from sport.types import File, ReadFile, Spent, ToolSpec

INSPECTOR = "inspect_file_as_text"


def check(config: Config) -> None:
    """What can be found wrong with ``[synth]`` before anything is made on disk or asked.

    Raises:
        ConfigError: an endpoint, a prompt or a source of pictures that is not whole; a missing library of Python's.
        InputError: seeds, benchmarks or an image library that cannot be read.
    """
    synth = config.synth
    if synth.kind == "world":
        return
    servers.check(synth.endpoint, "synth.endpoint")
    if synth.check.endpoint.base_urls:
        servers.check(synth.check.endpoint, "synth.check.endpoint")
    prompts(synth.prompts)
    seeds.load(synth.seeds.path)
    near.read(synth.exclude)
    Known(synth.duplicate)
    if synth.documents.kinds and INSPECTOR not in config.tools.names:
        raise ConfigError(
            f"synth.documents.kinds: documents are read by {INSPECTOR}; add it to tools.names, or set kinds = []"
        )
    _check_images(synth.images)


def _check_images(images: SynthImages) -> None:
    if "endpoint" in images.sources:
        servers.check(images.endpoint, "synth.images.endpoint")
    if "diffusers" in images.sources:
        pipeline.check(images.model, "synth.images")
    if "library" not in images.sources:
        return
    bare = sum(entry.caption is None for entry in library.load(images))
    if images.embedding.kind == "endpoint":
        servers.check(images.embedding.endpoint, "synth.images.embedding.endpoint")
    if bare and not images.embeddings and not images.captions.endpoint.base_urls:
        raise ConfigError(
            f"synth.images.captions.endpoint.base_urls: {bare} pictures of {images.library} have no caption; name a "
            "vision-language model that writes them"
        )


def parts(
    store: Store, specs: tuple[ToolSpec, ...], call: CallTool, sandbox: Sandbox, progress: Progress
) -> tuple[Writer, Checker]:
    """Who writes tasks and who checks them.

    Raises:
        UserError: as :func:`check`, a key that is not set, or local weights that cannot be loaded.
    """
    config = store.config
    if config.synth.tasks_file:
        return OwnWriter(Path(config.synth.tasks_file), config.synth.tasks), KeepAll()
    if config.synth.kind == "world":
        rules = RuleCheck(call, store.read) if config.synth.check.enabled else NoCheck()
        return WorldWriter(config.synth, config.seed), rules
    synth, memory = config.synth, store.cache()
    texts, look = prompts(synth.prompts), _looker(call, store.read)
    llm = engine(store, "synth", synth.endpoint, store.read)
    asker = Asker(Journal(llm, memory, "synth"), texts)
    excluded = Excluded(near.read(synth.exclude), synth.overlap)
    queries = Queries(
        synth,
        asker,
        tools=specs,
        seeds=seeds.load(synth.seeds.path),
        excluded=excluded,
        earlier=_earlier(store),
        seed=config.seed,
    )
    documents = Documents(
        asker,
        sandbox,
        store.read,
        look,
        installed=tuple(dict.fromkeys(name.partition(".")[0] for name in config.sandbox.libraries)),
        seconds=config.sandbox.wall_s,
        max_new_tokens=synth.max_new_tokens,
    )
    writer = Author(queries, asker, _illustrators(store, progress), documents, synth.max_new_tokens, config.seed)
    if not synth.check.enabled:
        return writer, NoCheck()
    if synth.check.endpoint.base_urls:
        llm = engine(store, "synth.check", synth.check.endpoint, store.read)
    judge = Asker(Journal(llm, memory, "synth.check"), texts)
    return writer, JudgeCheck(judge, look, specs, excluded, synth.check.revisions, config.seed)


def engine(store: Store, role: str, settings: Endpoint, read: ReadFile) -> LLM:
    """A role's model behind an endpoint; what it charges is kept in the run. Raises ConfigError."""
    where = f"{role}.endpoint"
    return EndpointLLM(settings, where, read, _ledger(store, role, settings))


def _ledger(store: Store, role: str, settings: Endpoint) -> Ledger:
    def save(spent: Spent) -> None:
        store.set_spent(role, spent)

    return Ledger(f"{role}.endpoint", settings, store.spent(role), save)


def _illustrators(store: Store, progress: Progress) -> list[Illustrator]:
    images, made = store.config.synth.images, list[Illustrator]()
    for source in images.sources:
        if source == "library":
            made.append(_library(store, images, progress))
            continue
        painter = (
            EndpointPainter(images, "synth.images.endpoint", _ledger(store, "synth.images", images.endpoint))
            if source == "endpoint"
            else DiffusersPainter(images, "synth.images")
        )
        made.append(Painted(painter, memory=store.cache(), put=store.put, read=store.read))
    return made


def _library(store: Store, images: SynthImages, progress: Progress) -> Library:
    entries, captioner, folder = library.load(images), None, Path(images.index)
    if not images.embeddings and any(entry.caption is None for entry in entries):
        settings, pictures = images.captions.endpoint, Pictures()
        llm = engine(store, "synth.images.captions", settings, pictures.read)
        prompt = prompts(store.config.synth.prompts)["caption"]
        captioner = Captioner(llm, settings.model, pictures, prompt, folder)
    return Library(
        images,
        entries,
        _embedder(store, images),
        captioner,
        folder=folder,
        memory=store.cache(),
        progress=progress,
        log=store.log,
    )


def _embedder(store: Store, images: SynthImages) -> Embedder:
    embedding = images.embedding
    if embedding.kind == "local":
        return LocalEmbedder(embedding.model, embedding.device)
    role = "synth.images.embedding"
    return EndpointEmbedder(embedding.endpoint, f"{role}.endpoint", _ledger(store, role, embedding.endpoint))


def _looker(call: CallTool, read: ReadFile) -> LookInto:
    """Documents through the agent's own tool, in its own process."""

    async def look(file: File) -> str:
        answer = await call(INSPECTOR, {"file": FileBytes(read(file), file.media_type)})
        if answer.error is not None:
            raise ToolError(answer.error)
        return str(answer.value or "")

    return look


def _earlier(store: Store) -> Callable[[int], list[str]]:
    def earlier(iteration: int) -> list[str]:
        return [task.query for k in range(1, iteration) for task in store.tasks("explore", k, kept=False)]

    return earlier
