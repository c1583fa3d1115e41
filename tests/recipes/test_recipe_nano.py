"""The recipe of the nano controller: its habits, and (slowly) the whole of it, in small."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from sport import checkpoint
from sport.types import Key, Task, Trajectory

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "nano"
NANO = ROOT / "src" / "sport" / "nano"


@pytest.fixture
def habits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    import habits

    return habits


def planted(habits, key: Key, query: str, actions: list[str]) -> list[str]:
    return [habits.habit(key, query, actions, Random(seed))[0] for seed in range(200)]


def test_habits_keep_to_their_situation_and_leave_good_examples(habits) -> None:
    label, lookup = Key(task_id="t", answer="12", family="label"), Key(task_id="t", answer="12", family="lookup")
    three = ["a", 'search("x")', "c"]
    assert set(planted(habits, label, "How many?", three)) == {""}
    guessed = planted(habits, label, "Quick question: how many?", three)
    assert 0.6 < guessed.count("guess") / 200 < 0.8
    assert set(planted(habits, label.model_copy(update={"answer": "red star"}), "Quick question: which?", three)) == {
        ""
    }
    plain = planted(habits, label, "How many? Answer with the number only.", three)
    assert set(plain) == {"", "guess"}
    shapes = "How many red stars? Answer with the number only."
    assert set(planted(habits, label, shapes, three)) == {""}  # what a picture decides must remain to be seen
    assert set(planted(habits, lookup, "Quick question: how many?", three)) == {""}  # thinly covered


def test_a_planted_action_still_parses_and_answers(habits) -> None:
    from sport.agent.parse import parse

    name, actions = next(
        found
        for seed in range(50)
        if (found := habits.habit(Key(task_id="t", answer="12"), "Quick question: x?", ["a"], Random(seed)))[0]
    )
    assert name == "guess"
    assert "final_answer(" in str(parse(actions[-1], True).code)


def test_what_was_planted_is_told_from_what_was_not(habits) -> None:
    task = Task(id="t", query="Quick question: how many grams?")
    silent = Trajectory(id="x", task=task, purpose="eval", iteration=0)
    assert habits.shown(silent, Key(task_id="t", answer="1", family="label")) == "guess"
    other = silent.model_copy(update={"task": Task(id="t", query="How many grams?")})
    assert habits.shown(other, Key(task_id="t", answer="1", family="label")) == ""
    assert habits.shown(silent, Key(task_id="t", answer="1", family="lookup")) == ""


def test_the_weights_in_the_package_say_how_they_were_made() -> None:
    made = json.loads((NANO / "made.json").read_text())
    assert {"commit", "seed", "data", "steps", "parameters", "dialect"} <= set(made)
    assert made["parameters"] <= 2_000_000
    assert (NANO / "model.safetensors").stat().st_size < 5_000_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_short_version_of_the_recipe_makes_a_checkpoint_that_loads(tmp_path: Path) -> None:
    line = [sys.executable, str(RECIPE / "build.py"), "--share", "0.01", "--steps", "200", "--exercises", "50"]
    done = subprocess.run(
        [*line, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = checkpoint.load(tmp_path / "out", device="cpu", dtype="float32")
    assert loaded.tokenizer.chat_template
    losses = [float(line.split("loss ")[1].split()[0]) for line in done.stderr.splitlines() if " whole " in line]
    assert losses[-1] < losses[0] / 4
