"""``sport tune DATA`` and ``sport merge-adapter`` as a person types them, with the embedded controller."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sport import bases, cli
from sport.store import Store

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def sport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run ``sport ...`` in a directory that holds a data set of pairs and one of conversations; in this process."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str | Path, **more: str) -> Done:
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["sport", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        found = capsys.readouterr()
        return Done(int(ended.value.code or 0), found.out, found.err)

    return call


def prepare(folder: Path, trajectories: int = 3) -> None:
    pairs = []
    for k in range(trajectories):
        prompt = [{"role": "user", "content": f"How many circles? {k}"}]
        for step in range(2):
            turn = {"role": "assistant", "content": f"count({step})"}
            pairs.append({"prompt": prompt, "chosen": [turn], "rejected": [{"role": "assistant", "content": "guess"}]})
            prompt = [*prompt, turn, {"role": "user", "content": "Observation: 3"}]
    talk = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Good day."}]}]
    for name, records in (("pairs.jsonl", pairs), ("talk.jsonl", talk)):
        (folder / name).write_text("".join(json.dumps(one) + "\n" for one in records))


def is_one_message(done: Done) -> str:
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr and done.stderr.startswith("error: ")
    return done.stderr


def test_data_are_tuned_on_gone_on_with_and_merged(sport: Callable[..., Done], tmp_path: Path) -> None:
    first = sport("tune", "pairs.jsonl", "--out", "one", "--set", "tune.epochs=1")
    assert first.returncode == 0, first.stderr
    assert "pairs.jsonl: TRL preferences: 6 records, 6 pairs, 3 trees, 3 continued" in first.stdout
    assert "preference: 1 steps over 3 rows, 6 pairs" in first.stdout and "adapter: one/adapter" in first.stdout
    assert "tune: done" in first.stderr
    again = sport("tune", "pairs.jsonl", "--out", "two", "--adapter", "one/adapter", "--sft", "--mix", "talk.jsonl=1")
    assert again.returncode == 0 and "imitation: 4 steps over 6 rows, 0 pairs" in again.stdout, again
    merged = sport("merge-adapter", "two/adapter", "--checkpoint", "nano", "--out", "whole")
    assert (merged.returncode, merged.stdout) == (0, "checkpoint: whole\n")
    assert bases.note(tmp_path / "whole")["merged"]
    last = sport("tune", "pairs.jsonl", "--checkpoint", "whole", "--out", "three", "--set", "tune.epochs=1")
    assert last.returncode == 0, last.stderr


@pytest.mark.slow
def test_a_stop_is_kept_and_gone_on_with(sport: Callable[..., Done], tmp_path: Path) -> None:
    prepare(tmp_path, trajectories=40)
    command = [sys.executable, "-m", "sport.cli", "tune", "pairs.jsonl", "--out", "out"]
    command += ["--set", "tune.epochs=40", "--set", "tune.save_steps=1"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not list((tmp_path / "out").glob("checkpoint-*/complete")):
            time.sleep(0.02)
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopped; go on with the same command and --out out --resume" in err
    assert not (tmp_path / "out" / "adapter").exists()
    assert "not empty; name another directory, or go on with --resume" in is_one_message(sport(*command[3:]))
    on = sport(*command[3:], "--resume")
    assert on.returncode == 0, on.stderr
    assert "reference:" not in on.stderr and (tmp_path / "out" / "adapter").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gone.jsonl",), "gone.jsonl: not a run directory, and no data set either"),
        (("pairs.jsonl", "--mix", "talk.jsonl"), "--mix talk.jsonl: expected PATH=WEIGHT"),
        (("pairs.jsonl", "--mix", "talk.jsonl=x"), "--mix talk.jsonl=x: expected PATH=WEIGHT"),
        (("pairs.jsonl", "--mix", "talk.jsonl=1"), "mix them in with method imitation (--sft)"),
        (("pairs.jsonl", "--resume"), "--resume needs --out"),
        (("pairs.jsonl", "-i", "1"), "pairs.jsonl is no run, so it has no iterations"),
        (("pairs.jsonl", "--checkpoint", "gone"), "gone: no such directory"),
        (("pairs.jsonl", "--adapter", "gone"), "gone: no such directory; expected a PEFT adapter"),
        (("pairs.jsonl", "--set", "tune.rang=3"), "did you mean 'tune.rank'"),
    ],
)
def test_bad_input_is_one_message(sport: Callable[..., Done], arguments: tuple[str, ...], words: str) -> None:
    assert words in is_one_message(sport("tune", *arguments))


def test_several_processes_must_mean_one_directory(sport: Callable[..., Done]) -> None:
    assert "several processes needs --out" in is_one_message(sport("tune", "pairs.jsonl", WORLD_SIZE="2"))


def test_a_run_has_its_own_settings(sport: Callable[..., Done], tmp_path: Path) -> None:
    from sport.config import Config

    Store.create(tmp_path / "run", Config()).close()
    message = is_one_message(sport("tune", "run", "--sft", "--set", "tune.rank=3"))
    assert "run is a run, which has its own settings: leave out --sft, --set" in message
    assert "tune of iteration 1 needs pairs of iteration 1 first" in is_one_message(sport("tune", "run"))


def test_data_with_an_origin_say_so(sport: Callable[..., Done], tmp_path: Path) -> None:
    record = {
        "images": [],
        "conversations": [{"from": "human", "value": "Task"}],
        "chosen": {"from": "gpt", "value": "look", "observation": "1"},
        "rejected": {"from": "gpt", "value": "guess", "observation": "2"},
        "system": "You have tools.",
    }
    (tmp_path / "sport.json").write_text(json.dumps([record]))
    done = sport("tune", "sport.json", "--out", "out", "--set", "tune.epochs=1")
    assert "grown from items of GAIA and GTA, so scores of what is tuned on it are marked" in done.stdout
    assert bases.seeded("nano", str(tmp_path / "out" / "adapter")) == ["GAIA", "GTA"]
