"""Benchmarks end to end with a scripted controller, the real store and the real sandbox; stopped and resumed."""

import asyncio
import json
import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from sport import exam, loop, tables
from sport.bench import gta, published
from sport.bench.moves import as_code
from sport.cli import app
from sport.config import Bench, Config, Eval, SandboxSection
from sport.dialect import Dialect
from sport.errors import ConfigError, FatalModelError, InputError, RunError
from sport.events import Silent
from sport.llm.scripted import ScriptedLLM
from sport.report import export
from sport.sandbox.forked import ForkedSandbox
from sport.stats import wilson
from sport.store import Store
from sport.tools.reference import ReferenceTools
from sport.types import Task

DATA = Path(__file__).parent / "data" / "gta"
ITEMS = gta.load(DATA)


def perfect(messages, n, sampling):
    """The reference's next turn, found by the task's words and files and the number of turns so far."""
    words = next(m.text for m in messages if m.role == "user")
    step = sum(m.role == "assistant" for m in messages)
    item = max((i for i in ITEMS if i.query in words and ", ".join(i.files) in words), key=lambda i: len(i.query))
    turn = item.turns[min(step, len(item.turns) - 1)]
    if step >= len(item.turns):
        return ["Code:\n```py\nfinal_answer('')\n```"]
    return [as_code(turn.move, turn.thought)]


def settings(bench: Bench) -> Config:
    return Config(name="exam", bench=bench, eval=Eval(in_flight=4), sandbox=SandboxSection(libraries=()))


def kit(store: Store, llm: ScriptedLLM) -> SimpleNamespace:
    recorded = [(t.move.name, t.move.arguments, t.result) for i in ITEMS for t in i.turns if t.result is not None]
    tools = ReferenceTools(gta.all_tools(ITEMS), recorded)
    config = store.config
    sandbox = ForkedSandbox(specs=tools.specs, call=tools.call, put=store.put, read=store.read, limits=config.sandbox)
    dialect = Dialect("react-1", tools.specs)
    return SimpleNamespace(
        config=config, store=store, progress=Silent(), llm=llm, dialect=dialect, tools=tools, sandbox=sandbox
    )


def examine(folder: Path, config: Config, script=perfect) -> dict:
    opened = Store.open(folder) if (folder / "run.db").exists() else Store.create(folder, config)
    with opened as store:
        asyncio.run(exam.run(kit(store, ScriptedLLM(script))))
    return json.loads((folder / "scores.json").read_text())


