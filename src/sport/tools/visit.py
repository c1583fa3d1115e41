"""``visit``: the text of a web page, of a document on the web, or the places on it where some words stand."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar

from sport.errors import ToolError
from sport.tools import guard
from sport.tools.base import FileBytes, ToolOutput
from sport.tools.documents import InspectFileAsText
from sport.tools.web import Client
from sport.types import Json, Parameter, ToolSpec

REMEMBERED = 8  # pages: looking for words on one that was just read asks nobody
AROUND = 300  # characters before and after a place that is found
PLACES = 5
HTML = ("text/html", "application/xhtml+xml", "")
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


class Visit:
    """Pages by trafilatura (what a page says, as Markdown, without what stands around it), documents by MarkItDown.

    Args:
        web: the section ``[tools.web]``.
        most: characters of one page of the answer.

    Not covered: pages that scripts fill, forms, logins.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="visit",
        description="Read a page of the web as text. A long one comes in numbered parts; find shows where words stand.",
        parameters=(
            Parameter(name="url", type="string", description="its http(s) address"),
            Parameter(name="page", type="integer", description="which part", required=False, default=1),
            Parameter(
                name="find", type="string", description="words to look for in all parts", required=False, default=""
            ),
        ),
        returns="title, address and text; a picture as a file",
        version="1",
    )

    def __init__(self, web: Mapping[str, Json], most: int = 8000) -> None:
        import trafilatura

        self._extract = trafilatura.extract
        self._title = trafilatura.extract_metadata
        self._client = Client(web)
        self._most = most
        self._documents: InspectFileAsText | None = None
        self._pages: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def call(self, url: str, page: int = 1, find: str = "") -> ToolOutput:
        """The text. Raises ToolError as :meth:`Client.get`, and for a part that is not there; Unreached as there."""
        if url in self._pages:
            self._pages.move_to_end(url)
        else:
            answer = self._client.get(url)
            if answer.media_type in ENDINGS:
                guard.check(FileBytes(answer.body, answer.media_type))
                return ToolOutput(f"{answer.url} is a picture", {f"page.{ENDINGS[answer.media_type]}": answer.body})
            self._pages[url] = self._read(answer.body, answer.media_type, answer.url)
            while len(self._pages) > REMEMBERED:
                self._pages.popitem(last=False)
        head, text = self._pages[url]
        return ToolOutput(f"{head}\n\n{self._found(text, find) if find.strip() else self._part(text, page)}")

    def _read(self, body: bytes, media_type: str, url: str) -> tuple[str, str]:
        """Head and text."""
        if media_type not in HTML:
            self._documents = self._documents or InspectFileAsText()
            return url, self._documents.call(FileBytes(body, media_type))
        text = self._extract(body, url=url, output_format="markdown", include_tables=True, favor_recall=True)
        told = self._title(body, default_url=url)
        title = (told.title if told is not None else None) or ""
        if not text:
            raise ToolError(f"{url} has no text to read; scripts may fill it")
        return f"{title}\n{url}".strip(), text

    def _part(self, text: str, page: int) -> str:
        parts = -(-len(text) // self._most) or 1
        if not 1 <= page <= parts:
            raise ToolError(f"there is no part {page}; this page has {parts}")
        part = text[(page - 1) * self._most : page * self._most]
        return part if parts == 1 else f"[part {page} of {parts}]\n\n{part}"

    def _found(self, text: str, words: str) -> str:
        """The first places where the words stand one after the other, letter case and spaces aside."""
        pattern = r"\s+".join(map(re.escape, words.split()))
        hits = list(re.finditer(pattern, text, re.IGNORECASE))
        if not hits:
            return f"{words!r} does not stand on this page"
        lines = [f"{words!r} stands on this page {len(hits)} times"]
        for hit in hits[:PLACES]:
            around = " ".join(text[max(0, hit.start() - AROUND) : hit.end() + AROUND].split())
            lines.append(f"[part {hit.start() // self._most + 1}] ... {around} ...")
        return "\n\n".join(lines)
