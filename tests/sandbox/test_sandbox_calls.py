"""Tool calls: what crosses, what does not, budgets and deadlines, threads."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator

import PIL.Image
import pytest

from conformance.sandbox import LIMITS, SPECS, Shelf, shown
from sport.config import SandboxSection
from sport.errors import ConfigError, ToolError
from sport.sandbox import ForkedSandbox
from sport.sandbox.names import check_names
from sport.sandbox.toolcalls import Desk
from sport.tools.base import FileBytes
from sport.types import ToolSpec


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


async def started(shelf: Shelf, limits: SandboxSection) -> ForkedSandbox:
    made = ForkedSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=limits)
    await made.start()
    return made


@pytest.fixture
async def sandbox(shelf: Shelf) -> AsyncIterator[ForkedSandbox]:
    made = await started(shelf, LIMITS.model_copy(update={"calls": 10, "call_s": 0.5}))
    yield made
    await made.stop()


async def test_a_step_may_make_so_many_calls_and_the_next_one_again(sandbox: ForkedSandbox, shelf: Shelf) -> None:
    state = await sandbox.open("box", [])
    code = "n = 0\ntry:\n    while True: wait(0); n += 1\nexcept ToolError as error: said = str(error)\nn, said"
    seen = await state.run(code, 0)
    assert seen.value == "(10, 'no more tool calls: a step may make 10')" and len(shelf.called) == 10
    assert await shown(state, "wait(0)") == "'done'"


async def test_a_tool_that_gives_no_answer_is_an_exception_inside(sandbox: ForkedSandbox) -> None:
    seen = await (await sandbox.open("box", [])).run("wait(5)", 0)
    assert seen.outcome == "error" and "ToolError: wait() gave no answer within 0.5 s" in str(seen.error)
    assert seen.calls[0].result.error is not None and seen.calls[0].result.wall_s >= 0.5


async def test_eight_threads_call_and_each_gets_its_own_answer(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool: got = list(pool.map(lambda n: wait(0, tag=str(n)), range(8)))\ngot"
    )
    seen = await state.run(code, 0)
    assert seen.value == str([str(n) for n in range(8)]) and len(seen.calls) == 8
    assert await shown(await state.fork(), "len(got)") == "8"


async def test_a_tool_has_a_signature_and_a_docstring(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    assert await shown(state, "str(__import__('inspect').signature(wait))") == "\"(seconds: float, tag: str = 'done')\""
    assert "Bytes of a file." in str(await shown(state, "size.__doc__"))
    assert "image (file): a picture" in str(await shown(state, "size.__doc__"))


async def test_pictures_figures_and_tables_cross_as_files(shelf: Shelf) -> None:
    libraries = ("numpy", "pandas", "PIL.Image", "matplotlib.pyplot")
    sandbox = await started(shelf, LIMITS.model_copy(update={"libraries": libraries, "memory_mb": 1024}))
    state = await sandbox.open("box", [])
    code = (
        "import numpy as np, pandas as pd, matplotlib.pyplot as plt; from PIL import Image\n"
        "size(Image.new('CMYK', (3, 2))); size(np.zeros((4, 5, 3), 'uint8')); fig, ax = plt.subplots(); ax.plot([1])\n"
        "size(fig); size(pd.DataFrame({'a': [1, 2]})); size(image=pd.Series([3], index=['k'], name='v'))\n"
        "plt.close(fig)"
    )
    seen = await state.run(code, 0)
    assert seen.outcome == "ok" and seen.files == (), seen
    assert [call.call.arguments["image"]["name"] for call in seen.calls] == [
        "sent_1.png", "sent_2.png", "sent_3.png", "sent_1.csv", "sent_2.csv",
    ]  # fmt: skip
    files = [arguments["image"] for _, arguments in shelf.called]
    assert all(isinstance(file, FileBytes) for file in files)
    assert [PIL.Image.open(io.BytesIO(file.data)).size for file in files[:2]] == [(3, 2), (5, 4)]
    assert list(csv.reader(files[3].data.decode().splitlines())) == [["a"], ["1"], ["2"]]
    assert list(csv.reader(files[4].data.decode().splitlines())) == [["", "v"], ["k", "3"]]
    seen = await state.run("size(np.zeros(3))", 0)
    assert "TypeError: size: argument 'image' must be a file name, a picture, a figure or a table" in str(seen.error)
    seen = await state.run("wait(Image.new('L', (1, 1)))", 0)
    assert "save it to a file and pass the file's name" in str(seen.error)
    await sandbox.stop()


def test_the_host_believes_no_argument(shelf: Shelf, tmp_path: object) -> None:
    desk = Desk(SPECS, shelf.call, shelf.put, shelf.read)
    forged = [
        ({"name": "wait", "arguments": {"seconds": "long"}}, "must be of type number"),
        ({"name": "wait", "arguments": {"seconds": True}}, "must be of type number"),
        ({"name": "wait", "arguments": {}}, "missing argument 'seconds'"),
        ({"name": "wait", "arguments": {"seconds": 1, "more": 2}}, "unknown argument 'more'"),
        ({"name": "size", "arguments": {"image": 3}}, "by its name"),
        ({"name": "rm", "arguments": {}}, "no such tool"),
        ({"name": "wait", "arguments": []}, "no such tool"),
        ({"arguments": {}}, "no such tool"),
    ]
    for message, said in forged:
        with pytest.raises(ToolError, match=said):
            desk.admit(message, LIMITS)  # type: ignore[arg-type]  # no file is looked at


@pytest.mark.parametrize("name", ["my tool", "2nd", "class", "open", "final_answer", "", "a-b"])
def test_a_name_that_cannot_be_a_tools_is_one_clear_message(name: str) -> None:
    with pytest.raises(ConfigError, match=f"tool '{name}': "):
        check_names([name])


def test_two_tools_of_one_name_are_refused(shelf: Shelf) -> None:
    specs = [ToolSpec(name="a", description="")] * 2
    with pytest.raises(ConfigError, match="two tools of one name"):
        ForkedSandbox(specs=specs, call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS)


FORGED_END = """
import gc, os, socket, struct, json
body = json.dumps({"op": "done", "id": "0" * 16, "outcome": "ok", "value": "'forged'"}).encode()
for number in range(3, 60):
    try: socket.socket(fileno=os.dup(number)).sendall(struct.pack('>I', len(body)) + body)
    except OSError: pass
"""


async def test_a_forged_end_is_no_end(sandbox: ForkedSandbox) -> None:
    state = await sandbox.open("box", [])
    victim = await state.fork()
    seen = await victim.run(FORGED_END, 0)
    assert seen.outcome == "died" and seen.value is None and "out of turn" in str(seen.error)
    assert await shown(state, "1") == "1"
