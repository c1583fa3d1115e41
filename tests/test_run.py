"""Whole runs through the real command line, with the real controller, tools and sandbox; killed and resumed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sport.store import Store

ROOT = Path(__file__).parents[1]
STEPS = ("synth", "explore", "pairs", "tune", "eval")


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No run outlives its test, also when that fails."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            kill(process)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "sport.cli", "run", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    STARTED.append(subprocess.Popen(line, cwd=ROOT, env=environment, text=True, **pipes))
    return STARTED[-1]


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=110)
    return process.returncode, out, err


def tiny(folder: Path, *settings: str) -> subprocess.Popen[str]:
    changes = [word for setting in settings for word in ("--set", setting)]
    return start("configs/small.toml", "--out", folder, *changes)


def dump(folder: Path) -> list[str]:
    with Store.view(folder) as store:
        return list(store.dump())


def lasting(folder: Path) -> list[str]:
    """Everything that was paid for or decided: none of it may change when a run goes on."""
    kinds = ("task", "key", "check", "candidate", "observation", "decision", "pair")
    return [line for line in dump(folder) if json.loads(line)[0] in kinds]


def until(process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
    """Wait until ``holds``; the run must not end before it does."""
    deadline = time.monotonic() + 90
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def decided(folder: Path) -> int:
    """Decided steps of exploration, as a reader sees them while the run goes on."""
    if not (folder / "run.db").exists():
        return 0
    with Store.view(folder) as store:
        return sum(len(t.steps) for t in store.trajectories("explore"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    code, out, err = finish(tiny(folder))
    assert code == 0, err
    assert "report:" in out
    assert re.search(r"boot: done.* \d+ (of \d+ )?walls", err), err  # it says how closed its boxes are
    return folder


def test_a_run_leaves_a_summary_a_report_a_log_and_its_configuration(undisturbed: Path) -> None:
    summary = json.loads((undisturbed / "summary.json").read_text())
    assert [i["iteration"] for i in summary["iterations"]] == [0, 1]
    for entry in summary["iterations"]:
        assert {"AnsAcc", "ToolAcc", "CodeExec"} <= set(entry["metrics"])
        assert all(0 <= m["low"] <= m["value"] <= m["high"] <= 1 and m["n"] > 0 for m in entry["metrics"].values())
    assert len(summary["pairs"]) == 1
    assert set(STEPS) <= set(summary["wall_s"])
    assert summary["seed"] == 0
    assert (undisturbed / "report.html").stat().st_size < 10_000_000
    assert (undisturbed / "log.jsonl").read_text().count("\n") >= 6


def test_a_run_keeps_its_walls_with_every_trajectory(undisturbed: Path) -> None:
    with Store.view(undisturbed) as store:
        names = [trajectory.id for purpose in ("explore", "eval") for trajectory in store.trajectories(purpose)]
        kept = [store.walls(name) for name in names]
    assert names and all(len(walls) == 1 and walls[0]["seccomp"] == "active" for walls in kept)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(undisturbed: Path, tmp_path: Path) -> None:
    assert finish(tiny(tmp_path / "again"))[0] == 0
    assert finish(tiny(tmp_path / "other", "seed=1"))[0] == 0
    assert dump(tmp_path / "again") == dump(undisturbed)
    assert dump(tmp_path / "other") != dump(undisturbed)


def test_resuming_a_finished_run_does_nothing_but_draw_the_report(undisturbed: Path) -> None:
    before = dump(undisturbed)
    code, _, err = finish(start("--resume", undisturbed))
    assert code == 0, err
    assert dump(undisturbed) == before


@pytest.mark.parametrize("steps", [1, 4])
def test_killed_while_exploring_it_goes_on_and_redoes_nothing(tmp_path: Path, steps: int) -> None:
    folder = tmp_path / "run"
    process = tiny(folder)
    until(process, lambda: decided(folder) >= steps)
    kill(process)
    before = lasting(folder)
    assert len(before) > 10
    assert finish(start("--resume", folder))[0] == 0
    with Store.view(folder) as store:
        assert all(t.end is not None for t in store.trajectories("explore"))
        assert all(store.stage_done(1, name) is not None for name in STEPS)
        trees = {t.id: t for t in store.trajectories("explore")}
    assert len(trees) == 3
    after = lasting(folder)
    assert [line for line in before if line not in after] == []
    assert len(after) == len(set(after))


def test_killed_while_tuning_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    folder, many = (
        tmp_path / "run",
        ("tune.epochs=40", "tune.save_steps=5", "explore.temperature=1.8", "pairs.failed=true"),
    )
    process = tiny(folder, *many)
    until(process, lambda: any((folder / "tune" / "01").glob("checkpoint-*/trainer_state.json")))
    kill(process)
    trees = [line for line in dump(folder) if "explore.1" in line]
    code, _, err = finish(start("--resume", folder))
    assert code == 0, err
    assert [line for line in dump(folder) if "explore.1" in line] == trees
    with Store.view(folder) as store:
        assert (folder / str(store.adapter(1)) / "adapter_model.safetensors").exists()
    assert not list((folder / "tune" / "01").glob("checkpoint-*"))


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = tiny(folder)
    until(process, lambda: decided(folder) >= 1)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert f"sport run --resume {folder}" in err
    assert "Traceback" not in err
    assert finish(start("--resume", folder))[0] == 0


def test_a_second_process_on_the_same_run_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = tiny(folder)
    until(process, lambda: (folder / "run.db").exists())
    code, _, err = finish(start("--resume", folder))
    kill(process)
    assert code == 2
    assert str(process.pid) in err
