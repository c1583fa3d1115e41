"""Runs whose controller is behind HTTP on loopback: the embedded vision controller, asked over the protocol."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import servers
from sport import loop, wire
from sport.config import Config, load
from sport.events import Silent
from sport.store import Store
from sport.types import Action, Trajectory

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "configs" / "small.toml"
SECRET = "sk-very-secret-0123456789"
AT_END = ("tools.workers=1", "eval.tasks=2", "eval.in_flight=2", "synth.tasks=2", "explore.in_flight=2")


def settings(url: str, *more: str) -> list[str]:
    own = ["controller.kind=endpoint", f'controller.endpoint.base_urls=["{url}"]', "controller.endpoint.model=nano"]
    return [*AT_END, *own, *more]


def sport(*arguments: str | Path, timeout: float = 110) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "SPORT_TEST_KEY": SECRET, "COLUMNS": "200"}
    command = [sys.executable, "-m", "sport.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)


def sets(changes: list[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def evaluated(folder: Path, config: Config) -> list[Trajectory]:
    with Store.create(folder, config) as store:
        asyncio.run(loop.stage(wire.build(store, Silent()), "eval", 0))
        return list(store.trajectories("eval"))


def said(action: Action) -> tuple[str, bool]:
    return action.raw, action.finished


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_over_http_the_controller_sees_and_says_the_same(tmp_path: Path) -> None:
    local = evaluated(tmp_path / "local", load(TINY, AT_END))
    with servers.model(Config().controller.folder) as server:
        change = settings(server.url, "controller.endpoint.logprobs=true")
        remote = evaluated(tmp_path / "remote", load(TINY, change))
    assert [t.end for t in remote] == [t.end for t in local]
    pairs = [
        (a.trunk.action, b.trunk.action)
        for one, other in zip(local, remote, strict=True)
        for a, b in zip(one.steps, other.steps, strict=True)
    ]
    assert pairs
    for here, there in pairs:
        assert said(there) == said(here)
        assert there.logprob == pytest.approx(here.logprob, abs=1e-3)
        assert there.source == f"nano@{server.url}"
    assert any("image_url" in json.dumps(body) for body in server.asked)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_budget_stops_a_run_that_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with servers.model(Config().controller.folder) as server:
        more = ("controller.endpoint.key_env=SPORT_TEST_KEY", "controller.endpoint.max_tokens=300")
        stopped = sport("run", TINY, "--out", out, *sets(settings(server.url, *more)))
        assert stopped.returncode == 2, stopped
        assert "Traceback" not in stopped.stderr
        assert "spent of max_tokens = 300" in stopped.stderr
        assert f"sport run --resume {out}" in stopped.stderr
        refused = sport("run", "--resume", out, "--set", "explore.n=3")
        assert (refused.returncode, "keeps its settings" in refused.stderr) == (2, True)
        went_on = sport("run", "--resume", out, "--set", "controller.endpoint.max_tokens=1000000")
        assert went_on.returncode == 0, went_on
        tuned = sport("tune", out)
    assert tuned.returncode == 2
    assert "cannot be tuned here" in tuned.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["state"] == "done"
    assert summary["spent"]["controller"]["calls"] == len(server.asked)
    assert summary["spent"]["controller"]["prompt_tokens"] > 0
    with Store.view(out) as store:
        assert [(k, name) for k, name, *_ in store.stages()] == [
            (0, "eval"), (1, "synth"), (1, "explore"), (1, "pairs"),
        ]  # fmt: skip
        assert all(t.end for t in store.trajectories("explore"))
    held = [path for path in out.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert held == []
    assert SECRET not in stopped.stderr + went_on.stdout + went_on.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_that_is_not_there_is_one_message_and_nothing_is_lost(tmp_path: Path) -> None:
    with servers.serving(servers.echo) as gone:
        pass
    out = tmp_path / "run"
    quick = ("controller.endpoint.tries=1",)
    done = sport("run", TINY, "--out", out, *sets(settings(gone.url, *quick)))
    assert done.returncode == 2, done
    assert done.stderr.count("error: ") == 1
    assert "nobody answers" in done.stderr
    assert json.loads((out / "summary.json").read_text())["state"] == "stopped"
    with Store.view(out) as store:
        assert [t.end for t in store.trajectories("eval")] == [None, None]
