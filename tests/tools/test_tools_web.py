"""Web tools against a server on loopback: addresses, redirects, caps, recordings, search engines by name."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sport.errors import ToolError
from sport.tools.addresses import is_public
from sport.tools.recording import name
from sport.tools.visit import Visit
from sport.tools.web import Client, Unreached
from sport.tools.web_search import WebSearch

STONES = ("Basalt is a dark rock", "Gabbro is a coarse rock", "Andesite is a grey rock")
ARTICLE = "".join(
    f"<p>{stone} that cools from molten matter; its density is about 2.9 grams per cubic centimetre.</p>"
    for stone in STONES
)
PAGE = f"<html><head><title>Basalt</title></head><body><article>{ARTICLE}</article></body></html>"
HITS = [{"title": "Basalt", "url": "http://x/1", "link": "http://x/1", "content": "dark", "snippet": "dark"}]
HITS[0]["description"] = "dark"


class Site(BaseHTTPRequestHandler):
    seen: list[tuple[str, dict[str, str], bytes]]

    def do_GET(self) -> None:
        self.reply()

    def do_POST(self) -> None:
        self.reply(self.rfile.read(int(self.headers["Content-Length"])))

    def reply(self, body: bytes = b"") -> None:
        self.server.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))  # type: ignore[attr-defined]
        path = urlsplit(self.path).path
        if path.startswith("/hop/"):
            left = int(path.rpartition("/")[2])
            return self.say(302, "", b"", Location=f"/hop/{left - 1}" if left else "/page")
        if path == "/elsewhere":
            return self.say(302, "", b"", Location="file:///etc/passwd")
        if path == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(40):
                self.wfile.write(b"x" * 10)
                time.sleep(0.1)
            return None
        pages = {
            "/page": ("text/html; charset=utf-8", PAGE.encode()),
            "/large": ("text/html", b"x" * (2 << 20)),
            "/table": ("text/csv", b"stone,density\nbasalt,2.9\n"),
            "/photo": ("image/png", b"\x89PNG\r\n\x1a\n"),
            "/empty": ("text/html", b"<html><body><script>fill()</script></body></html>"),
            "/search": ("application/json", json.dumps({"results": HITS}).encode()),
            "/brave": ("application/json", json.dumps({"web": {"results": HITS}}).encode()),
            "/serper": ("application/json", json.dumps({"organic": HITS}).encode()),
            "/tavily": ("application/json", json.dumps({"results": HITS}).encode()),
            "/serpapi": ("application/json", json.dumps({"organic_results": HITS}).encode()),
            "/odd": ("application/json", b'{"web": []}'),
        }
        if path not in pages:
            return self.say(503 if path == "/busy" else 404, "text/plain", b"")
        return self.say(200, *pages[path])

    def say(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be silent."""


@pytest.fixture
def site() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.seen, server.handle_error = [], lambda *_: None
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


OPEN: dict[str, Any] = {"allow_private": True, "max_mb": 1, "timeout_s": 2.0}

# ---------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("::1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("192.168.0.1", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("fe80::1", False), ("fd00::1", False), ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("64:ff9b::808:808", True),
    ],
)  # fmt: skip
def test_only_addresses_of_the_open_internet_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
def test_loopback_is_refused_by_any_of_its_names_and_nobody_is_asked(site: Any, host: str) -> None:
    with pytest.raises(ToolError, match=r"not of the public internet|there is no host"):
        Client({}).get(f"http://{host}:{site.server_port}/page")
    assert site.seen == []


