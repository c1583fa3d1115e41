"""Tools that ask a model, bound as in a run, with every model behind HTTP on loopback."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from typer.testing import CliRunner

import servers
from sport import hosting, wire
from sport.cli import app
from sport.config import Config, amend, parse
from sport.errors import BudgetError, ConfigError, FatalModelError, ToolError
from sport.store import Store
from sport.tools.base import Answered, FileBytes
from sport.tools.search_agent import SearchAgent
from sport.tools.toolbox import Toolbox
from sport.tools.weights import NotReady
from sport.types import Message

pytestmark = pytest.mark.timeout(300)  # processes are started and models loaded: slow on a busy machine


def picture(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (6, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def configured(name: str, url: str, **endpoint: Any) -> Config:
    settings = {"endpoint": {"base_urls": [url], "model": "tiny", "tries": 1, **endpoint}}
    return parse({"tools": {"names": [name], "settings": {name: settings}, "workers": 1}}, "test")


def box(store: Store) -> Toolbox:
    return hosting.toolbox(store, wire.endpoint, store.config.tools)


SEEN = FileBytes(picture(), "image/png")
MISSING = "visualizer", {"image_path": FileBytes(b"no picture", "image/png"), "question": "What?"}


async def test_a_question_about_a_picture_is_asked_once_and_charged(tmp_path: Path) -> None:
    with servers.serving(servers.echo) as server, Store.create(tmp_path, configured("visualizer", server.url)) as store:
        tools = box(store)
        for _ in range(2):
            answered = await tools.call("visualizer", {"image_path": SEEN, "question": "Which colour?"})
        assert "Question: Which colour?" in str(answered.value) and answered.cached
        await tools.call("visualizer", {"image_path": SEEN})
        assert store.spent("tools.settings.visualizer").calls == len(server.asked) == 2
        sent = server.asked[0]
        assert [part["type"] for part in sent["messages"][0]["content"]] == ["image_url", "text"]
        assert sent["temperature"] == 0.0


async def test_what_is_no_picture_is_an_answer_and_nobody_is_asked(tmp_path: Path) -> None:
    with servers.serving(servers.echo) as server, Store.create(tmp_path, configured("visualizer", server.url)) as store:
        answered = await box(store).call(*MISSING)
        assert "this picture cannot be opened" in str(answered.error) and server.asked == []


async def test_a_model_that_fails_for_now_is_an_answer_and_one_that_refuses_ends_the_run(tmp_path: Path) -> None:
    play = servers.script(servers.status(503), servers.echo, servers.status(401))
    with servers.serving(play) as server, Store.create(tmp_path, configured("visualizer", server.url)) as store:
        tools, arguments = box(store), {"image_path": SEEN}
        assert "visualizer() failed" in str((await tools.call("visualizer", arguments)).error)
        assert (await tools.call("visualizer", arguments)).error is None  # a failure is not kept
        with pytest.raises(FatalModelError, match=r"tools\.settings\.visualizer\.endpoint"):
            await tools.call("visualizer", {"image_path": SEEN, "question": "Another?"})


async def test_a_budget_of_a_tools_model_ends_the_run_and_can_be_raised(tmp_path: Path) -> None:
    with servers.serving(servers.echo) as server:
        config = configured("visualizer", server.url, max_tokens=5)
        with Store.create(tmp_path, config) as store:
            tools = box(store)
            await tools.call("visualizer", {"image_path": SEEN})
            with pytest.raises(BudgetError, match=r"--set tools\.settings\.visualizer\.endpoint\.max_tokens="):
                await tools.call("visualizer", {"image_path": SEEN, "question": "More?"})
    raised = amend(config, ["tools.settings.visualizer.endpoint.max_tokens=500", "tools.settings.visualizer.rate=3.0"])
    assert raised.tools.settings["visualizer"].endpoint.max_tokens == 500
    with pytest.raises(ConfigError, match="keeps its settings"):
        amend(config, ["tools.settings.visualizer.options.checkpoint=nano"])


async def test_a_local_checkpoint_looks_at_pictures_too(tmp_path: Path) -> None:
    tools = {
        "names": ["visualizer"],
        "settings": {"visualizer": {"options": {"checkpoint": "nano", "max_new_tokens": 4}}},
    }
    with Store.create(tmp_path, parse({"tools": tools}, "test")) as store:
        answered = await box(store).call("visualizer", {"image_path": SEEN, "question": "What?"})
        assert isinstance(answered.value, str) or "said nothing" in str(answered.error)


# ------------------------------------------------------------------------------------------------ painting


def paint(handler: servers.Handler, body: dict[str, Any]) -> None:
    handler.reply(200, {"created": 1, "data": [{"b64_json": base64.b64encode(picture(body["prompt"])).decode()}]})


async def test_pictures_are_made_by_an_images_endpoint(tmp_path: Path) -> None:
    with servers.serving(paint) as server, Store.create(tmp_path, configured("image_generator", server.url)) as store:
        made = await box(store).call("image_generator", {"prompt": "blue"})
    assert made.value == {"file": "image.png", "width": 6, "height": 4}
    assert PIL.Image.open(io.BytesIO(made.files["image.png"])).getpixel((0, 0)) == (0, 0, 255)
    assert server.seen[0][0] == "/v1/images/generations"


class Forms(servers.Handler):
    """The edits protocol is a form, not JSON."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, {}, {"form": body}))
        self.server.answer(self, {"prompt": "green"})


