"""Whole runs on tasks that a language model writes, all its roles over HTTP on loopback; killed, resumed, finished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import authors
import servers
from sport.store import Store
from sport.world.make import make

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "configs" / "small.toml"
SMALL = (
    "synth.kind=llm", "synth.tasks=4", "synth.queries_per_call=3", 'synth.exclude=["tests/data/gta"]',
    'synth.images.sources=["library"]', "synth.images.floor=0.5", "tools.workers=1", "eval.tasks=1", "explore.n=8",
    "explore.temperature=1.6", "explore.top_k=2", "pairs.broken=true",
)  # fmt: skip


def sport(*arguments: str | Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "sport.cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=ROOT, env=environment, text=True, **pipes)


def receipts(folder: Path) -> tuple[Path, list[tuple[str, list[str]]]]:
    """A library of painted receipts, each with a caption that says what can be asked of it, and those questions."""
    folder.mkdir()
    queries: list[tuple[str, list[str]]] = []
    captions = []
    for ordinal in range(4):
        made = make("explore", ordinal, families=("receipt",), seed=5)
        [(name, data)] = made.files.items()
        (folder / f"{ordinal}-{name}").write_bytes(data)
        captions.append(json.dumps({"image": f"{ordinal}-{name}", "caption": f"It answers this: {made.query}"}))
        queries.append((made.query, ["image"]))
    (folder / "list.jsonl").write_text("\n".join(captions) + "\n")
    return folder / "list.jsonl", queries


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_on_a_models_tasks_is_killed_resumed_and_ends_in_an_adapter(tmp_path: Path) -> None:
    library, queries = receipts(tmp_path / "mine")
    queries.insert(2, ("Which of the things in this sheet is there most of?", ["xlsx"]))
    out = tmp_path / "run"
    # one asks of receipts much as of others, so near-duplicates are off
    with authors.author(queries=queries) as (server, script):
        changes = [
            *SMALL, "synth.duplicate=1.0", f"synth.images.library={library}",
            f"synth.images.index={tmp_path / 'index'}", *authors.endpoint("synth", server.url),
            *authors.endpoint("synth.images.embedding", server.url),
        ]  # fmt: skip
        sets = [word for change in changes for word in ("--set", change)]

        def slowly(handler: servers.Handler, body: dict[str, object]) -> None:
            if len(server.asked) > 4:  # the kill shall find calls under way
                time.sleep(1)
            script(handler, body)

        server.answer = slowly
        process = sport("run", TINY, "--out", out, *sets)
        deadline = time.monotonic() + 600
        while len(server.asked) < 6:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        server.answer = script
        before = len(server.asked)
        resumed = sport("run", "--resume", out)
        told = resumed.communicate(timeout=1500)
        assert resumed.returncode == 0, told
    asked = Counter(json.dumps(body, sort_keys=True) for body in server.asked)
    assert before >= 6
    assert sum(count - 1 for count in asked.values()) <= 4  # those that were under way
    with Store.view(out) as store:
        tasks = store.tasks("explore", 1)
        assert [task.origin for task in tasks] == ["llm"] * 4
        assert {file.media_type for task in tasks for file in task.files} >= {"image/png"}
        assert all(t.end for t in store.trajectories("explore"))
        assert store.spent("synth").calls >= 4
        assert store.pairs(1)
        adapter = store.adapter(1)
    assert adapter is not None and (out / adapter / "adapter_model.safetensors").exists()
    assert json.loads((out / "summary.json").read_text())["state"] == "done"
    page = (out / "report.html").read_text()
    assert tasks[0].query[:20] in page


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_a_user_can_mend_is_one_message_and_a_dry_run_asks_nobody(tmp_path: Path) -> None:
    with authors.author() as (server, _):
        sets = ["--set", "synth.kind=llm", *(w for c in authors.endpoint("synth", server.url) for w in ("--set", c))]
        dry = sport("run", TINY, "--dry-run", *sets)
        out, err = dry.communicate(timeout=200)
        assert (dry.returncode, err) == (0, "")
        assert "synth" in out
        assert server.seen == []
        empty = tmp_path / "empty"
        empty.mkdir()
        more = ["--set", 'synth.images.sources=["library"]', "--set", f"synth.images.library={empty}"]
        refused = sport("run", TINY, "--out", tmp_path / "run", *sets, *more)
        out, err = refused.communicate(timeout=200)
    assert refused.returncode == 2
    assert err.count("error: ") == 1
    assert f"{empty}: holds no picture" in err
    assert not (tmp_path / "run").exists()
