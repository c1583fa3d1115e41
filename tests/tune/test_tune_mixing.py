"""General conversations from the formats that general data come in, pictures and all, among agent trajectories."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from models import picture_file, tiny_qwen2_vl
from sport.config import Tune
from sport.errors import InputError
from sport.tune import Share, read, tune_data

ASKED, SAID = {"role": "user", "content": "<image>What is it?"}, {"role": "assistant", "content": "Sugar."}


def trl(folder: Path) -> Path:
    (folder / "0.png").write_bytes(picture_file(0)[0])
    file = folder / "trl.jsonl"
    file.write_text(json.dumps({"messages": [ASKED, SAID], "images": ["0.png"]}) + "\n")
    return file


def llava(folder: Path) -> Path:
    (folder / "1.png").write_bytes(picture_file(1)[0])
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "Red."}]
    file = folder / "llava.json"
    file.write_text(json.dumps([{"id": "1", "image": "1.png", "conversations": turns}] * 2))
    return file


def cauldron(folder: Path) -> Path:
    record = {"images": [{"bytes": picture_file(2)[0], "path": None}], "texts": [{"user": "?", "assistant": "Blue."}]}
    pa.parquet.write_table(pa.Table.from_pylist([record] * 3), folder / "cauldron.parquet")
    return folder / "cauldron.parquet"


FORMATS = {"trl": trl, "llava": llava, "cauldron": cauldron}


@pytest.fixture
def trajectories(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    step = {"candidates": ["count()", "guess"], "chosen": 0}
    records = [{"prompt": [{"role": "user", "content": f"How many? {k}"}], "steps": [step]} for k in range(4)]
    file = tmp_path / "own" / "a.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in records))
    return file


def test_every_format_mixes_in_by_its_weight(trajectories: Path, tmp_path: Path) -> None:
    shares = [Share(make(tmp_path), weight) for make, weight in zip(FORMATS.values(), (0.25, 0.5, 0.75), strict=True)]
    settings = Tune(rank=4, alpha=8, epochs=1, rows_per_step=100)
    base = tiny_qwen2_vl(tmp_path / "base")
    done = tune_data(base, trajectories, tmp_path / "out", settings, method="imitation", mix=shares)
    (step,) = done.result.history
    assert done.result.rows == step["trajectories"] == 4 + 1 + 2 + 3
    assert step["images"] == 1 + 2 + 3 and not done.result.pairs


@pytest.mark.parametrize("name", FORMATS)
def test_which_are_drawn_follows_from_the_seed_alone(name: str, tmp_path: Path) -> None:
    from sport.tune.mixing import draw

    share = Share(FORMATS[name](tmp_path), 0.5)
    pictures = read(share.source).pictures
    first, again = (draw(share, 2, 5, pictures) for _ in range(2))
    assert [tree.name for tree in first.trees] == [tree.name for tree in again.trees] and len(first.trees) == 1
    with pytest.raises(InputError, match="nothing to mix in"):
        draw(Share(share.source, 0.1), 2, 5, pictures)
