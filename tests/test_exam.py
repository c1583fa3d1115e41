"""Benchmarks end to end with a scripted controller, the real store and the real sandbox; stopped and resumed."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer
from typer.testing import CliRunner

from examkit import DATA, ITEMS, adds, examine, kit, made_up, part, perfect, settings
from sport import exam, loop, tables, wire
from sport.bench import gta, published
from sport.bench.moves import as_call, read_code
from sport.cli import app
from sport.config import Agent, Bench, Config, Controller, Eval, SandboxSection, load
from sport.errors import CheckpointError, ConfigError, FatalModelError, InputError, RunError
from sport.events import Silent
from sport.llm.scripted import ScriptedLLM
from sport.llm.similar import Sentences
from sport.report import build, export
from sport.stats import wilson
from sport.store import Store
from sport.types import Task


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


def test_an_agent_that_writes_json_tool_calls_is_measured_the_same_way(tmp_path: Path) -> None:
    data = part(tmp_path / "data", 6)

    def calls(messages, n, sampling):
        assert "Action Input" in messages[0].text and "Code:" not in "".join(m.text for m in messages)
        return [as_call(read_code(text, True, gta.all_tools(ITEMS)), "so") for text in perfect(messages, n, sampling)]

    config = settings(Bench(kind="gta", data=str(data), images=False))
    config = config.model_copy(update={"controller": Controller(dialect="calls-1")})
    scores = examine(tmp_path / "run", config, calls)
    steps, whole = values(scores, "gta-steps"), values(scores, "gta")
    assert (steps["InstAcc"], steps["ToolAcc"], steps["ArgAcc"], steps["SummAcc official, objective"]) == (1, 1, 1, 1)
    assert whole["AnsAcc official, objective"] == whole["ToolAcc"] == whole["CodeExec"] == 1


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


def asks(folder: Path) -> int:
    """How often the controller was asked, lost calls included."""
    with sqlite3.connect(folder / "run.db") as database:
        (count,) = database.execute("SELECT SUM(times) FROM ask").fetchone()
    database.close()
    return count


def dump(folder: Path) -> list[str]:
    with Store.view(folder) as store:
        return list(store.dump())


@pytest.mark.parametrize(("kind", "deaths"), [("gta", (5, 30)), ("gaia", (4, 15))])
def test_killed_in_the_middle_it_goes_on_and_comes_to_the_same(tmp_path: Path, kind: str, deaths: tuple) -> None:
    data = part(tmp_path / "data", 3) if kind == "gta" else made_up(tmp_path / "data")
    script = [sys.executable, str(Path(__file__).parent / "examkit.py"), kind, str(data)]
    places = os.pathsep.join(str(Path(__file__).parents[1] / name) for name in ("src", "tests"))
    environment = {**os.environ, "PYTHONPATH": places}
    codes = []
    for folder, commits in (("whole", 0), *(("killed", death) for death in deaths), ("killed", 0)):
        line = [*script, str(tmp_path / folder), str(commits)]
        codes.append(subprocess.run(line, env=environment, timeout=110, check=False).returncode)
    assert codes == [0, -signal.SIGKILL, -signal.SIGKILL, 0]
    assert dump(tmp_path / "killed") == dump(tmp_path / "whole")
    figures = [json.loads((tmp_path / name / "scores.json").read_text()) for name in ("killed", "whole")]
    assert figures[0] == figures[1]
    assert asks(tmp_path / "killed") <= asks(tmp_path / "whole") + 4 * len(deaths)  # four in flight at each death


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


def test_the_embedded_controller_comes_to_the_same_figures_twice(tmp_path: Path) -> None:
    config = Config(
        name="nano", agent=Agent(max_steps=2, max_new_tokens=32), eval=Eval(in_flight=3),
        bench=Bench(kind="gta", data=str(part(tmp_path / "data", 3)), images=False),
        sandbox=SandboxSection(libraries=()),
    )  # fmt: skip
    for name in ("first", "second"):
        with Store.create(tmp_path / name, config) as store:
            asyncio.run(exam.run(wire.build(store, Silent())))
    assert dump(tmp_path / "first") == dump(tmp_path / "second")
    first, second = (json.loads((tmp_path / name / "scores.json").read_text()) for name in ("first", "second"))
    assert first == second and first["caveat"].startswith("not comparable")


def test_gaias_answers_restated_are_reported_apart(tmp_path: Path) -> None:
    asked = []

    def says(messages, n, sampling):
        words = messages[-1].text
        if "short form" in words:
            asked.append(words)
            return [f"FINAL ANSWER: {words.split('It is ')[1].split(' ')[0]}"]
        return [f"Code:\n```py\nfinal_answer('It is {int(words.split('What is ')[1].split(' ')[0]) + 1} or so')\n```"]

    bench = Bench(kind="gaia", data=str(made_up(tmp_path / "data")), normalise=True)
    scores = examine(tmp_path / "run", settings(bench), says)
    found = values(scores, "gaia-validation")
    assert (found["AnsAcc"], found["AnsAcc normalised"]) == (0.0, 1.0) and len(asked) == 6
    examine(tmp_path / "run", settings(bench), says)
    assert len(asked) == 6
    lines = (tmp_path / "run" / "leaderboard.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["model_answer"] == "It is 1 or so"


def test_with_sentence_similarity_the_official_figures_are_there(tmp_path: Path) -> None:
    bench = Bench(kind="gta", data=str(part(tmp_path / "data", 60)), images=False, step_by_step=False)
    with Store.create(tmp_path / "run", settings(bench)) as store:
        made = kit(store, ScriptedLLM(perfect))
        made = replace(made, similarity=lambda a, b: float(a == b))
        asyncio.run(exam.run(made))
        found = store.metrics()[0][2]
    subjective = sum(isinstance(item.reference, list) for item in ITEMS)
    objective = sum(isinstance(item.reference, dict) for item in ITEMS)
    assert subjective and found["AnsAcc official"].n == objective + subjective
    assert found["AnsAcc official, with images"].n == 60


def test_sentences_are_embedded_once_by_a_directory_that_was_saved(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    words = Tokenizer.from_file(str(Path(wire.__file__).parent / "nano" / "tokenizer.json"))
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=8)], device="cpu").save(str(tmp_path / "m"))
    similar = Sentences(tmp_path / "m")
    assert similar("a red cat", "a red cat") == pytest.approx(1.0, abs=1e-6)
    assert similar("a red cat", "the sum is 12") == pytest.approx(similar("the sum is 12", "a red cat"))
    assert -1 <= similar("a red cat", "the sum is 12") < 0.99
    with pytest.raises(CheckpointError, match=r"modules\.json.*all-mpnet-base-v2"):
        Sentences(tmp_path / "gone")


def test_the_report_shows_every_task_with_its_scores_and_calls_wrong_only_what_was_scored(tmp_path: Path) -> None:
    data = part(tmp_path / "data", 60)
    keep = [*[i for i, item in enumerate(ITEMS) if isinstance(item.reference, list)][:2], 0, 1]
    whole = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({str(k): whole[str(k)] for k in keep}))
    bench = Bench(kind="gta", data=str(data), images=False, step_by_step=False)
    examine(tmp_path / "run", settings(bench), lambda *_: ["Code:\n```py\nfinal_answer('no idea')\n```"])
    with Store.view(tmp_path / "run") as store:
        page = build(store, tmp_path / "page.html").read_text()
        assert [found.get("right") for found in store.scores("eval").values()] == [None, None, 0.0, 0.0]
    assert page.count('<span class="badge bad">wrong</span>') == 2 and "SPORT <b>0</b>" in page


def test_candidates_and_a_critic_are_used_when_asked_for_and_then_named(tmp_path: Path) -> None:
    bench = Bench(kind="gaia", data=str(made_up(tmp_path / "data")), candidates=3, repeats=2)

    def says(messages, n, sampling):
        good, *_ = adds(messages, 1, sampling)
        return [good, "no code", good] if n == 3 else [good]

    scores = examine(tmp_path / "run", settings(bench), says)
    assert (scores["candidates"], scores["verification"]) == (3, "blind")
    assert scores["over_repeats"]["gaia-validation AnsAcc"] == {"mean": pytest.approx(4 / 6), "sd": 0.0}
    row = (tmp_path / "run" / "row.md").read_text()
    assert "3 candidates a step, judged by the critic 'blind'" in row and "66.7, sd 0.0 (n=6)" in row
    with Store.view(tmp_path / "run") as store:
        first = next(iter(store.trajectories("eval", 0))).steps[0]
        assert len(first.candidates) == 3 and first.verdict is not None
    shown = tables.beside(bench, [])
    assert "3 candidates a step, judged" in str(shown.title)


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


def test_there_is_a_row_for_everything_published_and_nothing_else() -> None:
    rows = {path.stem: load(path) for path in (Path(__file__).parents[1] / "configs" / "rows").glob("*.toml")}
    assert rows.keys() - {"nano"} == {*published.GTA, *published.GAIA}
    assert all(config.bench.row == name for name, config in rows.items() if name != "nano")
    assert {name for name, config in rows.items() if config.agent.planning} == {"warmup-gpt-4-turbo"}
    assert {name for name, c in rows.items() if c.controller.dialect == "calls-1"} == {"lego-gpt-4", "lego-gpt-4o"}


def test_a_dry_run_says_what_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    row = Path(__file__).parents[1] / "configs" / "rows" / "lego-gpt-4.toml"
    done = CliRunner().invoke(app, ["eval", "gaia", str(row), "--data", str(made_up(tmp_path)), "--dry-run"])
    assert done.exit_code == 0, done.exception
    for words in ("6 questions", "OPENAI_API_KEY is not set", "GoogleSearch works with a search provider"):
        assert words in done.output


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
