"""The loader of GTA on the part that lies in tests/data, and on files that are not as they should be."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sport.bench import gta
from sport.errors import InputError

DATA = Path(__file__).parents[1] / "data" / "gta"


@pytest.fixture(scope="module")
def items() -> list[gta.Item]:
    return gta.load(DATA)


def test_the_part_is_read_whole(items: list[gta.Item]) -> None:
    assert len(items) == 60
    assert sum(isinstance(item.reference, dict) for item in items) == 41
    assert sum(isinstance(item.reference, list) for item in items) == 8
    assert sum(len(item.calls) for item in items) == 161
    first = items[0]
    assert first.files == ("image/image_1.jpg", "image/image_2.jpg")
    assert first.turns[0].move.arguments == {"image": "image/image_1.jpg"}
    assert first.turns[0].result is not None and first.turns[0].result.startswith("The image features a dining table")


def test_all_fourteen_tools_are_offered_with_their_own_schemas(items: list[gta.Item]) -> None:
    tools = {tool.name: tool for tool in gta.all_tools(items)}
    assert len(tools) == 14
    assert [(p.name, p.type, p.required) for p in tools["CountGivenObject"].parameters] == [
        ("image", "file", True),
        ("text", "string", True),
        ("bbox", "string", False),
    ]
    assert tools["GoogleSearch"].parameters[1].default == 10


def test_missing_images_are_counted_and_named(items: list[gta.Item]) -> None:
    with pytest.raises(InputError, match=r"70 of 70 images are missing: .*image_1\.jpg.* and 65 more") as caught:
        gta.check_images(items, DATA)
    assert "--without-images" in str(caught.value)


def _older(data: dict) -> None:
    data["3"]["dialogs"] = data["3"].pop("dialogs")[:0]


def _no_tools(data: dict) -> None:
    del data["7"]["tools"]


def _escape(data: dict) -> None:
    data["9"]["files"][0]["path"] = "../../etc/passwd"


def _answer(data: dict) -> None:
    data["11"]["gt_answer"] = {"whitelist": "x"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_older, "task 3: dialogs"), (_no_tools, "task 7: tools"), (_escape, "task 9: files"), (_answer, "task 11: gt_")],
)
def test_another_version_is_named_by_its_task_and_field(
    tmp_path: Path, spoil: Callable[[dict], None], words: str
) -> None:
    data = copy.deepcopy(json.loads((DATA / "dataset.json").read_text()))
    spoil(data)
    (tmp_path / "dataset.json").write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        gta.load(tmp_path)
    assert words in str(caught.value) and "v0.1.0" in str(caught.value)


def test_no_file_no_json_and_a_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        gta.load(tmp_path / "gone")
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        gta.load(tmp_path)
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(InputError, match="one JSON object of tasks"):
        gta.load(tmp_path)
