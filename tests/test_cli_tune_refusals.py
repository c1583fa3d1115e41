"""Whatever is wrong with what a person hands to ``sport tune``: one message, exit code 2, and nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from models import picture_file, tiny_qwen2_vl
from sport import config
from test_cli_tune import Done, is_one_message
from test_cli_tune import sport as sport  # a fixture

Sport = Callable[..., Done]
TASK = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many circles?"}]}]
GOOD: dict[str, Any] = {"prompt": TASK, "chosen": "count()", "rejected": "guess", "images": ["a.png"]}


def everything(folder: Path) -> dict[str, int]:
    """All files and folders, with what they hold."""
    return {str(path.relative_to(folder)): hash(path.is_file() and path.read_bytes()) for path in folder.rglob("*")}


def refused(sport: Sport, folder: Path, *arguments: str | Path) -> str:
    """The one message with which a command is refused that leaves everything as it was."""
    before = everything(folder)
    message = is_one_message(sport("tune", *arguments))
    assert message.count("error:") == 1
    assert everything(folder) == before
    return message


def stopped(done: Done) -> str:
    """The one message after some progress."""
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return message


def put(folder: Path, *records: dict[str, Any]) -> str:
    (folder / "a.png").write_bytes(picture_file(1)[0])
    (folder / "bad.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    return "bad.jsonl"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({**GOOD, "images": ["gone.png"]}, "bad.jsonl:2: the picture gone.png is missing"),
        (
            {**GOOD, "images": ["note.txt"]},
            "bad.jsonl:2: note.txt is not a picture that can be read (no known picture format); replace it",
        ),
        ({**GOOD, "rejected": "count()"}, "bad.jsonl:2: chosen and rejected are the same text; leave the record out"),
        ({**GOOD, "prompt": []}, "bad.jsonl:2: expected a list of turns"),
    ],
    ids=["missing picture", "no picture", "chosen is rejected", "no prompt"],
)
def test_a_bad_pair_is_named_by_its_line(sport: Sport, tmp_path: Path, record: dict[str, Any], words: str) -> None:
    (tmp_path / "note.txt").write_text("no picture")
    assert words in refused(sport, tmp_path, put(tmp_path, GOOD, record), "--out", "out")


@pytest.mark.parametrize(
    "record", [{"id": "t7", "prompt": [{"role": "user", "content": "?"}], "steps": []}, {"messages": [TASK[0]]}]
)
def test_an_empty_trajectory_is_named(sport: Sport, tmp_path: Path, record: dict[str, Any]) -> None:
    message = refused(sport, tmp_path, put(tmp_path, {**record, "images": []}), "--out", "out")
    assert "bad.jsonl:1: an empty trajectory" in message or "places" in message


def test_a_truncated_picture_is_named_before_any_step(sport: Sport, tmp_path: Path) -> None:
    data = put(tmp_path, {**GOOD, "prompt": [{"role": "user", "content": "2 + 2?"}], "images": []}, GOOD)
    (tmp_path / "a.png").write_bytes(picture_file(1)[0][:-3000])
    message = refused(sport, tmp_path, data, "--out", "out")
    assert "bad.jsonl:2: a.png: not a picture that can be looked at" in message


def test_rows_above_the_budget_are_refused_where_nothing_is_left(sport: Sport, tmp_path: Path) -> None:
    message = refused(sport, tmp_path, "pairs.jsonl", "--set", "tune.max_row_tokens=10", "--out", "out")
    assert "pairs.jsonl: none of 3 trajectories fits into tune.max_row_tokens = 10; raise it" in message


def test_a_row_above_the_budget_is_left_out_named_and_counted(
    sport: Sport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = {**GOOD, "prompt": [{"role": "user", "content": "2 + 2?"}], "images": []}
    long = {**short, "prompt": [{"role": "user", "content": "2 + 2? " * 100}]}
    done = sport(
        "tune", put(tmp_path, short, long), "--out", "out", "--set", "tune.max_row_tokens=100", "--set", "tune.epochs=1"
    )
    assert done.returncode == 0, done.stderr
    assert "lost: 1 too long, 1 pairs" in done.stdout
    assert "longer than max_row_tokens = 100, so cut at a step or left out: bad.jsonl:2" in caplog.text


def test_a_checkpoint_without_a_chat_template_is_named(sport: Sport, tmp_path: Path) -> None:
    shutil.copytree(config.checkpoint_folder("nano"), tmp_path / "mute")
    (tmp_path / "mute" / "chat_template.jinja").unlink()
    message = refused(sport, tmp_path, "pairs.jsonl", "--checkpoint", "mute", "--out", "out")
    assert "mute: the tokenizer has no chat template; add chat_template.jinja" in message


def test_an_adapter_of_another_base_names_both(sport: Sport, tmp_path: Path) -> None:
    tiny_qwen2_vl(tmp_path / "other")
    assert sport("tune", "pairs.jsonl", "--out", "one", "--set", "tune.epochs=1").returncode == 0
    message = refused(
        sport, tmp_path, "pairs.jsonl", "--checkpoint", "other", "--adapter", "one/adapter", "--out", "two"
    )
    assert "adapter tensors have no place in this model, it was made for the base nano" in message
    shutil.copytree(config.checkpoint_folder("nano"), tmp_path / "same")
    weights = load_file(tmp_path / "same" / "model.safetensors")
    save_file({name: tensor * 2 for name, tensor in weights.items()}, tmp_path / "same" / "model.safetensors")
    message = refused(sport, tmp_path, "pairs.jsonl", "--checkpoint", "same", "--adapter", "one/adapter")
    assert "one/adapter: made for the base nano, whose weights are not those of same" in message


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(sport: Sport, tmp_path: Path) -> None:
    """The weights of checkpoint 2 gave it; those of checkpoint 1 are good."""
    changes = ("learning_rate=1e30", "epochs=4", "save_steps=1")
    message = stopped(sport("tune", "pairs.jsonl", "--out", "out", *(f"--set=tune.{one}" for one in changes)))
    assert "step 3: the loss is not finite in trajectories pairs.jsonl:1, pairs.jsonl:3, pairs.jsonl:5" in message
    assert "The last good checkpoint is kept, an adapter in out/checkpoint-1: start again, or from" in message
    assert not (tmp_path / "out" / "adapter").exists() and not list(tmp_path.rglob("*.half"))
    on = ("--adapter", "out/checkpoint-1", "--out", "on", "--set=tune.epochs=1")
    assert sport("tune", "pairs.jsonl", *on).returncode == 0


def test_without_a_good_checkpoint_none_is_promised(sport: Sport, tmp_path: Path) -> None:
    changes = ("learning_rate=1e30", "epochs=4")
    message = stopped(sport("tune", "pairs.jsonl", "--out", "out", *(f"--set=tune.{one}" for one in changes)))
    assert "There is no checkpoint of earlier weights: start again with a lower tune.learning_rate" in message
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["reference.json"]


def test_a_tracker_that_is_not_there_is_named(sport: Sport, tmp_path: Path) -> None:
    message = refused(sport, tmp_path, "pairs.jsonl", "--out", "out", "--set", 'tune.report_to=["tensorbored"]')
    assert "tune.report_to: unknown tracker 'tensorbored'; expected one of azure_ml" in message
