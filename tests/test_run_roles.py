"""The whole loop with language models over HTTP on loopback: a served controller, a judge, and a tuned adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import authors
import servers
from sport.config import Config
from sport.store import Store
from test_run_endpoint import SECRET, TINY, sets, sport

SMALL = ("tools.workers=1", "eval.tasks=2", "eval.in_flight=2", "synth.tasks=3", "explore.in_flight=3", "explore.n=4")


def looked(text: str) -> float:
    """Prefers a candidate that called a tool and got something, then one that answered, then one that ran."""
    failed, tool = (
        "Error (" in text,
        any(f"{name}(" in text for name in ("ocr", "count", "locate", "inspect", "search")),
    )
    return 0 if failed else 1 + 2 * tool + ("Final answer" in text)


def roles(controller: str, critic: str, *more: str) -> list[str]:
    return sets(
        [
            *SMALL,
            "controller.kind=served",
            f'controller.endpoint.base_urls=["{controller}"]',
            "controller.endpoint.model=nano",
            "critic.kind=endpoint",
            f'critic.endpoint.base_urls=["{critic}"]',
            "critic.endpoint.model=tiny",
            "critic.endpoint.key_env=SPORT_TEST_KEY",
            *more,
        ]
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_model_behind_http_and_a_tuned_adapter_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with (
        servers.model(Config().controller.folder) as controller,
        servers.serving(servers.judge(looked)) as critic,
        authors.author(kinds=[("image",)]) as (author, _),
    ):
        more = (
            "critic.swap=true",
            "explore.temperature=1.6",
            "pairs.failed=true",
            "synth.kind=llm",
            "synth.queries_per_call=4",
            'synth.images.sources=["endpoint"]',
            *authors.endpoint("synth", author.url, "timeout_s=60.0"),
            *authors.endpoint("synth.images", author.url, "timeout_s=60.0"),
        )
        done = sport("run", TINY, "--out", out, *roles(controller.url, critic.url, *more), timeout=300)
    assert done.returncode == 0, done
    summary = json.loads((out / "summary.json").read_text())
    assert summary["state"] == "done"
    assert sum(summary["pairs"]) > 0
    assert {"controller", "critic", "synth"} <= set(summary["spent"])
    assert summary["spent"]["critic"]["calls"] == len(critic.asked)
    assert critic.asked
    assert any("image_url" in json.dumps(body) for body in critic.asked)
    with Store.view(out) as store:
        tasks = store.tasks("explore", 1)
        assert {task.origin for task in tasks} == {"llm"}
        assert all(task.files[0].is_image for task in tasks)
        adapter = store.adapter(1)
        assert adapter is not None
        assert (out / adapter / "adapter_model.safetensors").is_file()
        steps = [step for t in store.trajectories("explore") for step in t.steps]
        judged = [step.verdict for step in steps if step.verdict is not None and step.verdict.notes.get("calls")]
        assert judged
        for verdict in judged:
            one, other = (call["order"] for call in verdict.notes["calls"])
            assert one == other[::-1]
        sources = {c.action.source for step in steps for c in step.candidates}
        assert sources == {f"nano@{controller.url}"}
        before, after = (
            {step.trunk.action.source for t in store.trajectories("eval", k) for step in t.steps} for k in (0, 1)
        )
        assert before == sources
        assert sources.isdisjoint(after), "the server does not know the adapter, so it may not answer for it"
    held = [path for path in out.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert held == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_critic_that_cannot_be_used_stops_the_run_with_one_message(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with servers.serving(servers.status(401, "bad key")) as critic:
        judge = roles("http://127.0.0.1:9/v1", critic.url, "synth.tasks=3", "eval.tasks=1")
        done = sport("run", TINY, "--out", out, *judge, "--set", "controller.kind=local", timeout=250)
    assert done.returncode == 2, done
    assert (done.stderr.count("error: "), "Traceback" in done.stderr) == (1, False)
    assert "critic.endpoint" in done.stderr
    assert "SPORT_TEST_KEY is not accepted" in done.stderr
    assert SECRET not in done.stderr
    with Store.view(out) as store:
        assert json.loads((out / "summary.json").read_text())["state"] == "stopped"
        assert all(t.end is None for t in store.trajectories("explore"))
