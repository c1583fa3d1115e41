"""Search engines by name, each one request and the shape of its reply. Adding one means adding a function.

``ddgs`` and ``searxng`` need no key. What the keyed ones ask and answer is taken from their public documentation; the
tests play them on loopback, nobody has paid them a call for this project.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sport.errors import ToolError
from sport.tools.recording import Answer
from sport.tools.web import Client, Unreached

Hit = dict[str, str]


@dataclass(frozen=True)
class Query:
    """What every provider is asked. ``base_url`` is "" for the provider's own, ``key`` is "" where there is none."""

    words: str
    most: int
    base_url: str
    key: str


def ddgs(client: Client, query: Query) -> list[Hit]:
    """Several engines without a key, by the ddgs library, which has an HTTP client of its own."""

    def live() -> Answer:
        from ddgs import DDGS
        from ddgs.exceptions import DDGSException

        try:
            found = DDGS(timeout=round(client.settings.timeout_s)).text(query.words, max_results=query.most)
        except DDGSException as error:
            if "no results" in str(error).lower():
                found = []
            else:
                raise Unreached(f"ddgs: {error}") from error
        return Answer("", 200, "application/json", json.dumps(found).encode())

    asked = {"provider": "ddgs", "query": query.words, "most": query.most}
    return _hits(client.recording.get(asked, live), (), "title", "href", "body", query.most)


def searxng(client: Client, query: Query) -> list[Hit]:
    """A SearXNG instance, whose settings must allow the format json."""
    if not query.base_url:
        raise ToolError("searxng needs the option base_url, the address of an instance")
    params = {"q": query.words, "format": "json"}
    answer = client.request("GET", f"{query.base_url.rstrip('/')}/search", params=params, trusted=True)
    return _hits(answer, ("results",), "title", "url", "content", query.most)


def brave(client: Client, query: Query) -> list[Hit]:
    """Brave Search."""
    params = {"q": query.words, "count": str(query.most)}
    url = query.base_url or "https://api.search.brave.com/res/v1/web/search"
    headers = {"X-Subscription-Token": query.key, "Accept": "application/json"}
    answer = client.request("GET", url, params=params, headers=headers, trusted=True)
    return _hits(answer, ("web", "results"), "title", "url", "description", query.most)


def serper(client: Client, query: Query) -> list[Hit]:
    """Serper, which asks Google."""
    url = query.base_url or "https://google.serper.dev/search"
    body = {"q": query.words, "num": query.most}
    answer = client.request("POST", url, body=body, headers={"X-API-KEY": query.key}, trusted=True)
    return _hits(answer, ("organic",), "title", "link", "snippet", query.most)


def tavily(client: Client, query: Query) -> list[Hit]:
    """Tavily."""
    url = query.base_url or "https://api.tavily.com/search"
    body = {"query": query.words, "max_results": query.most}
    headers = {"Authorization": f"Bearer {query.key}"}
    answer = client.request("POST", url, body=body, headers=headers, trusted=True)
    return _hits(answer, ("results",), "title", "url", "content", query.most)


def serpapi(client: Client, query: Query) -> list[Hit]:
    """SerpApi, which asks Google."""
    url = query.base_url or "https://serpapi.com/search"
    params = {"engine": "google", "q": query.words, "num": str(query.most)}
    answer = client.request("GET", url, params=params, secret={"api_key": query.key}, trusted=True)
    return _hits(answer, ("organic_results",), "title", "link", "snippet", query.most)


Provider = Callable[[Client, Query], list[Hit]]
FREE: Mapping[str, Provider] = {"ddgs": ddgs, "searxng": searxng}
KEYED: Mapping[str, Provider] = {"brave": brave, "serper": serper, "serpapi": serpapi, "tavily": tavily}


def _hits(answer: Answer, path: Sequence[str], title: str, url: str, text: str, most: int) -> list[Hit]:
    """The list that ``path`` leads to, each entry with title, url and text. Raises Unreached for another shape."""
    try:
        found: Any = json.loads(answer.body)
        for step in path:
            found = found.get(step, {} if step != path[-1] else [])
        return [
            {"title": str(one.get(title) or ""), "url": str(one[url]), "text": str(one.get(text) or "")}
            for one in found[:most]
        ]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise Unreached(f"the search engine answered in another shape ({type(error).__name__}: {error})") from error
