from __future__ import annotations

import json
import os
import subprocess
import sys

import PIL.Image
import pytest

from scenes import archive, copies, file, label, scene
from sport.config import Tools
from sport.errors import ConfigError
from sport.tools.base import FileBytes
from sport.tools.cache import MemoryCache
from sport.tools.entry import BUILTIN, builtin
from sport.tools.toolbox import Toolbox


@pytest.fixture
async def box():
    settings = Tools()
    box = Toolbox(
        builtin(settings.names),
        workers=1,
        deadline_s=settings.deadline_s,
        memory_mb=settings.memory_mb,
        cache=MemoryCache(),
    )
    yield box
    await box.stop()


async def test_every_built_in_tool_works_in_a_worker(box):
    await box.start()
    picture = file(scene([("red", "circle", 100, 100, 30, 0)], noise=4))
    assert "Sugar 12g" in (await box.call("ocr", {"image": file(label([("Sugar", "12g")]))})).value
    assert (await box.call("count", {"image": picture, "what": "red circles"})).value == 1
    [found] = (await box.call("locate", {"image": picture, "what": "circle"})).value
    assert set((await box.call("crop", {"image": picture, "box": found["box"]})).files) == {"crop.png"}
    text = await box.call("inspect_file_as_text", {"file": FileBytes(b"a,b\n1,2\n", "text/csv")})
    assert "| 1 | 2 |" in text.value


async def test_bombs_are_refused_in_the_worker_before_the_tool(box):
    bomb = file(PIL.Image.new("1", (8000, 8000)))
    assert "pixels" in (await box.call("count", {"image": bomb, "what": "circles"})).error
    document = FileBytes(archive({"xl/workbook.xml": bytes(50_000_000)}), "application/zip")
    assert "unpacks" in (await box.call("inspect_file_as_text", {"file": document})).error
    assert "bytes" in (await box.call("inspect_file_as_text", {"file": FileBytes(bytes(33 << 20), "text/csv")})).error


async def test_equal_pictures_in_other_bytes_are_other_calls_with_equal_answers(box):
    answers = [
        await box.call("count", {"image": c, "what": "shapes"}) for c in copies(scene([("red", "star", 90, 90, 30, 0)]))
    ]
    assert [(answer.value, answer.cached) for answer in answers] == [(1, False)] * 3


def test_specs_are_read_without_the_libraries_behind_them():
    program = (
        "import sys, json; from sport.tools.entry import BUILTIN, builtin; from sport.tools.toolbox import Toolbox; "
        "[entry.spec for entry in builtin(tuple(BUILTIN))]; print(json.dumps(sorted(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    heavy = {"rapidocr", "onnxruntime", "cv2", "markitdown", "magika", "pandas", "torch"}
    assert not heavy & set(json.loads(done.stdout))


def test_versions_name_the_libraries_behind_a_tool():
    assert [entry.spec.version.split("+")[1].rpartition("-")[0] for entry in builtin(("ocr", "crop"))] == [
        "rapidocr",
        "pillow",
    ]


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="locate"):
        builtin(("ocr", "localise"))


def test_the_configuration_names_only_tools_that_exist():
    assert set(Tools().names) <= set(BUILTIN)