async def test_pictures_are_changed_by_an_edits_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "Handler", Forms)
    with servers.serving(paint) as server, Store.create(tmp_path, configured("image_edit", server.url)) as store:
        made = await box(store).call("image_edit", {"prompt": "make it green", "image_path": SEEN})
    assert PIL.Image.open(io.BytesIO(made.files["edited.png"])).getpixel((0, 0)) == (0, 128, 0)
    ((path, _, asked),) = server.seen
    assert path == "/v1/images/edits" and SEEN.data in asked["form"] and b"make it green" in asked["form"]


async def test_what_is_no_picture_in_a_reply_is_said(tmp_path: Path) -> None:
    def lie(handler: servers.Handler, body: dict[str, Any]) -> None:
        handler.reply(200, {"created": 1, "data": [{"b64_json": base64.b64encode(b"words").decode()}]})

    with servers.serving(lie) as server, Store.create(tmp_path, configured("image_generator", server.url)) as store:
        made = await box(store).call("image_generator", {"prompt": "blue"})
    assert "answered with what is no picture" in str(made.error)


# -------------------------------------------------------------------------------------------- search agent


def agent(*says: Any, steps: int = 12) -> tuple[SearchAgent, list[Any]]:
    told: list[Any] = []
    left = list(says)

    async def ask(messages: Sequence[Message], most: int) -> str:
        told.append(messages[-1].text)
        said = left.pop(0)
        return said if isinstance(said, str) else json.dumps(said)

    async def call(name: str, arguments: Any) -> Answered:
        told.append((name, dict(arguments)))
        return Answered(error="the server says 404") if arguments.get("url") == "http://gone" else Answered("found")

    return SearchAgent(ask, call, steps=steps), told


async def test_the_search_agent_goes_on_after_errors_and_names_what_it_read() -> None:
    one, told = agent(
        "I do not know",
        {"do": "fly"},
        {"do": "visit", "url": "http://gone"},
        {"do": "find", "url": "http://a", "words": "b"},
        {"do": "answer", "text": ""},
        {"do": "answer", "text": "It is so."},
    )
    assert await one.call({"query": "Is it so?"}) == "It is so.\n\nPages read: http://a"
    assert "Is it so?" in told[0] and "You have 12 steps" in told[0]
    assert "not a JSON object" in told[1] and "do: Input should be" in told[2]
    assert told[3] == ("visit", {"url": "http://gone", "page": 1}) and "404" in told[4]
    assert told[5] == ("visit", {"url": "http://a", "find": "b"}) and "An answer needs a text" in told[7]


async def test_the_search_agent_is_told_of_its_last_step_and_then_gives_up() -> None:
    one, told = agent(*[{"do": "search", "query": "x"}] * 3, steps=3)
    with pytest.raises(ToolError, match="no answer in 3 steps"):
        await one.call({"query": "x"})
    assert "[2 steps left]" in told[2] and "This is your last step: answer now." in told[4]


def test_the_search_agents_tools_are_there_and_not_shown(tmp_path: Path) -> None:
    with Store.create(tmp_path, configured("ask_search_agent", "http://127.0.0.1:9/v1")) as store:
        assert [spec.name for spec in box(store).specs] == ["ask_search_agent"]
        assert [one.spec.name for one in hosting.entries(store.config.tools)] == ["ask_search_agent", "search", "visit"]


# --------------------------------------------------------------------------------------------- what there is


def test_a_tool_without_a_model_says_what_to_set() -> None:
    with pytest.raises(NotReady, match=r"set tools\.settings\.visualizer\.endpoint\.base_urls and \.model, or"):
        hosting.entries(parse({"tools": {"names": ["visualizer"]}}, "test").tools)
    with pytest.raises(ConfigError, match="name the model as its server does"):
        hosting.entries(configured("visualizer", "http://127.0.0.1:9/v1", model="").tools)


def test_all_tools_are_listed_with_schema_origin_and_state(tmp_path: Path) -> None:
    own = Path(__file__).parent / "data" / "own_tools.py"
    config = tmp_path / "config.toml"
    config.write_text(f'[tools]\nnames = ["ocr", "{own}:shout", "{own}:unhinted", "facedetection", "nonesuch"]\n')
    done = CliRunner().invoke(app, ["tools", str(config), "--json"])
    assert done.exit_code == 1, done.output
    found = {one["name"]: one for one in json.loads(done.output)}
    states = {name: one["state"] for name, one in found.items() if one["chosen"]}
    assert states == {
        "ocr": "ready", "shout": "ready", f"{own}:unhinted": "wrong", "facedetection": "needs weights",
        "nonesuch": "wrong",
    }  # fmt: skip
    assert found["shout"]["schema"]["function"]["parameters"]["required"] == ["text"]
    assert found["shout"]["origin"] == f"{own}:shout" and found["facedetection"]["licence"] == "MIT"
    assert found["image_edit"]["state"] == "needs model" and not found["image_edit"]["chosen"]
    shown = CliRunner().invoke(app, ["tools"])
    assert shown.exit_code == 0 and "ocr(image: file)" in shown.output
