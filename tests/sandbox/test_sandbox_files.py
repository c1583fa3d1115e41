"""Files: inputs that nobody can write, outputs with caps that speak, and figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from conformance.sandbox import LIMITS, SPECS, Shelf, shown
from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox import ForkedSandbox
from sport.sandbox.workdir import Caps, outputs

CAPS = {"outputs": 3, "file_mb": 1, "disk_mb": 16}
LIBRARIES = ("numpy", "matplotlib.pyplot")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


async def started(shelf: Shelf, limits: SandboxSection) -> ForkedSandbox:
    made = ForkedSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=limits)
    await made.start()
    return made


@pytest.fixture
async def capped(shelf: Shelf) -> AsyncIterator[ForkedSandbox]:
    made = await started(shelf, LIMITS.model_copy(update=CAPS))
    yield made
    await made.stop()


@pytest.fixture
async def drawing(shelf: Shelf) -> AsyncIterator[ForkedSandbox]:
    made = await started(shelf, LIMITS.model_copy(update={"libraries": LIBRARIES, "memory_mb": 1024}))
    yield made
    await made.stop()


# ---------------------------------------------------------------------------------------------- inputs, outputs


async def test_an_input_is_read_only_and_a_copy_of_it_is_not(capped: ForkedSandbox, shelf: Shelf) -> None:
    state = await capped.open("box", [shelf.put("in/a.txt", b"hello")])
    for code in ("open('in/a.txt', 'a')", "import os; os.truncate('in/a.txt', 0)"):
        assert "PermissionError" in str((await state.run(code, 0)).error)
    seen = await state.run("import shutil; shutil.copyfile('in/a.txt', 'b.txt'); open('b.txt', 'a').write('!')", 0)
    assert seen.outcome == "ok" and [(f.name, shelf.read(f)) for f in seen.files] == [("b.txt", b"hello!")]
    child = await state.fork()
    assert "PermissionError" in str((await child.run("open('in/a.txt', 'r+')", 0)).error)
    assert await shown(child, "open('in/a.txt').read()") == "'hello'"


async def test_files_beyond_the_caps_are_left_out_and_told(capped: ForkedSandbox) -> None:
    state = await capped.open("box", [])
    code = "for n in range(5): open(f'{n}.txt', 'w').write('x')\nopen('z\\x1b', 'w').close()"
    seen = await state.run(code, 0)
    assert [file.name for file in seen.files] == ["0.txt", "1.txt", "2.txt"]
    assert "[sandbox] 5 new files; the first 3 by name are kept\n" in seen.stderr
    assert "[sandbox] 1 new files with names that are no plain text are left out\n" in seen.stderr
    assert (await state.run("1", 0)).stderr == ""


def test_a_large_file_is_left_out_and_named() -> None:
    after = {"small": (10, 1, 1), "large": (2 << 20, 1, 2), "same": (3, 1, 3)}
    assert outputs({"same": (3, 1, 3)}, after, Caps(file_bytes=1 << 20)) == (
        ["small"],
        ["new files larger than 1 MiB are left out: large"],
    )


async def test_inputs_that_are_too_many_are_one_clear_message(capped: ForkedSandbox, shelf: Shelf) -> None:
    files = [shelf.put(f"{n}.bin", bytes(1 << 20)) for n in range(17)]
    with pytest.raises(SandboxError, match=r"box 'big': the task's files: they do not fit .* sandbox.disk_mb \(16\)"):
        await capped.open("big", files)
    await (await capped.open("big", files[:2])).close()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", ""])
async def test_inputs_cannot_lead_out(capped: ForkedSandbox, shelf: Shelf, name: str) -> None:
    file = shelf.put("a", b"1").model_copy(update={"name": name})
    with pytest.raises(SandboxError, match="not a file in the working directory"):
        await capped.open("box", [file])


async def test_a_directory_that_grows_too_much_is_stopped_before_the_step_ends(shelf: Shelf) -> None:
    sandbox = await started(shelf, LIMITS.model_copy(update={"disk_mb": 16, "without": ("disk",)}))
    state = await sandbox.open("box", [])
    code = "import time\nfor n in range(10**6): open(str(n), 'wb').write(bytes(1 << 20)); time.sleep(0.02)"
    began = asyncio.get_running_loop().time()
    seen = await state.run(code, 0)
    assert seen.outcome == "died" and "more than 16 MiB" in str(seen.error)
    assert asyncio.get_running_loop().time() - began < LIMITS.wall_s
    await sandbox.stop()


async def test_what_lies_beside_the_directory_is_gone_for_the_next(capped: ForkedSandbox) -> None:
    state = await capped.open("box", [])
    one, two = await state.fork(), await state.fork()
    await one.run("import os\ntry: open('../left', 'w').close()\nexcept OSError: pass", 0)
    assert "left" not in str(await shown(two, "__import__('os').listdir('..')"))


# ----------------------------------------------------------------------------------------------------- figures


async def test_open_figures_become_files_and_are_closed(drawing: ForkedSandbox, shelf: Shelf) -> None:
    state = await drawing.open("box", [])
    seen = await state.run("import matplotlib.pyplot as plt\nfig = plt.figure(); plt.plot([1, 2]); plt.show()", 0)
    assert [file.name for file in seen.files] == ["figure_1.png"] and seen.stderr == ""
    assert shelf.read(seen.files[0]).startswith(b"\x89PNG")
    child = await state.fork()
    seen = await child.run("_ = plt.bar([1], [2]); plt.get_fignums()", 0)
    assert [file.name for file in seen.files] == ["figure_2.png"] and seen.value == "[1]"
    assert await shown(child, "plt.get_fignums(), len(open('figure_2.png', 'rb').read()) > 1000") == "([], True)"


async def test_figures_that_the_code_saved_or_left_empty_are_no_files(drawing: ForkedSandbox) -> None:
    state = await drawing.open("box", [])
    seen = await state.run(
        "import matplotlib.pyplot as plt; plt.plot([1]); plt.savefig('mine.png'); _ = plt.figure()", 0
    )
    assert [file.name for file in seen.files] == ["mine.png"]


async def test_many_figures_and_broken_ones_are_told(drawing: ForkedSandbox) -> None:
    state = await drawing.open("box", [])
    code = "import matplotlib.pyplot as plt\nfor n in range(60):\n    plt.figure(figsize=(1, 1)); plt.plot([n])"
    seen = await state.run(code, 0)
    assert len(seen.files) == 8 and seen.stderr == "[sandbox] 60 figures are open; the first 8 were saved\n"
    seen = await state.run("plt.figure(); plt.title('$x^$')", 0)
    assert seen.files == () and "[sandbox] figure 1 could not be saved (ValueError: " in seen.stderr
    assert seen.outcome == "ok"


async def test_a_figure_of_code_that_failed_is_kept(drawing: ForkedSandbox) -> None:
    seen = await (await drawing.open("box", [])).run("import matplotlib.pyplot as plt; plt.plot([1]); 1 / 0", 0)
    assert seen.outcome == "error" and [file.name for file in seen.files] == ["figure_1.png"]
