"""A user's own tools: described by their hints, run in a worker, refused in words."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from sport.config import Tools, parse
from sport.errors import ConfigError, ToolError
from sport.tools import adopt, sources
from sport.tools.base import FileBytes
from sport.tools.cache import MemoryCache
from sport.tools.schema import json_schema, kind_of, python_name
from sport.tools.toolbox import Toolbox

pytestmark = pytest.mark.timeout(300)  # processes are started: slow on a busy machine
HERE = Path(__file__).parent / "data"
OWN = HERE / "own_tools.py"
SERVER = [sys.executable, str(HERE / "mcp_server.py")]


def settings(*names: str, **more: Any) -> Tools:
    own = [name if name.isidentifier() else f"{OWN}:{name[1:]}" for name in names]
    return parse({"tools": {"names": own, **more}}, "test").tools


def box(tools: Tools) -> Toolbox:
    return Toolbox(sources.entries(tools), workers=1, deadline_s=60.0, memory_mb=4096, cache=MemoryCache())


def picture(width: int = 6, height: int = 4) -> FileBytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return FileBytes(buffer.getvalue(), "image/png")


# ---------------------------------------------------------------------------------------------- functions


def test_a_function_is_described_by_its_hints_and_docstring() -> None:
    spec = adopt.describe(f"{OWN}:shout")
    assert (spec.name, spec.description) == (
        "shout", "Say a text loudly.\n\nLoudness is measured in capitals.",
    )  # fmt: skip
    assert [(p.name, p.type, p.required, p.default, p.description) for p in spec.parameters] == [
        ("text", "string", True, None, "what to say"),
        ("times", "integer", False, 1, "at least 1 and at most 3"),
        ("how", "string", False, "up", "which way (one of 'up', 'down')"),
    ]
    function = json_schema(spec)["function"]
    assert function["parameters"]["required"] == ["text"]
    assert function["parameters"]["properties"]["times"]["default"] == 1


def test_arguments_become_what_the_hints_say_and_results_become_files(tmp_path: Path) -> None:
    assert adopt.make(f"{OWN}:shout").call(text="hi", times=2, how="up").value == "HI HI"
    turned = adopt.make(f"{OWN}:turn").call(image=picture(6, 4), spot={"x": 1})
    assert PIL.Image.open(io.BytesIO(turned.files["image.png"])).size == (4, 6)
    counted = adopt.make(f"{OWN}:lines").call(path=FileBytes(b"a\nb", "text/csv"), data=None)
    assert counted.value == {"ending": ".csv", "lines": 2, "more": 0}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("shout", {"text": "a", "times": 4, "how": "up"}, "times: Input should be less than or equal to 3"),
        ("shout", {"text": "a", "times": 1, "how": "on"}, "how: Input should be 'up' or 'down'"),
        ("turn", {"image": FileBytes(b"no", "image/png"), "spot": None}, "not a picture"),
        ("turn", {"image": picture(), "spot": {"x": "far"}}, r"spot\['x'\]: Input should be a valid integer"),
    ],
)
def test_an_argument_that_its_hint_refuses_is_named(name: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ToolError, match=words):
        adopt.make(f"{OWN}:{name}").call(**arguments)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("called", r"'function' is annotated .*Callable.*, which no JSON value fits; expected str, int"),
        ("unhinted", "parameter 'text' has no type hint"),
        ("undocumented", "has no docstring"),
        ("variadic", r"\*texts: 'str' cannot be described"),
        ("Bare", "a class is a tool if it has spec and call, or a typed __call__"),
        ("nobody", "has no 'nobody'; it has .*shout"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_in_one_message(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        adopt.describe(f"{OWN}:{name}")
    assert name in str(caught.value)


def test_a_class_is_made_with_its_options_and_no_function_takes_any() -> None:
    spec = adopt.describe(f"{OWN}:UnitPrice")
    assert (spec.name, spec.description) == ("unit_price", "Price of some units.")
    assert adopt.make(f"{OWN}:UnitPrice", {"price": 3.0}).call(units=2).value == 6.0
    with pytest.raises(ConfigError, match="unexpected keyword argument 'cost'"):
        adopt.make(f"{OWN}:UnitPrice", {"cost": 3.0})
    with pytest.raises(ConfigError, match="only a class takes options"):
        adopt.make(f"{OWN}:shout", {"loud": True})


# --------------------------------------------------------------------------------------------- smolagents


def test_smolagents_tools_keep_their_names_inputs_and_pictures() -> None:
    spec = adopt.describe(f"{OWN}:backwards")
    assert (spec.name, spec.parameters[0].type, spec.parameters[0].description) == ("backwards", "string", "any text")
    assert adopt.make(f"{OWN}:backwards").call(text="abc").value == "cba"
    spec = adopt.describe(f"{OWN}:Grey")
    assert [(p.name, p.type, p.required) for p in spec.parameters] == [
        ("image", "file", True), ("much", "number", False),
    ]  # fmt: skip
    made = adopt.make(f"{OWN}:Grey").call(image=picture(), much=None).files["image.png"]
    assert PIL.Image.open(io.BytesIO(made)).getpixel((0, 0)) == (76, 76, 76)


# ------------------------------------------------------------------------------------------------ schemas


def test_schemas_come_down_to_plain_types() -> None:
    for schema, kind in (
        ({"type": "string"}, "string"), ({"type": ["integer", "null"]}, "integer"), ({}, "any"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer"), ({"$ref": "#/x"}, "any"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "number"), ({"type": ["string", "integer"]}, "any"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "any"), ({"type": "array"}, "array"),
        ({"type": "string", "contentEncoding": "base64"}, "file"),
    ):  # fmt: skip
        assert kind_of(schema) == kind, schema
    assert [python_name(name) for name in ("read-file", "2nd", "class", "ok")] == ["read_file", "_2nd", "class_", "ok"]


# ------------------------------------------------------------------------------------------------ sources


def test_the_driver_learns_what_tools_are_without_importing_them() -> None:
    found = sources.entries(
        settings(":shout", "search", ":UnitPrice", settings={"unit_price": {"options": {"price": 3.0}}})
    )
    assert [(one.spec.name, one.origin) for one in found] == [
        ("shout", f"{OWN}:shout"), ("search", "built in"), ("unit_price", f"{OWN}:UnitPrice"),
    ]  # fmt: skip
    assert "own_tools" not in " ".join(sys.modules)
    again = sources.entries(settings(":UnitPrice"))[0]
    assert again.spec.version != found[2].spec.version


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        (lambda: settings(":called"), "tools.names: .*which no JSON value fits"),
        (lambda: settings(":shout", ":shout_too"), "two tools of one name: 'shout' is .*:shout and .*:shout_too"),
        (lambda: settings("ocr", "opticalcr"), "unknown tool 'opticalcr'; known are ocr"),
        (lambda: settings("ocr", settings={"crop": {"rate": 1.0}}), "tools.settings.crop: there is no such tool"),
        (lambda: settings("ocr", settings={"ocr": {"options": {"fast": True}}}), "unknown option 'fast'"),
        (lambda: settings("ocr", settings={"ocr": {"max_cost": 1.0}}), "max_cost: needs tools.settings.ocr.cost"),
        (lambda: settings("ocr", settings={"ocr": {"env": ["NO_SUCH_KEY"]}}), "variable NO_SUCH_KEY is not set"),
        (lambda: settings("objectlocation"), "options.weights: this tool needs weights; get google/owlv2"),
        (lambda: settings("search", settings={"search": {"options": {"provider": "bing"}}}), "unknown provider 'bing'"),
        (lambda: settings("search", settings={"search": {"options": {"provider": "brave"}}}), "'brave' needs a key"),
        (lambda: settings(mcp={"s": {}}), "tools.mcp.s: give a command that starts a server, or the url"),
        (lambda: settings(mcp={"s": {"command": ["/no/such/program"]}}), "tools.mcp.s: the server cannot be asked"),
        (lambda: settings(":shout", mcp={"s": {"command": SERVER, "only": ["nothing"]}}), "no tool 'nothing'; it"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_one_message(tools: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        sources.entries(tools())


async def test_own_tools_run_in_workers_of_their_own_with_no_more_environment_than_named(monkeypatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "k1")
    monkeypatch.setenv("OTHER_KEY", "k2")
    tools = settings(":shout", ":backwards", mcp={"shop": {"command": SERVER, "env": ["SHOP_KEY"], "prefix": "shop_"}})
    made = box(tools)
    try:
        assert (await made.call("shout", {"text": "hi"})).value == "HI"
        assert (await made.call("backwards", {"text": "hi"})).value == "ih"
        assert (await made.call("shop_key", {})).value == "k1"
    finally:
        await made.stop()


# ---------------------------------------------------------------------------------------------------- mcp


async def test_a_server_over_stdio_answers_dies_and_is_started_again() -> None:
    made = box(settings(mcp={"shop": {"command": SERVER}}))
    try:
        assert (await made.call("in_stock", {"item": "tea", "at_least": 2})).value is True
        assert (await made.call("in_stock", {"item": "tea", "at_least": 2})).cached
        assert "no item rum" in ((await made.call("in_stock", {"item": "rum"})).error or "")
        assert [(await made.call("count_up", {})).value for _ in range(2)] == [1, 2]
        shot = await made.call("photo", {"side": 5})
        assert PIL.Image.open(io.BytesIO(shot.files["image_1.png"])).size == (5, 5)
        died = await made.call("close_down", {})
        assert (died.value, "the MCP server is gone" in (died.error or "")) == (None, True)
        assert (await made.call("count_up", {})).value == 1
    finally:
        await made.stop()


async def test_a_server_over_http_is_asked_where_it_runs() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([*SERVER, str(port)], stderr=subprocess.DEVNULL, env=dict(os.environ)) as process:
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                await asyncio.sleep(0.05)
            tools = settings(mcp={"shop": {"url": f"http://127.0.0.1:{port}/mcp", "only": ["in_stock"]}})
            made = box(await asyncio.to_thread(lambda: tools))
            assert [spec.name for spec in made.specs] == ["in_stock"]
            assert (await made.call("in_stock", {"item": "coffee"})).value is False
            await made.stop()
        finally:
            process.kill()


# --------------------------------------------------------------------------------------------------- rates


async def test_a_rate_holds_calls_back_and_a_cost_is_kept_and_limited() -> None:
    from sport.errors import BudgetError
    from sport.tools.entry import Limits
    from sport.tools.gate import Gate
    from sport.types import Spent

    kept: dict[str, Spent] = {}

    class Accounts:
        def spent(self, role: str) -> Spent:
            return kept.get(role, Spent())

        def set_spent(self, role: str, spent: Spent) -> None:
            kept[role] = spent

    gate = Gate("shout", Limits(cost=0.4, max_cost=1.0), Accounts())
    for _ in range(2):
        async with gate.call():
            pass
    assert kept == {"tool shout": Spent(calls=2, cost=0.8)}
    with pytest.raises(BudgetError, match=r"tools.settings.shout: 0.8000 spent of max_cost = 1.0.*resume"):
        async with gate.call():
            pass
    slow, began = Gate("shout", Limits(rate=1200.0 / 1200)), time.monotonic()
    async with slow.call():
        pass
    waiting = asyncio.create_task(slow.call().__aenter__())
    await asyncio.sleep(0.2)
    assert not waiting.done() and time.monotonic() - began < 30
    waiting.cancel()