def part(folder: Path, number: int) -> Path:
    """A data set of the first few tasks."""
    folder.mkdir()
    data = json.loads((DATA / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({k: data[k] for k in list(data)[:number]}))
    return folder


def values(scores: dict, split: str) -> dict[str, float]:
    return {n: m["value"] for e in scores["metrics"] if e["split"] == split for n, m in e["metrics"].items()}


def test_a_perfect_agent_gets_everything_step_by_step_and_the_table_says_what_it_is_not(tmp_path: Path) -> None:
    data = part(tmp_path / "data", 8)
    bench = Bench(kind="gta", data=str(data), images=False)
    scores = examine(tmp_path / "run", settings(bench))
    steps, whole = values(scores, "gta-steps"), values(scores, "gta")
    assert (steps["InstAcc"], steps["ToolAcc"], steps["ArgAcc"], steps["SummAcc official, objective"]) == (1, 1, 1, 1)
    assert whole["AnsAcc official, objective"] == whole["AnsAcc SPORT, objective"] == whole["ToolAcc"] == 1
    assert "AnsAcc official" not in whole  # no weights for sentence similarity: absent, not 0
    assert (
        scores["caveat"].startswith("not comparable: 0 of ")
        and "not comparable" in (tmp_path / "run" / "row.md").read_text()
    )


def test_every_evaluated_trajectory_keeps_its_walls(tmp_path: Path) -> None:
    data = part(tmp_path / "data", 2)
    examine(tmp_path / "run", settings(Bench(kind="gta", data=str(data), images=False)))
    with Store.view(tmp_path / "run") as store:
        names = [trajectory.id for trajectory in store.trajectories("eval", 0)]
        kept = [store.walls(name) for name in names]
    assert names and all(len(walls) == 1 and walls[0]["seccomp"] == "active" for walls in kept)


def test_a_server_that_says_no_for_good_leaves_the_evaluation_stopped(tmp_path: Path) -> None:
    def refusing(messages, n, sampling):
        raise FatalModelError("401")

    data = part(tmp_path / "data", 2)
    config = settings(Bench(kind="gta", data=str(data), images=False))
    with Store.create(tmp_path / "run", config) as store, pytest.raises(FatalModelError):
        asyncio.run(exam.run(kit(store, ScriptedLLM(refusing))))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["state"] == "stopped"


@pytest.mark.slow
def test_the_whole_part_is_perfect_step_by_step(tmp_path: Path) -> None:
    scores = examine(tmp_path / "run", settings(Bench(kind="gta", data=str(DATA), images=False)))
    steps, whole = values(scores, "gta-steps"), values(scores, "gta")
    assert (steps["InstAcc"], steps["ToolAcc"], steps["ArgAcc"]) == (1, 1, 1)
    assert whole["AnsAcc mended, objective"] == 1
    assert whole["AnsAcc official, objective"] == 40 / 41  # one alias is "-2", which no rule with word boundaries finds


def dies(folder: Path, config: Config) -> None:
    """An evaluation that kills its own process, as the kernel would, when it is asked for the tenth time."""
    left = [9]

    def dying(messages, n, sampling):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return perfect(messages, n, sampling)

    examine(folder, config, dying)


def test_killed_in_the_middle_it_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    data = part(tmp_path / "data", 4)
    config = settings(Bench(kind="gta", data=str(data), images=False))
    undisturbed = examine(tmp_path / "a", config)
    process = multiprocessing.get_context("spawn").Process(target=dies, args=(tmp_path / "b", config))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    asked = []

    def counting(messages, n, sampling):
        asked.append(1)
        return perfect(messages, n, sampling)

    assert examine(tmp_path / "b", config, counting) == undisturbed
    with Store.view(tmp_path / "a") as a, Store.view(tmp_path / "b") as b:
        assert list(a.dump()) == list(b.dump())
        turns = sum(len(t.steps) for t in a.trajectories("eval"))
    assert len(asked) <= turns - 5  # what was there was not asked again


def made_up(folder: Path, split: str = "validation") -> Path:
    rows = [
        {
            "task_id": f"m{n}", "Question": f"What is {n} + 1?", "Level": n % 3 + 1,
            "Final answer": str(n + 1) if split == "validation" else "?", "file_name": "",
        }
        for n in range(6)
    ]  # fmt: skip
    place = folder / "2023" / split
    place.mkdir(parents=True)
    (place / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def adds(messages, n, sampling):
    number = int(messages[-1].text.split("What is ")[1].split(" ")[0])
    return [f"Code:\n```py\nfinal_answer({number + (1 if number < 4 else 2)})\n```"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_gaia_by_level_with_the_leaderboards_file_and_no_question_in_the_scores(tmp_path: Path, split: str) -> None:
    bench = Bench(kind="gaia", data=str(made_up(tmp_path / "data", split)), split=split, repeats=2)
    scores = examine(tmp_path / "run", settings(bench), adds)
    lines = [json.loads(line) for line in (tmp_path / "run" / "leaderboard.jsonl").read_text().splitlines()]
    assert [line["model_answer"] for line in lines] == ["1", "2", "3", "4", "6", "7"]
    assert set(lines[0]) == {"task_id", "model_answer", "reasoning_trace"}
    found = values(scores, f"gaia-{split}")
    assert found == {} if split == "test" else (found["AnsAcc"], found["AnsAcc level 1"]) == (4 / 6, 1.0)
    for name in ("scores.json", "row.md"):
        assert "What is" not in (tmp_path / "run" / name).read_text()


def test_bad_input_stops_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="70 of 70 images are missing"):
        exam.check(Bench(kind="gta", data=str(DATA)))
    with pytest.raises(ConfigError, match="--data"):
        exam.check(Bench(kind="gaia"))
    with pytest.raises(ConfigError, match=r"bench\.kind"):
        exam.check(Bench())


def test_no_benchmark_item_can_be_explored(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        for origin in ("gta", "gaia"):
            with pytest.raises(ValueError, match="never be explored"):
                task = Task(id="x", query="q", origin=origin)
                store.add_task(task, None, split="explore", iteration=1, ordinal=0)
        assert store.tasks("explore") == []


def test_gaia_leaves_its_run_only_as_figures(tmp_path: Path) -> None:
    bench = Bench(kind="gaia", data=str(made_up(tmp_path / "data")))
    examine(tmp_path / "run", settings(bench), adds)
    with Store.view(tmp_path / "run") as store, pytest.raises(RunError, match="may not be published"):
        export(store, tmp_path / "pages")
    assert not (tmp_path / "pages").exists()
    done = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "--out", str(tmp_path / "x.html")])
    assert isinstance(done.exception, RunError) and not (tmp_path / "x.html").exists()


def test_an_evaluation_cannot_be_learned_from(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config(bench=Bench(kind="gaia", data="x"))) as store:
        for name in ("synth", "explore", "pairs", "tune"):
            with pytest.raises(RunError, match="nothing of it may be learned from"):
                asyncio.run(loop.stage(SimpleNamespace(config=store.config, store=store, tune=object()), name))


@pytest.mark.parametrize("row", sorted((Path(__file__).parents[1] / "configs" / "rows").glob("*.toml")), ids=str)
def test_every_row_passes_a_dry_run(row: Path) -> None:
    line = ["eval", "gta", str(row), "--data", str(DATA), "--without-images", "--dry-run"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.exception
    assert "60 of 229 tasks" in done.output


def test_the_table_sets_published_beside_measured() -> None:
    steps = {"Steps": wilson(0, 2)}
    measured = [
        (0, "gta", {"AnsAcc SPORT, objective": wilson(94, 156), "Steps": wilson(1, 2)}),
        (0, "gta-steps", steps),
    ]
    shown = tables.beside(Bench(kind="gta", row="hf-qwen2-vl-7b"), measured)
    cells = [list(column.cells) for column in shown.columns]
    assert cells[0] == ["AnsAcc SPORT, objective", "Steps", "Steps (steps)"]
    assert cells[1][0].startswith("42.3 [") and cells[1][1] == "-"
    assert cells[3][0].startswith("+17.9 [+6.")  # 66/156 to 94/156


def test_every_published_row_is_a_share_of_its_denominator() -> None:
    for row in {*published.GTA, *published.GAIA}:
        for kind in ("gta", "gaia"):
            for metric in published.published(row, kind).values():
                assert 0 <= metric.low <= metric.value <= metric.high <= 1
    assert published.published("nobody", "gta") == {}
