"""Pictures out of a library or painted, over real HTTP: captions, vectors, the floor, and nothing paid for twice."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import authors
import servers
from sport.config import Config, load
from sport.errors import ContentError, FatalModelError, InputError
from sport.events import Silent
from sport.llm.embed import EndpointEmbedder, unit
from sport.llm.endpoint import EndpointLLM
from sport.llm.images import EndpointPainter
from sport.llm.ledger import Ledger
from sport.synth import library
from sport.synth.captions import Captioner, Pictures
from sport.synth.pictures import Library, Painted, usual
from sport.synth.prompts import prompts
from sport.types import File, Spent

COLOURS = {"red.png": (250, 10, 10), "green.jpg": (10, 240, 10), "blue.webp": (10, 10, 230)}
CAPTIONS = {"red.png": "A scarlet wall", "green.jpg": "An emerald wall", "blue.webp": "An azure wall"}


class Book(dict[str, str]):
    """A memory."""

    def put(self, key: str, value: str) -> None:
        self[key] = value

    def flush(self) -> None:
        """All is here."""


def picture(colour: tuple[int, int, int], format: str = "PNG") -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), colour).save(out, format, lossless=True)
    return out.getvalue()


def folder(at: Path) -> Path:
    """Three pictures, and one that is none."""
    (at / "deep").mkdir(parents=True)
    for name, colour in COLOURS.items():
        kind = {"jpg": "JPEG"}.get(name[-3:], name.partition(".")[2].upper())
        (at / "deep" / name).write_bytes(picture(colour, kind))
    (at / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (at / "notes.txt").write_text("no picture")
    return at


def configured(url: str, place: Path, tmp_path: Path, *more: str) -> Config:
    own = [f"synth.images.library={place}", f"synth.images.index={tmp_path / 'index'}"]
    roles = [
        word
        for role in ("synth.images", "synth.images.embedding", "synth.images.captions")
        for word in authors.endpoint(role, url)
    ]
    return load(None, [*own, *roles, "synth.images.floor=0.4", *more])


def made(config: Config, log: list[Any] | None = None, memory: Book | None = None) -> Library:
    images = config.synth.images
    entries, held = library.load(images), Pictures()
    asked = images.captions.endpoint
    llm = EndpointLLM(asked, "captions", held.read, ledger("captions", asked))
    embedder = EndpointEmbedder(images.embedding.endpoint, "embedding", ledger("embedding", images.embedding.endpoint))
    return Library(
        images,
        entries,
        embedder,
        Captioner(llm, asked.model, held, prompts()["caption"], Path(images.index)),
        folder=Path(images.index),
        memory=Book() if memory is None else memory,
        progress=Silent(),
        log=lambda event, **fields: (log if log is not None else []).append((event, fields)),
    )


def ledger(where: str, settings: Any) -> Ledger:
    return Ledger(where, settings, Spent(), lambda _: None)


def kinds(server: servers.Server) -> list[str]:
    return [path.rpartition("/v1/")[2] for path, _, _ in server.seen]


async def test_a_folder_gets_captions_and_gives_the_closest_picture(tmp_path: Path) -> None:
    log: list[Any] = []
    with authors.author() as (server, _):
        config = configured(server.url, folder(tmp_path / "mine"), tmp_path)
        found = await made(config, log).find("a plain emerald wall in sunlight", 1)
        assert found.data == (tmp_path / "mine" / "deep" / "green.jpg").read_bytes()
        assert (found.ending, found.notes["source"]) == (".jpg", "library")
        assert found.notes["caption"] == "A plain emerald wall in full sunlight."
        assert 0.8 < found.notes["score"] <= 1
        [(event, fields)] = log
        assert event == "picture skipped" and fields["path"].endswith("broken.png")
        assert "cannot be opened as a picture" in fields["why"]
        assert kinds(server) == ["chat/completions"] * 3 + ["embeddings"] * 2
        again = await made(config).find("a plain azure wall", 1)
        assert again.ending == ".webp"
    assert kinds(server)[5:] == ["embeddings"]  # captions and their vectors were there already


async def test_nothing_beats_a_bad_match(tmp_path: Path) -> None:
    with authors.author() as (server, _):
        config = configured(server.url, folder(tmp_path / "mine"), tmp_path)
        found = await made(config).find("two giraffes drinking tea", 1)
    assert found.data is None
    assert found.notes["why"] == "nothing above 0.4"
    assert found.notes["score"] < 0.4


@pytest.mark.parametrize("layout", ["jsonl", "sharegpt4v"])
async def test_captions_that_are_there_are_used_and_missing_ones_are_made(tmp_path: Path, layout: str) -> None:
    folder(tmp_path / "mine")
    rows: list[tuple[str, str | None]] = [(f"deep/{name}", text) for name, text in CAPTIONS.items()]
    rows[1] = (rows[1][0], None)
    if layout == "jsonl":
        text = "\n".join(json.dumps({"image": i, "caption": c} if c else {"image": i}) for i, c in rows)
    else:
        turns = [
            [{"from": "human", "value": "<image>\nSay what you see."}, {"from": "gpt", "value": c or ""}]
            for _, c in rows
        ]
        text = json.dumps([{"id": i, "image": i, "conversations": t} for (i, _), t in zip(rows, turns, strict=True)])
    (tmp_path / f"list.{layout}.json").write_text(text)
    with authors.author() as (server, _):
        config = configured(
            server.url, tmp_path / f"list.{layout}.json", tmp_path, f"synth.images.root={tmp_path / 'mine'}"
        )
        found = made(config)
        first, second = await found.find("scarlet wall", 1), await found.find("emerald wall", 1)
    assert first.notes["caption"] == CAPTIONS["red.png"]
    assert second.notes["caption"] == "A plain emerald wall in full sunlight."
    assert kinds(server).count("chat/completions") == 1


async def test_ready_embeddings_need_no_captions(tmp_path: Path) -> None:
    place = folder(tmp_path / "mine")
    (place / "broken.png").unlink()
    names = sorted(COLOURS)  # as the folder lists them
    rows = np.asarray([authors.vector(CAPTIONS[name]) for name in names], np.float32)
    np.save(tmp_path / "rows.npy", 7 * rows)
    with authors.author() as (server, _):
        config = configured(server.url, place, tmp_path, f"synth.images.embeddings={tmp_path / 'rows.npy'}")
        found = await made(config).find("an azure wall", 1)
        assert found.ending == ".webp"
        assert kinds(server) == ["embeddings"]
        np.save(tmp_path / "rows.npy", rows[:, :8])
        with pytest.raises(InputError, match="rows of 8 numbers, and queries of 64"):
            await made(config).find("an azure wall", 1)
        np.save(tmp_path / "rows.npy", rows[:2])
        with pytest.raises(InputError, match=r"rows\.npy: float32 of shape \(2, 64\); expected 3 rows"):
            await made(config).find("an azure wall", 1)
        (tmp_path / "rows.npy").write_text("no numbers")
        with pytest.raises(InputError, match=r"rows\.npy: cannot be read as \.npy"):
            await made(config).find("an azure wall", 1)


async def test_a_listed_picture_that_cannot_be_opened_gives_way_to_the_next_best(tmp_path: Path) -> None:
    folder(tmp_path / "mine")
    rows = [("gone.png", "An azure wall"), ("broken.png", "An azure wall"), ("deep/blue.webp", "An azure sort of wall")]
    (tmp_path / "mine" / "list.jsonl").write_text("\n".join(json.dumps({"image": i, "caption": c}) for i, c in rows))
    log: list[Any] = []
    with authors.author() as (server, _):
        found = await made(configured(server.url, tmp_path / "mine" / "list.jsonl", tmp_path), log).find(
            "an azure wall", 1
        )
        assert found.ending == ".webp"
        assert [Path(fields["path"]).name for _, fields in log] == ["gone.png", "broken.png"]
        (tmp_path / "mine" / "deep" / "blue.webp").unlink()
        with pytest.raises(InputError, match="not one of its pictures can be opened"):
            await made(configured(server.url, tmp_path / "mine" / "list.jsonl", tmp_path)).find("an azure wall", 1)


async def test_an_index_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    rows = [{"image": f"{i}.png", "caption": f"{'azure ' * i}wall"} for i in range(10)]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "4.png").write_bytes(picture((1, 2, 3)))
    with authors.author() as (server, script):
        config = configured(server.url, tmp_path / "list.jsonl", tmp_path, "synth.images.embedding.batch=3")
        left = [2]

        def answer(handler: servers.Handler, body: dict[str, Any]) -> None:
            left[0] -= 1
            (servers.status(401) if left[0] == -1 else script)(handler, body)

        server.answer = answer
        with pytest.raises(FatalModelError):
            await made(config).find(rows[4]["caption"], 1)
        found = await made(config).find(rows[4]["caption"], 1)
    assert found.notes["image"].endswith("4.png")
    assert [len(body["input"]) for _, _, body in server.seen] == [3, 3, 3, 3, 1, 1]
    assert sorted(path.suffix for path in (tmp_path / "index").iterdir()) == [".npy"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"image": "a.png", "caption": "b"}\n{"image": 3}', "line 2: expected"),
        ('{"image": "a.png"', "line 1: expected"),
        ('[{"image": "a.png"}]', "item 0: expected ShareGPT4V's layout"),
        ("[", "not JSON"),
        ("", "holds no picture"),
    ],
)
def test_a_list_that_is_broken_is_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.jsonl").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        library.load(configured("http://127.0.0.1:1/v1", tmp_path / "list.jsonl", tmp_path).synth.images)
    assert "list.jsonl" in str(caught.value)


async def test_an_empty_library_and_one_without_a_whole_picture_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    config = configured("http://127.0.0.1:1/v1", tmp_path / "mine", tmp_path)
    with pytest.raises(InputError, match=r"mine: holds no picture; expected some of \.png"):
        library.load(config.synth.images)
    (tmp_path / "mine" / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none of its 1 pictures can be opened: .*a\.png"):
        await made(config).find("anything", 1)


# ------------------------------------------------------------------------------------------------ painted


def painted(config: Config, memory: Book, kept: dict[str, bytes]) -> Painted:
    def put(name: str, data: bytes) -> File:
        kept[name] = data
        return File(name=name, sha256="0" * 64, size=len(data), media_type="image/png")

    painter = EndpointPainter(config.synth.images, "painting", ledger("painting", config.synth.images.endpoint))
    return Painted(painter, memory=memory, put=put, read=lambda file: kept[file.name])


async def test_a_painted_picture_is_paid_for_once(tmp_path: Path) -> None:
    memory, kept = Book(), dict[str, bytes]()
    with authors.author() as (server, _):
        config = configured(server.url, tmp_path, tmp_path, "synth.images.size=256x256")
        first = await painted(config, memory, kept).find("a kettle on a stove", 3)
        second = await painted(config, memory, kept).find("a kettle on a stove", 3)
        other = await painted(config, memory, kept).find("a kettle on a stove", 4)
    assert first == second
    assert first.data == authors.painted("a kettle on a stove") == other.data
    assert first.ending == ".png"
    asked = [body for _, _, body in server.seen]
    assert asked == 2 * [
        {"model": "tiny", "prompt": "a kettle on a stove", "n": 1, "size": "256x256", "response_format": "b64_json"}
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [({"url": "http://192.0.2.1/a.png"}, "an address came in place of a picture"), ({"b64_json": "?"}, "not base64")],
)
async def test_what_is_no_picture_is_refused(tmp_path: Path, data: dict[str, str], message: str) -> None:
    with servers.serving(lambda handler, _: handler.reply(200, {"data": [data]})) as server:
        config = configured(server.url, tmp_path, tmp_path)
        with pytest.raises(ContentError, match=message):
            await painted(config, Book(), {}).find("a kettle", 3)


async def test_bytes_that_do_not_open_are_no_picture(tmp_path: Path) -> None:
    with servers.serving(lambda handler, _: handler.reply(200, {"data": [{"b64_json": "AAAA"}]})) as server:
        found = await painted(configured(server.url, tmp_path, tmp_path), Book(), {}).find("a kettle", 3)
    assert found.data is None
    assert "cannot be opened as a picture" in str(found.notes["why"])


def test_a_picture_of_a_rare_format_becomes_a_png() -> None:
    data, ending = usual(picture((1, 2, 3), "BMP"))
    assert ending == ".png"
    with PIL.Image.open(io.BytesIO(data)) as opened:
        assert (opened.format, opened.convert("RGB").getpixel((0, 0))) == ("PNG", (1, 2, 3))


# -------------------------------------------------------------------------------------------- embeddings


async def test_vectors_come_in_the_order_of_the_texts_and_have_length_one() -> None:
    def shuffled(handler: servers.Handler, body: dict[str, Any]) -> None:
        rows = [{"index": i, "embedding": [float(i), 2.0]} for i in range(len(body["input"]))]
        handler.reply(200, {"data": rows[::-1], "usage": {"prompt_tokens": 5}})

    with servers.serving(shuffled) as server:
        rows = await embedder(server.url).embed(["a", "b", "c"])
    np.testing.assert_allclose(rows, unit(np.asarray([[0, 2], [1, 2], [2, 2]], np.float32)))
    assert server.seen[0][0] == "/v1/embeddings"


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0], [1.0, 2.0]]])
async def test_vectors_that_are_missing_or_of_different_width_are_refused(rows: Sequence[Sequence[float]]) -> None:
    data = [{"index": i, "embedding": row} for i, row in enumerate(rows)]
    with (
        servers.serving(lambda handler, _: handler.reply(200, {"data": data})) as server,
        pytest.raises(ContentError, match="vectors came for 2 texts"),
    ):
        await embedder(server.url).embed(["a", "b"])


def embedder(url: str) -> EndpointEmbedder:
    settings = load(None, authors.endpoint("controller", url)).controller.endpoint
    return EndpointEmbedder(settings, "embedding", ledger("embedding", settings))
