"""The T3 path with the embedded controller, through the real command line: alone, and with models over HTTP."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

import servers
from sport.config import Config
from sport.errors import ConfigError
from sport.store import Store
from sport.t3 import share
from test_run_endpoint import TINY, sets, sport

SERVER = {"base_urls": ("http://a/v1",), "model": "m"}
SMALL = (
    "tools.workers=1", "eval.tasks=2", "eval.in_flight=2", "synth.tasks=6", "explore.in_flight=3",
    "agent.max_new_tokens=128", "tune.learning_rate=1e-4",
)  # fmt: skip


def t3(out: Path, *changes: str) -> subprocess.CompletedProcess[str]:
    return sport("t3", TINY, "--out", out, *sets([*SMALL, *changes]), timeout=250)


def notes(store: Store) -> dict[tuple[int, str], dict]:
    return {(k, name): note for k, name, _, note in store.stages()}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_from_nothing_to_a_warm_start(tmp_path: Path) -> None:
    out = tmp_path / "t3"
    done = t3(out)
    assert done.returncode == 0, done
    assert "warm start: sport run CONFIG --set controller.adapter=" in done.stdout
    with Store.view(out) as store:
        told, adapter = notes(store), store.adapter(1)
        trajectories = list(store.trajectories("explore"))
        reviews = [store.review(t.id) for t in trajectories]
        before = list(store.dump())
    assert list(told) == [(0, "eval"), *((1, name) for name in ("synth", "trajectories", "review", "sft", "eval"))]
    assert len(trajectories) == 6
    assert all(len(step.candidates) == 1 for t in trajectories for step in t.steps)
    kept = sum(review is not None and review.kept is True for review in reviews)
    sft = told[1, "sft"]
    assert (sft["tuned"], sft["trajectories"], sft["rows"]) == (True, kept, kept)
    assert sft["peak_host_mb"] > 100
    assert sft["peak_device_mb"] is None
    assert adapter is not None
    card = (out / adapter / "README.md").read_text()
    assert "imitation" in card
    again = sport("t3", "--resume", out)
    assert again.returncode == 0, again
    refused = sport("explore", out)
    assert (refused.returncode, "follows T3" in refused.stderr) == (2, True)
    with Store.view(out) as store:
        assert list(store.dump()) == before
    warm = sport("run", TINY, "--out", tmp_path / "run", "--dry-run", *sets([f"controller.adapter={out / adapter}"]))
    assert warm.returncode == 0, warm


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_strong_model_solves_and_another_reviews_over_http(tmp_path: Path) -> None:
    out = tmp_path / "t3"
    with (
        servers.model(Config().controller.folder) as expert,
        servers.serving(servers.reviewer(lambda words: "Error (" not in words)) as critic,
    ):
        done = t3(
            out,
            "t3.expert.kind=endpoint",
            f't3.expert.endpoint.base_urls=["{expert.url}"]',
            "t3.expert.endpoint.model=nano",
            "t3.expert.dialect=nano-1",
            "t3.expert.max_new_tokens=128",
            "t3.critic.kind=endpoint",
            f't3.critic.endpoint.base_urls=["{critic.url}"]',
            "t3.critic.endpoint.model=tiny",
            "t3.fraction=0.5",
            "controller.images=false",
            "synth.check.enabled=false",
        )
    assert done.returncode == 0, done
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["spent"]) == {"t3.expert", "t3.critic"}
    assert summary["spent"]["t3.critic"]["calls"] == len(critic.asked)
    with Store.view(out) as store:
        told = notes(store)
        assert told[1, "synth"] == {"written": 6, "kept": 6}
        sources = {s.trunk.action.source for t in store.trajectories("explore") for s in t.steps}
        assert sources == {f"nano@{expert.url}"}
        assert told[1, "sft"]["trajectories"] == -(-told[1, "sft"]["of"] // 2)
        assert store.adapter(1) is not None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_kept_is_no_adapter_and_no_crash(tmp_path: Path) -> None:
    out = tmp_path / "t3"
    with servers.serving(servers.reviewer(lambda words: None)) as critic:
        more = (f't3.critic.endpoint.base_urls=["{critic.url}"]', "t3.critic.endpoint.model=tiny", "synth.tasks=1")
        done = t3(out, "t3.critic.kind=endpoint", *more)
    assert done.returncode == 0, done
    assert "no adapter: no trajectory was kept" in done.stdout
    with Store.view(out) as store:
        assert notes(store)[1, "sft"] == {"tuned": False, "trajectories": 0}


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    names = [f"t{i}" for i in range(20)]
    shares = [share(names, fraction, 3) for fraction in (0.05, 0.3, 0.31, 1.0)]
    assert [len(one) for one in shares] == [1, 6, 7, 20]
    assert all(set(one) <= set(other) for one, other in pairwise(shares))
    assert share(names, 0.5, 3) != share(names, 0.5, 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"controller": {"kind": "endpoint", "endpoint": SERVER}}, "t3.expert"),
        ({"t3": {"mix": ("general.jsonl",)}}, "expected PATH=WEIGHT"),
        ({"t3": {"mix": ("nowhere.jsonl=0.5",)}}, "no such file or directory: nowhere.jsonl"),
        ({"t3": {"expert": {"kind": "endpoint"}}}, "t3.expert.endpoint.base_urls: name at least one server"),
        ({"t3": {"critic": {"kind": "endpoint"}}}, "t3.critic.endpoint.base_urls: name at least one server"),
        ({"t3": {"expert": {"kind": "endpoint", "dialect": "x", "endpoint": SERVER}}}, "unknown dialect 'x'"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_told_before_anything_runs(change: dict, words: str) -> None:
    from sport import wire

    with pytest.raises(ConfigError, match=words):
        wire.check(Config.model_validate({"method": "t3", **change}))
