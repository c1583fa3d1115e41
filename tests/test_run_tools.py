"""Tools of every origin in one trajectory, and whole questions whose tools ask models and read recorded pages."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import PIL.Image
import PIL.ImageDraw
import pytest

import servers
from agentkit import act
from sport import hosting
from sport.ask import ask
from sport.config import parse
from sport.dialect import Dialect
from sport.events import Silent
from sport.given import prepare
from sport.kit import Kit
from sport.llm.scripted import ScriptedLLM
from sport.sandbox.forked import ForkedSandbox
from sport.store import Store
from sport.tools.visit import Visit
from sport.tools.web_search import WebSearch
from sport.types import Trajectory

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "tools" / "data"


# ------------------------------------------------------------------------- one trajectory, tools of all origins

CONFIG: dict[str, Any] = {
    "name": "tools",
    "agent": {"max_steps": 6},
    "sandbox": {"libraries": []},
    "tools": {
        "names": ["examples/own_tool.py:convert", str(DATA / "own_tools.py") + ":backwards"],
        "workers": 1,
        "mcp": {"shop": {"command": [sys.executable, str(DATA / "mcp_server.py")]}},
    },
}
BOOK = {
    "How far": [
        [act('km = convert(5, "mile", "km")\nprint(km)\nword = backwards("aet")')],
        [act("there = in_stock(item=word)\nclose_down()", "This ends the server in mid-call.")],
        [act('print(in_stock(word, 2))\nphoto(8)\nfinal_answer(f"{km} {word} {there}")', "It is there again.")],
    ]
}


@pytest.mark.timeout(300)
async def test_a_function_an_mcp_tool_and_a_smolagents_tool_serve_one_trajectory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    with Store.create(tmp_path / "run", parse(CONFIG, "test")) as store:
        box = hosting.toolbox(store, cast(Any, None), store.config.tools)
        sandbox = ForkedSandbox(
            specs=box.specs, call=box.call, put=store.put, read=store.read, limits=store.config.sandbox
        )
        none = cast(Any, None)
        dialect = Dialect("react-1", box.specs)
        kit = Kit(store.config, store, Silent(), ScriptedLLM(BOOK), dialect, box, sandbox, none, none, none, none)
        found = await ask(kit, prepare("How far is it?"))
    assert found.end is not None
    assert (found.end.state, found.end.answer) == ("answered", "8.04672 tea True")
    seen = [step.trunk.observation for step in found.steps]
    assert [one.outcome for one in seen if one] == ["ok", "error", "ok"]
    assert seen[1] is not None and "the MCP server is gone" in str(seen[1].error)
    assert calls(found) == ["convert", "backwards", "in_stock", "close_down", "in_stock", "photo"]
    assert seen[2] is not None and [file.name for file in seen[2].files] == ["image_1.png"]


def calls(trajectory: Trajectory) -> list[str]:
    return [
        record.call.name
        for step in trajectory.steps
        if step.trunk.observation
        for record in step.trunk.observation.calls
    ]


# ------------------------------------------------------------- the questions of the paper's project page

SUGAR = (
    "How many grams of sugar will I take in if I drink two drinks of this 12 oz can a day like that in the picture"
    " for a week?"
)
REVIEWS = (
    "Find out the latest reviews for the smartphone featured in this image. Include comparisons with its competitors."
)
LABEL, PHONE = "Nutrition facts, 1 can (12 fl oz): sugars 41 g.", "The back says Pomelo X2."
PAGES = {
    "/x2": ("Pomelo X2 review", "The Pomelo X2 has a battery that lasts two days and a screen that is bright outside."),
    "/versus": ("Pomelo X2 against Quince 9", "Beside the Quince 9 the Pomelo X2 takes better pictures at night."),
}


def picture(path: Path, words: str) -> PIL.Image.Image:
    made = PIL.Image.new("RGB", (120, 160), "white")
    draw = PIL.ImageDraw.Draw(made)
    draw.rounded_rectangle((30, 10, 90, 150), 12, fill="firebrick")
    draw.text((38, 70), words, fill="white")
    made.save(path)
    return made


class Models:
    """One server plays all models; what it says follows from what it was asked."""

    def __init__(self, shown: PIL.Image.Image, pages: str) -> None:
        self.shown = shown
        self.pages = pages
        self.asked: list[str] = []

    def __call__(self, handler: servers.Handler, body: dict[str, Any]) -> None:
        self.asked.append(body["model"])
        said = getattr(self, body["model"])(body["messages"])
        handler.reply(200, servers.completion(said))

    def controller(self, messages: list[dict[str, Any]]) -> str:
        asked, seen = _text(messages[-1 if len(messages) == 2 else 1]), _text(messages[-1])
        if "reviews" in asked:
            if "Pages read" in seen:
                return act("final_answer(report)")
            if "Pomelo" in seen:
                return act('report = ask_search_agent("Reviews of the Pomelo X2 and how it compares")\nprint(report)')
            return act('print(visualizer("image_1.png", "Which smartphone is this?"))', "I look at the phone.")
        if (grams := re.search(r"sugars (\d+) g", seen)) is None:
            return act('print(visualizer("image_1.png", "How many grams of sugar are in this can?"))')
        return act(f"final_answer({grams[1]} * 2 * 7)", "Two cans a day, seven days.")

    def seer(self, messages: list[dict[str, Any]]) -> str:
        """Sees what was sent: the very pixels, inside the request."""
        image, words = messages[-1]["content"]
        head, _, data = image["image_url"]["url"].partition(";base64,")
        sent = PIL.Image.open(io.BytesIO(base64.b64decode(data)))
        assert head == "data:image/png" and sent.tobytes() == self.shown.tobytes()
        return PHONE if "smartphone" in words["text"] else LABEL

    def searcher(self, messages: list[dict[str, Any]]) -> str:
        """Searches, reads, looks for words, stumbles once, reports."""
        steps: list[Any] = [
            {"do": "search", "query": "Pomelo X2 review"},
            {"do": "visit", "url": f"{self.pages}/x2"},
            "Let me think about that.",
            {"do": "find", "url": f"{self.pages}/versus", "words": "Quince 9"},
            {"do": "answer", "text": "The battery lasts two days; at night it beats the Quince 9."},
        ]
        place, seen = len(messages) // 2, _text(messages[-1])
        expected = ["steps", "/versus", "bright outside", "not a JSON object", "better pictures at night"][place]
        assert expected in seen, seen
        step = steps[place]
        return step if isinstance(step, str) else f"Sure: {json.dumps(step)}"


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class Site(BaseHTTPRequestHandler):
    """A search engine in SearXNG's manner, and the pages that it knows."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        host = f"http://{self.headers['Host']}"
        if parts.path == "/search":
            assert parse_qs(parts.query)["format"] == ["json"]
            hits = [{"title": title, "url": host + path, "content": text[:30]} for path, (title, text) in PAGES.items()]
            return self._say("application/json", json.dumps({"results": hits}))
        title, text = PAGES[parts.path]
        body = f"<p>{text}</p>" * 4
        return self._say(
            "text/html", f"<html><head><title>{title}</title></head><body><article>{body}</article></body></html>"
        )

    def _say(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Be silent."""


@contextmanager
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def record(folder: Path) -> str:
    """Search and read once, for real, and keep the answers; the site is gone afterwards."""
    web = {"mode": "record", "record": str(folder), "allow_private": True}
    with site() as url:
        hits = WebSearch("searxng", web, base_url=url).call("Pomelo X2 review")
        for hit in cast(Any, hits):
            Visit(web).call(hit["url"])
    assert len(list(folder.glob("*.json"))) == 3
    return url


def configured(folder: Path, server: str, pages: str) -> Path:
    path = folder / "config.toml"
    endpoint = f'base_urls = ["{server}"]\ntries = 1'
    path.write_text(f"""
name = "page"
[controller]
kind = "endpoint"
dialect = "react-1"
[controller.endpoint]
model = "controller"
{endpoint}
[tools]
names = ["visualizer", "ask_search_agent"]
workers = 1
[tools.web]
mode = "replay"
record = "{folder / "pages"}"
[tools.settings.visualizer.endpoint]
model = "seer"
{endpoint}
[tools.settings.ask_search_agent.endpoint]
model = "searcher"
{endpoint}
[tools.settings.search.options]
provider = "searxng"
base_url = "{pages}"
[sandbox]
libraries = []
""")
    return path


def asked(folder: Path, question: str, config: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "sport.cli", "ask", question, str(config), "--file", "picture.png", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(300)
def test_the_sugar_in_a_can_is_read_by_a_model_and_computed(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    models = Models(picture(tmp_path / "picture.png", "COLA"), "")
    with servers.serving(models) as server:
        found = asked(tmp_path, SUGAR, configured(tmp_path, server.url, "http://127.0.0.1:9"))
    assert (found["end"], found["answer"]) == ("answered", str(41 * 2 * 7))
    (call,) = found["steps"][0]["calls"]
    assert (call["name"], call["arguments"]["image_path"], call["value"]) == ("visualizer", "image_1.png", LABEL)
    assert models.asked == ["controller", "seer", "controller"]
    spent = json.loads((tmp_path / found["run"] / "summary.json").read_text())["spent"]
    assert spent["tools.settings.visualizer"]["prompt_tokens"] == 7


@pytest.mark.timeout(300)
def test_the_reviews_of_a_phone_are_found_on_recorded_pages(tmp_path: Path) -> None:
    pages = record(tmp_path / "pages")
    models = Models(picture(tmp_path / "picture.png", "Pomelo"), pages)
    with servers.serving(models) as server:
        found = asked(tmp_path, REVIEWS, configured(tmp_path, server.url, pages))
    assert found["end"] == "answered"
    assert "battery lasts two days" in found["answer"] and f"Pages read: {pages}/x2, {pages}/versus" in found["answer"]
    assert [call["name"] for step in found["steps"] for call in step["calls"]] == ["visualizer", "ask_search_agent"]
    assert models.asked.count("searcher") == 5
