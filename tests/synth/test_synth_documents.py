"""Documents of all kinds: written by programs in the real sandbox, read back by the agent's own inspector."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import authors
from sport import wire
from sport.config import load
from sport.events import Silent
from sport.store import Store
from sport.synth.documents import broken
from sport.synth.stage import synthesise
from sport.tools.base import FileBytes

KINDS = ("csv", "xlsx", "docx", "pptx", "pdf", "json", "html", "txt")


@asynccontextmanager
async def run(folder: Path, url: str, *more: str) -> AsyncIterator[tuple[Store, Any]]:
    """A run with sandbox and inspector started, and no weights."""
    changes = (
        "synth.kind=llm",
        "synth.queries_per_call=4",
        "controller.kind=endpoint",
        'tools.names=["inspect_file_as_text"]',
        "tools.workers=1",
        *authors.endpoint("controller", url),
        *authors.endpoint("synth", url),
        *more,
    )
    with Store.create(folder, load(None, changes)) as store:
        kit = wire.build(store, Silent())
        await kit.tools.start()
        await kit.sandbox.start()
        try:
            yield store, kit
        finally:
            await kit.sandbox.stop()
            await kit.tools.stop()


def notes(store: Store) -> list[dict[str, Any]]:
    return [json.loads(line)[4] for line in store.dump() if json.loads(line)[0] == "check"]


@pytest.mark.timeout(400)
async def test_all_eight_kinds_are_written_in_the_sandbox_and_read_back(tmp_path: Path) -> None:
    kinds = [*((kind,) for kind in KINDS), (), ("csv", "pdf", "csv")]
    async with run_with(tmp_path, kinds=kinds) as (store, kit, server, _):
        await synthesise(store, kit.writer, kit.checker, iteration=1, wanted=len(kinds), progress=Silent())
        tasks = store.tasks("explore", 1)
        for task, wanted in zip(tasks, kinds, strict=True):
            assert [file.name.rpartition(".")[2] for file in task.files] == list(wanted)
            for file in task.files:
                answer = await kit.tools.call(
                    "inspect_file_as_text", {"file": FileBytes(store.read(file), file.media_type)}
                )
                assert answer.error is None
                assert "anchors" in answer.value and "42" in answer.value, (file.name, answer.value)
        assert [file.name for file in tasks[-1].files] == ["stock_csv.csv", "stock_pdf.pdf", "stock_csv_3.csv"]
        [last] = [note for note in notes(store) if note["wanted"] == ["csv", "pdf", "csv"]]
        assert [set(one) for one in last["files"]] == [{"kind", "shows", "program", "mended", "name"}] * 3
    checks = [authors.words(b["messages"][0]) for b in server.asked if "Somebody wants" in str(b["messages"][0])]
    assert len(checks) == len(kinds)
    assert sum("lanterns" in text for text in checks) == 9  # the judge has read all that has files


@asynccontextmanager
async def run_with(tmp_path: Path, *more: str, **settings: Any) -> AsyncIterator[tuple[Store, Any, Any, Any]]:
    with authors.author(**settings) as (server, script):
        async with run(tmp_path / "run", server.url, *more) as (store, kit):
            yield store, kit, server, script


FAULTS = {
    "anchors": ("open('other.csv', 'w').write('a,b')", "the program wrote no file stock_csv.csv; it wrote other.csv"),
    "lamps": ("open('stock_csv.csv', 'w').write('nothing at all')", "it is no table"),
    "tents": ("def", "it is not a Python program"),
    "violins": ("import socket\nsocket.create_connection(('192.0.2.1', 80), 1)", "the program ended with error"),
    "clocks": ("while True: pass", "the program ended with timeout"),
    "kettles": ("raise ValueError('no such kettle')", "no such kettle"),
}


@pytest.mark.timeout(400)
async def test_a_program_that_fails_is_sent_back_once_then_its_task_is_dropped_with_the_reason(tmp_path: Path) -> None:
    queries = [(f"What do the {subject} in this table add up to?", ["csv"]) for subject in FAULTS]
    async with run_with(tmp_path, "sandbox.wall_s=3.0", "synth.duplicate=0.99", queries=queries) as (
        store, kit, server, script,
    ):  # fmt: skip
        asked = script.say

        def say(prompt: str, body: dict[str, Any]) -> str:
            [subject] = [word for word in FAULTS if "Write a Python" in prompt and word in prompt] or [""]
            mends = subject == "kettles" and len(body["messages"]) == 3
            return f"```py\n{FAULTS[subject][0]}\n```" if subject and not mends else asked(prompt, body)

        script.say = say
        found = await synthesise(store, kit.writer, kit.checker, iteration=1, wanted=1, progress=Silent())
        checks = store.checks("explore", 1)
        assert found == {"written": 6, "kept": 1, "files": 5}
        for lost, (_, why) in zip(checks[:5], FAULTS.values(), strict=False):
            assert lost.reason.startswith('files: "document: ')
            assert why in lost.reason
            assert lost.task.files == ()
        assert b"anchors,17" in store.read(checks[5].task.files[0])
        assert [one["mended"] for note in notes(store) for one in note["files"] if "mended" in one] == [True]
    sent_back = [body["messages"][2]["content"] for body in server.asked if len(body["messages"]) == 3]
    assert len(sent_back) == 6
    assert "no such kettle" in sent_back[-1]


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        ("xlsx", b"PK\x05\x06" + bytes(18), "it is no xlsx file"),
        ("docx", b"hello", "it is no docx file"),
        ("pdf", b"hello", "it is no pdf file"),
        ("json", b"{'a': 1}", "it is not JSON"),
        ("html", b"<p>a", "it has no <body>"),
        ("csv", b"a,b\n", "it is no table"),
        ("txt", b"\xff\xfe\x00", "it is not UTF-8 text"),
        ("txt", b"", "it is empty"),
        ("txt", b"a", None),
        ("csv", b"a,b\n1,2\n", None),
        ("json", b"[1]", None),
    ],
)
def test_what_is_wrong_with_a_documents_bytes(kind: str, data: bytes, problem: str | None) -> None:
    found = broken(data, kind)
    assert found is None if problem is None else problem in str(found)
