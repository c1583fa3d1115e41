"""Documents written by a language model's program, which runs where model-written code runs: in the sandbox."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sport.errors import ToolError
from sport.sandbox.base import Sandbox
from sport.synth.base import LookInto
from sport.synth.replies import Asker, Reply, Unusable, as_program
from sport.types import File, ReadFile, Sampling

LIBRARIES: Mapping[str, str] = {
    "csv": "the csv module",
    "xlsx": "openpyxl",
    "docx": "python-docx (import docx)",
    "pptx": "python-pptx (import pptx)",
    "pdf": "reportlab",
    "json": "the json module",
    "html": "plain strings: a whole HTML page with <html>, <head> and <body>",
    "txt": "plain strings",
}
"""What a program for each kind is told to use."""

LEAST = 20  # characters of text that a document must hold
_INSIDE = {"xlsx": "xl/", "docx": "word/", "pptx": "ppt/"}


@dataclass(frozen=True)
class Wish:
    """A file that a task needs: its kind, its name and what it must show."""

    kind: str
    name: str
    shows: str


@dataclass(frozen=True)
class Made:
    """A document: its bytes, the program that wrote it, and whether that had to be mended."""

    data: bytes
    program: str
    mended: bool
    prompt: str


@dataclass(frozen=True)
class Documents:
    """Asks for programs, runs them, and believes only what the agent's own tool can read.

    ``installed`` are the packages that code in the sandbox finds, ``seconds`` its time limit.
    """

    asker: Asker
    sandbox: Sandbox
    read: ReadFile
    look: LookInto
    installed: Sequence[str]
    seconds: float
    max_new_tokens: int

    async def make(self, query: str, wish: Wish, others: Sequence[Wish], *, box: str, seed: int) -> Made:
        """The document that is wished for. A program that fails is sent back with its error once.

        Raises:
            ContentError: the second program was no use either.
            SandboxError: the sandbox itself broke.
        """
        turns = 0

        async def run(text: str) -> tuple[bytes, str]:
            nonlocal turns
            turns += 1
            program = as_program(text)
            return await self._run(program, wish, f"{box}-{turns}", seed), program

        values: dict[str, Any] = {
            "query": query, "name": wish.name, "kind": wish.kind, "shows": wish.shows, "others": others,
            "libraries": LIBRARIES, "installed": ", ".join(self.installed), "seconds": f"{self.seconds:g}",
        }  # fmt: skip
        sampling = Sampling(temperature=0.7, max_new_tokens=self.max_new_tokens, seed=seed)
        reply: Reply[tuple[bytes, str]] = await self.asker.ask("document", values, run, sampling)
        data, program = reply.value
        return Made(data, program, reply.mended, self.asker.prompts["document"].version)

    async def _run(self, program: str, wish: Wish, box: str, seed: int) -> bytes:
        state = await self.sandbox.open(box, ())
        try:
            seen = await state.run(program, seed)
        finally:
            await state.close()
        if seen.outcome != "ok":
            raise Unusable(f"the program ended with {seen.outcome}: {(seen.error or seen.stderr)[-1500:]}")
        file = next((file for file in seen.files if file.name == wish.name), None)
        if file is None:
            made = ", ".join(file.name for file in seen.files) or "none"
            raise Unusable(f"the program wrote no file {wish.name}; it wrote {made}")
        data = self.read(file)
        if problem := broken(data, wish.kind):
            raise Unusable(f"{wish.name}: {problem}")
        await self._inspect(file)
        return data

    async def _inspect(self, file: File) -> None:
        try:
            text = await self.look(file)
        except ToolError as error:
            raise Unusable(f"{file.name} cannot be read: {error}") from error
        if len(text.strip()) < LEAST:
            raise Unusable(f"{file.name}: a reader finds no text in it")


def broken(data: bytes, kind: str) -> str | None:
    """What is wrong with a document's bytes, None where nothing is: the format only, not what it says."""
    if not data:
        return "it is empty"
    if kind in _INSIDE:
        try:
            names = zipfile.ZipFile(io.BytesIO(data)).namelist()
        except zipfile.BadZipFile:
            names = []
        return None if any(name.startswith(_INSIDE[kind]) for name in names) else f"it is no {kind} file"
    if kind == "pdf":
        return None if data.startswith(b"%PDF-") else "it is no pdf file"
    try:
        return _no_text(data.decode("utf-8"), kind)
    except UnicodeDecodeError:
        return "it is not UTF-8 text"


def _no_text(text: str, kind: str) -> str | None:
    if kind == "json":
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            return f"it is not JSON ({error})"
    if kind == "csv":
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
        if len(rows) < 2 or len(rows[0]) < 2:
            return "it is no table: expected a heading and at least one row, of two columns and more"
    if kind == "html" and "<body" not in text.lower():
        return "it is no HTML page: it has no <body>"
    return None
