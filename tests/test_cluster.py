"""A run on a Ray cluster comes to what it comes to in one process, also when a worker is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from sport import wire
from sport.cluster import Cluster, Work
from sport.config import Config, load
from sport.events import Silent
from sport.explore import explore
from sport.kit import Kit
from sport.outpost import Outpost, files_of
from sport.store import Store
from sport.types import CallRecord, File, Observation, Task, ToolCall, ToolResult

ROOT = Path(__file__).resolve().parent.parent
MORE = ("synth.tasks=8", "explore.in_flight=2", "cluster.workers=2", "cluster.cpus=0.5", "tools.workers=1")


def start(*words: str | Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "RAY_DISABLE_IMPORT_WARNING": "1"}
    line = [sys.executable, "-m", "sport.cli", "run", *map(str, words)]
    return subprocess.Popen(line, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def tiny(folder: Path, *words: str, more: tuple[str, ...] = MORE) -> subprocess.Popen[str]:
    sets = [word for change in more for word in ("--set", change)]
    return start("configs/tiny.toml", "--out", folder, *sets, *words)


def dump(folder: Path) -> list[str]:
    with Store.view(folder) as store:
        return list(store.dump())


def events(folder: Path, name: str) -> list[dict]:
    path = folder / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [found for line in lines if (found := json.loads(line))["event"] == name]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_is_killed_and_the_run_is_the_one_of_a_single_process(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    process = tiny(alone)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    process = tiny(spread, "--ray", "local")
    deadline = time.monotonic() + 600
    while not (done := decided(spread)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(events(spread, "worker")[0]["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert done < 8 * 4
    assert len(events(spread, "worker died")) == 1
    assert len(events(spread, "worker")) >= 2
    assert dump(spread) == dump(alone)
    with Store.view(spread) as store:
        assert store.repeated_asks() <= 2  # what the killed one had under way
        assert all(store.walls(tree.id) for tree in store.trajectories("explore"))


def decided(folder: Path) -> int:
    if not (folder / "run.db").exists():
        return 0
    with Store.view(folder) as store:
        return sum(len(tree.steps) for tree in store.trajectories("explore"))


def test_no_cluster_is_one_message(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    process = tiny(tmp_path / "run", "--ray", "127.0.0.1:1")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "no cluster answers there" in err
    assert "Traceback" not in err


class OnePlace:
    """A cluster of one outpost in this process, which "dies" with a trajectory after so many events."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.cluster = Cluster(kit, None)

    async def explore(self, tasks: Sequence[Task], dies_after: Sequence[int]) -> None:
        work, deaths = Work(self.kit.store, tasks, 1), list(dies_after)
        outpost = Outpost(self.kit.config.model_dump_json())
        _, walls = await outpost.start()
        await outpost.use(None, "00")
        try:
            while (item := work.next(walls)) is not None:
                left, died = deaths.pop(0) if deaths else -1, False
                events = outpost.work(item)
                async for event in events:
                    if died := left == 0:
                        break
                    self.cluster.commit(event, 1)
                    left -= 1
                await events.aclose()
                if died:
                    await outpost.stop()
                    outpost = Outpost(self.kit.config.model_dump_json())
                    await outpost.start()
                    work.again(item)
                else:
                    work.done()
        finally:
            await outpost.stop()
        assert work.left == 0


@pytest.mark.timeout(300)
async def test_what_an_outpost_tells_is_what_one_process_commits(tmp_path: Path) -> None:
    config = load(ROOT / "configs" / "tiny.toml", ("explore.in_flight=2",))
    dumps = []
    for name, way in (("alone", None), ("spread", (1, 6))):
        with Store.create(tmp_path / name, config) as store:
            for number in range(2):
                file = store.put("file_1.csv", f"name,price\nbroom,{number + 3}\n".encode())
                task = Task(id=f"t{number}", query="What is the price of the broom?", files=(file,))
                store.add_task(task, None, split="explore", iteration=1, ordinal=number)
            kit, tasks = wire.build(store, Silent()), store.tasks("explore", 1)
            if way is None:
                await kit.tools.start()
                await kit.sandbox.start()
                await explore(
                    tasks, kit.llm, kit.dialect, kit.sandbox, store, kit.critic, config, iteration=1, progress=Silent()
                )
                await kit.sandbox.stop()
                await kit.tools.stop()
            else:
                await OnePlace(kit).explore(tasks, way)
                assert 0 < store.repeated_asks() <= len(way)
            dumps.append(list(store.dump()))
            made = [f for t in store.trajectories("explore") for s in t.steps for f in files_of(s)]
            assert made
            assert all(store.read(file) for file in made)
    assert dumps[0] == dumps[1]


def test_every_file_of_an_observation_is_found() -> None:
    made = File(name="plot.png", sha256="a" * 64, size=3, media_type="image/png")
    argument = {"image": {"file": "b" * 64, "name": "image_1.png"}, "what": "shapes"}
    result = ToolResult(value=None, files=(made.model_copy(update={"sha256": "c" * 64}),))
    calls = (CallRecord(call=ToolCall(name="crop", arguments=argument), result=result),)
    found = files_of(Observation(outcome="ok", files=(made,), calls=calls))
    assert {file.sha256[0]: file.name for file in found} == {"a": "plot.png", "b": "image_1.png", "c": "plot.png"}


def test_workers_ask_for_what_the_configuration_says() -> None:
    assert (Config().cluster.workers, Config().cluster.gpus) == (None, 0.0)