def test_a_name_is_looked_at_when_the_connection_is_made(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name whose address is private, and one that has both kinds of addresses."""
    real = socket.getaddrinfo
    for addresses in (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"]):

        def fake(host: str, port: int, *_: Any, found: list[str] = addresses, **__: Any) -> Any:
            return [one for address in found for one in real(address, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", fake)
        with pytest.raises(ToolError, match=r"example\.org has the address 127\.0\.0\.1"):
            Client({}).get(f"http://example.org:{site.server_port}/page")
    assert site.seen == []


# ----------------------------------------------------------------------------------------------- fetching


def test_five_redirects_are_followed_and_no_more(site: Any) -> None:
    assert Client(OPEN).get(f"{site.url}/hop/4").url == f"{site.url}/page"
    with pytest.raises(ToolError, match="leads on more than 5 times"):
        Client(OPEN).get(f"{site.url}/hop/5")


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/large", ToolError, "larger than 1 MiB"), ("/gone", ToolError, "the server says 404"),
        ("/busy", Unreached, "the server says 503"), ("/drip", Unreached, "not whole within 2 s"),
        ("/elsewhere", ToolError, "no http"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_and_may_be_tried_again_or_not(site: Any, path: str, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        Client(OPEN).get(site.url + path)


def test_other_schemes_and_dead_servers_are_refused(site: Any) -> None:
    for url in ("file:///etc/passwd", "ftp://example.org/x", "no url"):
        with pytest.raises(ToolError, match="no http"):
            Client(OPEN).get(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreached):
        Client(OPEN).get(f"http://127.0.0.1:{port}/")


# -------------------------------------------------------------------------------------------------- visit


def test_a_page_is_read_in_parts_and_searched(site: Any) -> None:
    visit = Visit(OPEN, most=120)
    first = visit.call(f"{site.url}/page").value
    assert first.startswith(f"Basalt\n{site.url}/page\n\n[part 1 of ") and "dark rock" in first
    found = visit.call(f"{site.url}/page", find="GRAMS per").value
    assert "stands on this page 3 times" in found and "[part 1] ..." in found and "2.9 grams per cubic" in found
    assert "does not stand" in visit.call(f"{site.url}/page", find="granite").value
    assert len(site.seen) == 1
    with pytest.raises(ToolError, match="there is no part 99"):
        visit.call(f"{site.url}/page", page=99)


def test_documents_are_read_and_pictures_are_files(site: Any) -> None:
    visit = Visit(OPEN)
    assert "| basalt | 2.9 |" in visit.call(f"{site.url}/table").value
    assert list(visit.call(f"{site.url}/photo").files) == ["page.png"]
    with pytest.raises(ToolError, match="has no text to read"):
        visit.call(f"{site.url}/empty")


# ----------------------------------------------------------------------------------------------- recording


def test_what_was_recorded_is_replayed_without_the_web(site: Any, tmp_path: Path) -> None:
    kept = {**OPEN, "record": str(tmp_path)}
    live = Visit({**kept, "mode": "record"}).call(f"{site.url}/page")
    Visit({**kept, "mode": "record"}).call(f"{site.url}/page")
    assert len(site.seen) == 1
    again = {"mode": "replay", "record": str(tmp_path)}  # private addresses are not allowed, and nobody is asked
    assert Visit(again).call(f"{site.url}/page") == live
    with pytest.raises(ToolError, match="the recording has no answer to"):
        Visit(again).call(f"{site.url}/table")
    (file,) = tmp_path.iterdir()
    asked = {"method": "GET", "url": f"{site.url}/page", "params": {}, "body": None}
    assert file.name == f"{name(asked)}.json" and json.loads(file.read_text())["asked"] == asked


def test_a_failure_is_not_recorded(site: Any, tmp_path: Path) -> None:
    with pytest.raises(Unreached):
        Client({**OPEN, "mode": "record", "record": str(tmp_path)}).get(f"{site.url}/busy")
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize("provider", ["searxng", "brave", "serper", "serpapi", "tavily"])
def test_every_provider_asks_in_its_way_and_answers_in_ours(
    site: Any, provider: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEARCH_KEY", "k-123")
    web = {"mode": "record", "record": str(tmp_path)}  # a server of the configuration may be private
    base = site.url if provider == "searxng" else f"{site.url}/{provider}"
    search = WebSearch(provider, web, env=["SEARCH_KEY"], base_url=base, most=1)
    assert search.call(" basalt ") == [{"title": "Basalt", "url": "http://x/1", "text": "dark"}]
    ((path, headers, body),) = site.seen
    words = parse_qs(urlsplit(path).query).get("q") or [v for k, v in json.loads(body).items() if k in ("q", "query")]
    assert words == ["basalt"]
    sent = f"{path} {headers} {body!r}"
    assert ("k-123" in sent) is (provider != "searxng")
    assert all("k-123" not in file.read_text() for file in tmp_path.iterdir())


def test_another_shape_is_said_and_an_empty_query_refused(site: Any) -> None:
    with pytest.raises(Unreached, match="answered in another shape"):
        WebSearch("brave", {}, base_url=f"{site.url}/odd").call("basalt")
    with pytest.raises(ToolError, match="give a few words"):
        WebSearch("brave", {}).call(" ")
