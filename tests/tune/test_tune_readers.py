"""Other people's data: formats told by content, pictures in their places, errors that name the line."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import PIL.Image
import pyarrow as pa
import pyarrow.parquet
import pytest

from models import picture_file
from sport.errors import InputError
from sport.tune.readers.pictures import Pictures
from sport.tune.readers.read import Data, read
from sport.types import Image, Message, Text

CODE = "Thought: look.\nCode:\n```py\nprint(1)\n```<end_action>"


def put(folder: Path, name: str, *records: object) -> Path:
    """Records as a file of the kind that its name says, beside two pictures."""
    for i in range(2):
        (folder / f"{i}.png").write_bytes(picture_file(i)[0])
    file = folder / name
    if file.suffix == ".parquet":
        pa.parquet.write_table(pa.Table.from_pylist(list(records)), file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(records))
    else:
        file.write_text("".join(json.dumps(one) + "\n" for one in records))
    return file


def shown(message: Message) -> list[str]:
    """Words as they are, pictures by the end of their names."""
    return [part.text if isinstance(part, Text) else f"[{part.file.name[-5:]}]" for part in message.parts]


def talk(data: Data) -> list[list[str]]:
    """The one tree of ``data`` as a conversation."""
    (tree,) = data.trees
    return [shown(message) for message in tree.history(len(tree.forks))]


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def model(content: object) -> dict[str, object]:
    return {"role": "assistant", "content": content}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


SPORT = {
    "images": ["0.png", "1.png"],
    "conversations": [{"from": "human", "value": "Task: <image> and <image>?"}],
    "chosen": {"from": "gpt", "value": CODE, "observation": "1"},
    "rejected": {"from": "gpt", "value": "guess", "observation": "Error"},
    "system": "You have tools.",
}


@pytest.mark.parametrize("name", ["pairs.json", "pairs.jsonl"])
def test_sports_pairs(tmp_path: Path, name: str) -> None:
    data = read(put(tmp_path, name, SPORT))
    (tree,) = data.trees
    assert [m.role for m in tree.opening] == ["system", "user"]
    assert shown(tree.opening[1]) == ["Task: ", "[0.png]", " and ", "[1.png]", "?"]
    assert tree.forks[0].trunk.raw == CODE and [turn.raw for turn in tree.forks[0].rejected] == ["guess"]
    assert data.origin is not None and data.origin.seeds == ("GAIA", "GTA")
    assert data.counts == {"records": 1, "pairs": 1, "trees": 1}


def test_pictures_without_a_place_stand_before_the_first_words(tmp_path: Path) -> None:
    record = {**SPORT, "conversations": [{"from": "human", "value": "What is it?"}]}
    assert shown(read(put(tmp_path, "a.json", record)).trees[0].opening[1]) == ["[0.png]", "[1.png]", "What is it?"]


def test_ranked_conversations_of_others_have_no_origin(tmp_path: Path) -> None:
    plain = {**SPORT, "chosen": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}}
    assert read(put(tmp_path, "a.json", plain)).origin is None
    assert read(put(tmp_path, "a.json", plain), origin="sport").origin is not None
    assert read(put(tmp_path, "a.json", SPORT), origin="own").origin is None
    with pytest.raises(InputError, match="expected own, sport, mm-traj"):
        read(put(tmp_path, "a.json", SPORT), origin="mine")


@pytest.mark.parametrize(
    ("image", "first"),
    [
        ("0.png", ["[0.png]", "Count."]),
        ({"<image_00>": "0.png", "<image_01>": "1.png"}, ["A ", "[0.png]", " B ", "[1.png]", " A ", "[0.png]"]),
    ],
)
@pytest.mark.parametrize("style", [("role", "content", "user", "assistant"), ("from", "value", "human", "gpt")])
def test_mm_traj(tmp_path: Path, image: object, first: list[str], style: tuple[str, str, str, str]) -> None:
    who, what, asker, answerer = style
    words = "Count." if isinstance(image, str) else "A <image_00> B <image_01> A <image_00>"
    turns = [{who: asker, what: words}, {who: answerer, what: CODE}, {who: asker, what: "Observation: 1"}]
    data = read(
        put(
            tmp_path, "a.json", {"id": "x", "image": image, "conversations": [*turns, {who: answerer, what: "<image>"}]}
        )
    )
    assert talk(data) == [first, [CODE], ["Observation: 1"], ["<image>"]]  # the model's own words stay as they are
    assert data.origin is not None and data.origin.name.startswith("MM-Traj")
    assert not data.has_pairs and all(fork.learnt for fork in data.trees[0].forks)


def test_llava_is_no_trajectory_data(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
    data = read(put(tmp_path, "a.json", {"id": "1", "image": "0.png", "conversations": turns}))
    assert talk(data) == [["[0.png]", "\nWhat?"], ["A cat."]] and data.origin is None


def test_the_cauldron(tmp_path: Path) -> None:
    texts = [
        {"user": "What?", "assistant": "A cat.", "source": "x"},
        {"user": "And?", "assistant": "A dog.", "source": "x"},
    ]
    record = {"images": [{"bytes": picture_file(i)[0], "path": None} for i in range(2)], "texts": texts}
    data = read(put(tmp_path, "a.parquet", record))
    opening = data.trees[0].opening[0]
    files = [part.file for part in opening.parts if isinstance(part, Image)]
    assert [data.pictures.read(file) for file in files] == [picture_file(0)[0], picture_file(1)[0]]
    assert [fork.trunk.raw for fork in data.trees[0].forks] == ["A cat.", "A dog."]


TRL = {"prompt": [user("Two and two?")], "chosen": [model("4")], "rejected": [model("5")]}


@pytest.mark.parametrize(
    "record",
    [
        TRL,
        {"chosen": [user("Two and two?"), model("4")], "rejected": [user("Two and two?"), model("5")]},
        {"prompt": [user([text("Two and two?")])], "chosen": [model([text("4")])], "rejected": "5"},
        {"messages": [user("Two and two?"), model("4")], "rejected_response": "5"},
        {"messages": [user("Two and two?"), model("4")], "rejected_messages": [user("Two and two?"), model("5")]},
    ],
    ids=["explicit", "implicit", "parts", "swift", "swift messages"],
)  # fmt: skip
def test_preferences_of_other_tools(tmp_path: Path, record: dict[str, object]) -> None:
    (tree,) = read(put(tmp_path, "a.jsonl", record)).trees
    assert shown(tree.opening[0]) == ["Two and two?"]
    assert (tree.forks[0].trunk.raw, [turn.raw for turn in tree.forks[0].rejected]) == ("4", ["5"])


def test_pictures_of_trl_come_as_parts(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}, {"type": "image"}]
    record = {**TRL, "prompt": [user(parts)], "images": ["0.png", "1.png"]}
    assert shown(read(put(tmp_path, "a.jsonl", record)).trees[0].opening[0]) == ["a", "[0.png]", "b", "[1.png]"]
    inline = [user([{"type": "image", "image": "1.png"}, {"type": "text", "text": "<image>"}])]
    assert shown(read(put(tmp_path, "b.jsonl", {**TRL, "prompt": inline})).trees[0].opening[0]) == [
        "[1.png]",
        "<image>",
    ]


def test_a_data_set_in_memory() -> None:
    import datasets

    seen = [PIL.Image.open(io.BytesIO(picture_file(0)[0]))]
    records = [{**TRL, "images": seen}, {**TRL, "rejected": [model("6")], "images": seen}]
    columns = {name: [one[name] for one in records] for name in records[0]}
    features = datasets.Sequence(datasets.Image())
    images = {"images": [[features.feature.encode_example(image) for image in row] for row in columns["images"]]}
    data = read(datasets.Dataset.from_dict({**columns, **images}).cast_column("images", features))
    assert data.counts == {"records": 2, "trees": 1, "pairs": 2, "shared": 1}
    assert isinstance(data.trees[0].opening[0].parts[0], Image)


@pytest.mark.parametrize(
    "record", [{"messages": [user("Hi"), model("Ho")]}, {"prompt": [user("Hi")], "completion": [model("Ho")]}]
)
def test_conversations_of_trl(tmp_path: Path, record: dict[str, object]) -> None:
    assert talk(read(put(tmp_path, "a.jsonl", record))) == [["Hi"], ["Ho"]]


def test_trajectories_of_ones_own(tmp_path: Path) -> None:
    steps = [
        {"candidates": ["a", "b", "a", "c"], "chosen": 0, "tied": [3], "observation": "saw <image>"},
        {"candidates": ["d"], "chosen": None, "trunk": 0, "observation": [user("12")]},
        {"candidates": ["e", "f"], "chosen": 1},
    ]
    record = {"id": "t", "images": ["0.png", "1.png"], "prompt": [user("<image>How many?")], "steps": steps}
    data = read(put(tmp_path, "a.jsonl", record))
    assert talk(data) == [["[0.png]", "How many?"], ["a"], ["saw ", "[1.png]"], ["d"], ["12"], ["f"]]
    (tree,) = data.trees
    assert [[turn.candidate for turn in fork.rejected] for fork in tree.forks] == [[1], [], [0]]
    assert [fork.learnt for fork in tree.forks] == [True, False, True] and data.has_pairs
    assert [fork.learnt for fork in data.imitation().trees[0].forks] == [True, True, True]
    assert not data.imitation().has_pairs


def test_a_directory_and_single_records(tmp_path: Path) -> None:
    put(tmp_path, "b.jsonl", {**TRL, "rejected": [model("7")]})
    put(tmp_path, "a.jsonl", TRL, {**TRL, "rejected": [model("6")]})
    assert [turn.raw for turn in read(tmp_path).trees[0].forks[0].rejected] == ["5", "6", "7"]
    assert [turn.raw for turn in read(tmp_path, wanted=[0, 2]).trees[0].forks[0].rejected] == ["5", "7"]


# --------------------------------------------------------------------------------------------- pictures


def test_a_data_uri_is_a_picture(tmp_path: Path) -> None:
    uri = "data:image/png;base64," + base64.b64encode(picture_file(3)[0]).decode()
    pictures = Pictures()
    assert pictures.read(pictures.add({"url": uri}, "x", tmp_path)) == picture_file(3)[0]


def test_pictures_lie_where_one_says(tmp_path: Path) -> None:
    put(tmp_path, "a.json")
    (tmp_path / "data").mkdir()
    file = put(tmp_path / "data", "a.json", {**SPORT, "images": ["x/0.png", "x/1.png"]})
    (tmp_path / "x").mkdir()
    for i in range(2):
        (tmp_path / f"{i}.png").rename(tmp_path / "x" / f"{i}.png")
    with pytest.raises(InputError, match=r"a.json, record 0: the picture .*data/x/0.png is missing .*--images"):
        read(file)
    assert read(file, pictures=Pictures(root=tmp_path)).counts["pairs"] == 1


def test_a_picture_that_changes_is_noticed(tmp_path: Path) -> None:
    put(tmp_path, "a.json")
    pictures = Pictures()
    file = pictures.add("0.png", "x", tmp_path)
    (tmp_path / "0.png").write_bytes(picture_file(9)[0])
    with pytest.raises(InputError, match="was changed while it was in use"):
        pictures.read(file)


# ----------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({**SPORT, "images": ["gone.png", "1.png"]}, "gone.png is missing"),
        ({**SPORT, "images": ["bad.jsonl", "1.png"]}, "bad.jsonl is not a picture that can be read"),
        ({**SPORT, "images": ["https://x/y.png", "1.png"]}, "expected a path on this machine"),
        ({**SPORT, "images": ["0.png"]}, "more places than its 1 pictures"),
        ({**SPORT, "images": ["0.png", "1.png", "0.png"]}, "2 places for 3 pictures"),
        ({**SPORT, "rejected": SPORT["chosen"]}, "chosen and rejected are the same text"),
        ({**SPORT, "conversations": []}, "conversations is empty"),
        ({**TRL, "prompt": "Two?"}, "the prompt is a bare text; expected messages"),
        ({**TRL, "prompt": [user("a"), model("b")]}, "the prompt ends with a turn of the model"),
        ({**TRL, "chosen": [model("a"), model("b")]}, "chosen has 2 turns"),
        ({**TRL, "chosen": [user("a")]}, "chosen is not a turn of the assistant"),
        ({**TRL, "prompt": [{"role": "tool", "content": "x"}]}, "the role 'tool'; expected one of system, user"),
        ({"chosen": [user("a"), model("b")], "rejected": [user("c"), model("b")]}, "do not begin with the same turns"),
        ({"messages": [user("a")]}, "an empty trajectory, without any turn of the model"),
        ({"messages": [user("a"), model("b"), model("c")]}, "two turns of the model in a row"),
        ({"messages": [model("b")]}, "begins with a turn of the model"),
        ({"prompt": [user("a")], "steps": []}, "an empty trajectory, without steps"),
        ({"prompt": [user("a")], "steps": [{"candidates": ["x"], "chosen": 1}]}, "step 0: 1 is no candidate's index"),
        ({"prompt": [user("a")], "steps": [{"candidates": ["x"], "chosen": 0}] * 2}, "step 0: no observation"),
        ({**TRL, "tools": [{"name": "count"}]}, "describe them in a system turn"),
        ({"question": "a", "answer": "b"}, "fields answer, question; known are"),
    ],
)
def test_a_bad_record_is_named_by_its_line(tmp_path: Path, record: dict[str, object], words: str) -> None:
    file = put(tmp_path, "bad.jsonl", record)
    with pytest.raises(InputError, match=rf"bad.jsonl:1.*{re.escape(words)}"):
        read(file)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"a": 1', "a.jsonl:1: not valid JSON"),
        ("a.jsonl", "\n", "no records"),
        ("a.jsonl", "[1]\n", "expected an object with fields, got list"),
        ("a.json", '{"a": 1}', "expected a JSON list"),
        ("a.parquet", "x", "not a whole parquet file"),
        ("a.txt", "x", "expected one ending in .jsonl"),
        ("a.jsonl", json.dumps(TRL) + '\n{"messages": []}\n', "a.jsonl:2: TRL conversations among TRL preferences"),
        ("a.jsonl", json.dumps(TRL) + '\n{"x": []}\n', "a.jsonl:2: a record with the fields x"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=re.escape(words)):
        read(tmp_path / name)


def test_nothing_there_is_named(tmp_path: Path) -> None:
    for place, words in ((tmp_path, "no data in this directory"), (tmp_path / "x", "no such file or directory")):
        with pytest.raises(InputError, match=words):
            read(place)


def test_an_id_comes_once(tmp_path: Path) -> None:
    record = {"id": "t", "prompt": [user("a")], "steps": [{"candidates": ["x", "y"], "chosen": 1}]}
    with pytest.raises(InputError, match="two trajectories have the id 't'"):
        read(put(tmp_path, "a.jsonl", record, record))
