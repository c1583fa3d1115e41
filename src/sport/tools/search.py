"""``search``: the articles of a small corpus that fit some words best, by SQLite full-text search. No network."""

from __future__ import annotations

import json
import re
import sqlite3
from importlib import resources
from pathlib import Path
from typing import ClassVar

from sport.errors import ToolError
from sport.types import Parameter, ToolSpec

MOST = 3  # articles that one search returns


class Search:
    """Ranks whole articles by bm25 over title and text; any of the words may match, word endings do not matter.

    Args:
        articles: a file of JSON lines, each with ``title`` and ``text``; None for the corpus inside the package.
            Who hands another file must say so in the version of the tool's spec: it is part of the cache's key.

    Not covered: phrases, operators, misspelt words, and meaning beyond the words.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="search",
        description="Search an encyclopaedia of towns, roads, museums, money, materials and food.",
        parameters=(Parameter(name="query", type="string", description="a few words"),),
        returns=f"at most {MOST} articles, best first, each 'Title: text' on a line; empty when none fits",
        version="1",
    )

    def __init__(self, articles: str | None = None) -> None:
        inside = resources.files("sport") / "corpus" / "articles.jsonl"
        text = (Path(articles) if articles is not None else inside).read_text(encoding="utf-8")
        rows = [(line["title"], line["text"]) for line in map(json.loads, text.splitlines())]
        self._base = sqlite3.connect(":memory:")
        self._base.execute("CREATE VIRTUAL TABLE article USING fts5(title, text, tokenize = 'porter unicode61')")
        self._base.executemany("INSERT INTO article VALUES (?, ?)", rows)

    def call(self, query: str) -> str:
        """The articles. Raises ToolError when the query has no word."""
        words = re.findall(r"\w+", query)
        if not words:
            raise ToolError("nothing to search for: give a few words")
        found = self._base.execute(
            "SELECT title, text FROM article WHERE article MATCH ? ORDER BY bm25(article, 2.0, 1.0), rowid LIMIT ?",
            (" OR ".join(f'"{word}"' for word in words), MOST),
        )
        return "\n".join(f"{title}: {text}" for title, text in found)
