"""``search`` with a provider: results of a search engine of the web."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

from sport.errors import ConfigError, ToolError
from sport.tools.providers import FREE, KEYED, Query
from sport.tools.web import Client
from sport.tools.weights import NotReady
from sport.types import Json, Parameter, ToolSpec


class WebSearch:
    """The first results of one engine.

    Args:
        provider: ddgs, searxng, brave, serper, serpapi or tavily.
        web: the section ``[tools.web]``.
        env: names of environment variables; a keyed provider's key is in the first.
        base_url: of a SearXNG instance, or in place of a provider's own address.
        most: results.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="search",
        description="Search the web.",
        parameters=(Parameter(name="query", type="string", description="a few words, as for a search engine"),),
        returns="a list of {'title', 'url', 'text'}, best first; empty when nothing fits",
        version="1",
    )

    def __init__(
        self, provider: str, web: Mapping[str, Json], env: Sequence[str] = (), base_url: str = "", most: int = 6
    ) -> None:
        self._search = {**FREE, **KEYED}[provider]
        self._client = Client(web)
        self._key = os.environ.get(env[0], "") if env else ""
        self._base_url = base_url
        self._most = most

    @staticmethod
    def check(where: str, options: Mapping[str, Json]) -> None:
        """What can be found wrong without asking. Raises ConfigError, or NotReady where a key is missing."""
        provider = options.get("provider")
        if provider not in FREE and provider not in KEYED:
            known = ", ".join([*FREE, *KEYED])
            raise ConfigError(f"{where}.options.provider: unknown provider {provider!r}; expected one of {known}")
        if provider == "searxng" and not options.get("base_url"):
            raise ConfigError(f"{where}.options.base_url: give the address of a SearXNG instance")
        replayed = isinstance(options.get("web"), dict) and options["web"].get("mode") == "replay"
        if provider in KEYED and not options.get("env") and not replayed:
            raise NotReady(
                f"{where}.env: provider {provider!r} needs a key; name the variable that holds it, as in "
                'env = ["MY_KEY"]',
                needs="key",
            )

    def call(self, query: str) -> Json:
        """The results. Raises ToolError for an empty query; Unreached when there is no answer for now."""
        if not query.strip():
            raise ToolError("nothing to search for: give a few words")
        return self._search(self._client, Query(query.strip(), self._most, self._base_url, self._key))
