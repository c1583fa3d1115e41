"""The run on disk: records come back as they went in, and a step is there when it is decided, not before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs import action, answered, broke, candidates, explore, make_run, make_task, record_step
from sport.config import Config
from sport.errors import RunError
from sport.store import Store
from sport.types import Candidate, End, Key, Metric, Pair, Step, Task, Verdict


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "run", Config(name="toy")) as made:
        yield made


@pytest.fixture
def begun(store: Store) -> tuple[Store, Task]:
    task = make_task(store, 1, "explore", 1)
    store.begin("t", task.id, "explore", 1, 0)
    return store, task


# ------------------------------------------------------------------------------------------------ round trips


def test_config_comes_back(tmp_path: Path) -> None:
    config = Config(name="x", seed=7, explore={"temperatures": (0.7, 1.2), "n": 2})
    Store.create(tmp_path / "run", config).close()
    with Store.view(tmp_path / "run") as seen:
        assert seen.config == config


def test_files_lie_once_under_their_hash(store: Store) -> None:
    first, second = store.put("a.png", b"bytes"), store.put("b.csv", b"bytes")
    assert (first.sha256, first.size, first.media_type) == (second.sha256, 5, "image/png")
    assert second.media_type == "text/csv"
    assert store.read(second) == b"bytes"
    assert [p.name for p in (store.folder / "files").rglob("*") if p.is_file()] == [first.sha256]


def test_walls_are_kept_with_each_trajectory_and_no_dump_holds_them(store: Store) -> None:
    task = make_task(store, 1, "explore", 1)
    store.begin("before", task.id, "explore", 1, 0)
    thick = {"seccomp": "active", "landlock": "active"}
    thin = {"seccomp": "active", "landlock": "unavailable (no ABI found)"}
    dump = list(store.dump())
    for layers in (thick, thick, thin):  # gone on with on another machine
        store.set_walls(layers)
        store.begin("t", task.id, "explore", 1, 1)
    assert store.walls("before") == []
    assert store.walls("t") == [thick, thin]
    [added] = [json.loads(line) for line in store.dump() if line not in dump]
    assert added == ["trajectory", "t", task.id, "explore", 1, 1, None]


def test_a_damaged_file_is_noticed(store: Store) -> None:
    file = store.put("a.txt", b"good")
    next((store.folder / "files").rglob(file.sha256)).write_bytes(b"evil")
    with pytest.raises(RunError, match="damaged"):
        store.read(file)


def test_tasks_come_in_order_without_those_dropped(store: Store) -> None:
    tasks = {n: make_task(store, n, "explore", 1) for n in (3, 1, 2)}
    store.add_check(tasks[2].id, False, "[blurred] unreadable", {"score": 0.1})
    store.add_check(tasks[1].id, True, "fine", {})
    assert store.tasks("explore", 1) == [tasks[1], tasks[3]]
    assert store.tasks("explore", kept=False) == [tasks[1], tasks[2], tasks[3]]
    assert [(c.task.id, c.kept, c.reason) for c in store.checks("explore", 1)] == [
        (tasks[1].id, True, "fine"),
        (tasks[2].id, False, "[blurred] unreadable"),
    ]


def test_keys_lie_apart_and_come_back(store: Store) -> None:
    task = Task(id="a", query="?")
    key = Key(task_id="a", answer="7", facts={"sugar": [1, 2.5, None]})
    store.add_task(task, key, split="dev", iteration=0, ordinal=0)
    store.add_task(task, key, split="dev", iteration=0, ordinal=0)  # the same once more: nothing happens
    store.add_task(Task(id="b", query="?"), None, split="dev", iteration=0, ordinal=1)
    assert store.key("a") == key
    assert store.key("b") is None
    with pytest.raises(sqlite3.IntegrityError):
        store.add_task(Task(id="a", query="another"), None, split="dev", iteration=0, ordinal=0)


def test_trajectory_is_the_tree_that_was_decided(begun: tuple[Store, Task]) -> None:
    store, task = begun
    steps = []
    for index in (0, 1):
        step = Step(index=index, candidates=candidates(task.files[0], 1, index), verdict=Verdict(best=0, tied=(2,)))
        record_step(store, "t", step)
        steps.append(step)
    end = End(state="answered", answer="7")
    store.ended("t", end)
    read = store.trajectory("t")
    assert (read.task, read.steps, read.end, read.iteration) == (task, tuple(steps), end, 1)
    assert read.steps[0].candidates[1].observation is None  # it never ran: candidate 0 ran for both


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.recursive(st.none() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=5))
def test_any_answer_survives(store: Store, value: object) -> None:
    task = Task(id=f"t{len(store.tasks('dev'))}", query="?")
    store.add_task(task, None, split="dev", iteration=0, ordinal=len(store.tasks("dev")))
    store.begin(task.id, task.id, "eval", 0, 0)
    only = Candidate(index=0, action=action("x", "y"), observation=answered(value))
    record_step(store, task.id, Step(index=0, candidates=(only,), continued_with=0))
    assert store.trajectory(task.id).steps[0].trunk == only


@pytest.mark.parametrize("value", ["\ud800", float("inf"), "a\x00b", "</script>", 10**30])
def test_awkward_answers_survive(begun: tuple[Store, Task], value: object) -> None:
    store, _ = begun
    only = Candidate(index=0, action=action("x", "y"), observation=answered(value))
    record_step(store, "t", Step(index=0, candidates=(only,), continued_with=0))
    assert store.trajectory("t").steps[0].trunk == only


def test_trajectories_in_order_and_one_by_one(store: Store) -> None:
    for iteration, number in ((2, 1), (1, 2), (1, 1)):
        explore(store, make_task(store, number, "explore", iteration), number, iteration)
    read = store.trajectories("explore")
    assert next(read).id == "explore.1.explore-1-1"
    assert [t.id for t in read] == ["explore.1.explore-1-2", "explore.2.explore-2-1"]
    assert [o.task_id for o in store.outlines("explore", 2)] == ["explore-2-1"]


def test_pairs_name_stored_candidates(begun: tuple[Store, Task]) -> None:
    store, task = begun
    record_step(store, "t", Step(index=0, candidates=candidates(task.files[0], 1, 0), verdict=Verdict(best=0)))
    pair = Pair(trajectory="t", step=0, chosen=0, rejected=2)
    store.add_pairs(1, [pair], {"tied": 1})
    store.add_pairs(1, [pair], {"tied": 3})  # a stage that is run again writes anew
    assert (store.pairs(1), store.dropped(1), store.pairs(2), store.dropped(2)) == ([pair], {"tied": 3}, [], {})
    with pytest.raises(sqlite3.IntegrityError):
        store.add_pairs(1, [Pair(trajectory="t", step=0, chosen=0, rejected=9)], {})
    assert store.pairs(1) == [pair]


def test_figures_come_back(begun: tuple[Store, Task]) -> None:
    store, _ = begun
    metric = Metric(value=0.5, low=0.2, high=0.8, n=10)
    store.add_metrics(1, "heldout", {"AnsAcc": metric})
    store.add_metrics(0, "heldout", {"ToolAcc": metric, "AnsAcc": metric})
    store.add_scores("t", {"AnsAcc": True, "ToolAcc": None})
    assert store.metrics() == [
        (0, "heldout", {"ToolAcc": metric, "AnsAcc": metric}),
        (1, "heldout", {"AnsAcc": metric}),
    ]
    assert store.scores("explore", 1) == {"t": {"AnsAcc": True, "ToolAcc": None}}
    assert store.scores("eval") == {}


def test_stage_time_adds_up_over_resumes(store: Store) -> None:
    store.add_wall(1, "tune", 2.0)
    assert store.stage_done(1, "tune") is None
    store.finish_stage(1, "tune", 3.0, {"loss": 0.5})
    assert store.stage_done(1, "tune") == {"loss": 0.5}
    assert store.stages() == [(1, "tune", 5.0, {"loss": 0.5})]


def test_adapter_of_an_iteration(store: Store) -> None:
    store.set_adapter(0, None)
    store.set_adapter(1, "adapters/1")
    assert [store.adapter(i) for i in (0, 1, 2)] == [None, "adapters/1", None]


def test_cache_is_there_at_once_and_after_closing(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        assert store.cache().get("k") is None
        store.cache().put("k", "v")
        assert store.cache().get("k") == "v"
    with Store.open(tmp_path / "run") as store:
        assert store.cache().get("k") == "v"


# --------------------------------------------------------------------------------------------- the three commits


def test_a_step_is_invisible_until_decided(begun: tuple[Store, Task]) -> None:
    store, task = begun
    with Store.view(store.folder) as reader:
        ran = candidates(task.files[0], 1, 0)
        step = Step(index=0, candidates=ran, verdict=Verdict(best=0))
        store.asked("t", 0)
        store.sampled("t", 0, [c.model_copy(update={"observation": None}) for c in ran])
        assert reader.trajectory("t").steps == ()
        for candidate in ran:
            if candidate.observation:
                store.observed("t", 0, candidate.index, candidate.observation)
        assert reader.trajectory("t").steps == ()
        store.decided("t", step)
        assert reader.trajectory("t").steps == (step,)


def test_partial_is_what_there_is_of_the_undecided_step(begun: tuple[Store, Task]) -> None:
    store, task = begun
    ran = candidates(task.files[0], 1, 0)
    assert store.partial("t") is None
    store.asked("t", 0)
    assert store.partial("t") is None
    store.sampled("t", 0, [c.model_copy(update={"observation": None}) for c in ran])
    store.observed("t", 0, 2, broke("x"))
    partial = store.partial("t")
    assert partial is not None
    assert [c.observation for c in partial.candidates] == [None, None, broke("x")]
    assert [c.action for c in partial.candidates] == [c.action for c in ran]


def test_what_costs_waits_for_the_disk_and_nothing_else_does(begun: tuple[Store, Task]) -> None:
    store, task = begun
    synced = []

    def noted() -> None:
        synced.append(store._database.one("PRAGMA synchronous") == (2,))

    store.asked("t", 0)
    noted()
    made = candidates(task.files[0], 1, 0)
    store.sampled("t", 0, [one.model_copy(update={"observation": None}) for one in made])
    noted()
    store.observed("t", 0, 0, made[0].observation)
    noted()
    step = Step(index=0, candidates=made, verdict=Verdict(best=0))
    store.decided("t", step)
    noted()
    assert synced == [False, True, False, True]
    with Store.view(store.folder) as seen:  # to a reader all of it is there
        assert seen.trajectory("t").steps == (step,)


def test_sampled_texts_are_never_replaced(begun: tuple[Store, Task]) -> None:
    store, task = begun
    ran = candidates(task.files[0], 1, 0)
    store.sampled("t", 0, ran[:1])
    with pytest.raises(sqlite3.IntegrityError):
        store.sampled("t", 0, (ran[2].model_copy(update={"index": 3}), ran[0]))
    partial = store.partial("t")
    assert partial is not None
    assert partial.candidates == ran[:1]  # nothing of the second commit stayed


def test_a_step_that_differs_from_its_samples_is_refused(begun: tuple[Store, Task]) -> None:
    store, task = begun
    ran = candidates(task.files[0], 1, 0)
    store.sampled("t", 0, ran)
    with pytest.raises(ValueError, match="not the candidates"):
        store.decided("t", Step(index=0, candidates=ran[:2], verdict=Verdict(best=0)))
    other = ran[0].model_copy(update={"observation": broke("y")})
    with pytest.raises(ValueError, match="observed otherwise"):
        store.decided("t", Step(index=0, candidates=(other, *ran[1:]), verdict=Verdict(best=0)))
    with pytest.raises(ValueError, match="not decided"):
        store.decided("t", Step(index=0, candidates=ran, verdict=Verdict(best=None)))


def test_asking_again_for_a_lost_answer_is_counted(begun: tuple[Store, Task]) -> None:
    store, _ = begun
    store.asked("t", 0)
    assert store.repeated_asks() == 0
    store.asked("t", 0)
    store.asked("t", 0)
    assert store.repeated_asks() == 2


def test_begin_twice_is_once(begun: tuple[Store, Task]) -> None:
    store, task = begun
    store.ended("t", End(state="failed"))
    store.begin("t", task.id, "explore", 1, 0)
    assert store.trajectory("t").end == End(state="failed")


# -------------------------------------------------------------------------------------------- words for people


def test_summary_holds_the_figures(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", tasks=6, iterations=1) as store:
        store.write_summary()
        data = json.loads((store.folder / "summary.json").read_text())
    assert (data["name"], data["seed"], data["state"]) == ("toy", 0, "done")
    assert data["iterations"][0]["split"] == "heldout"
    assert set(data["iterations"][0]["metrics"]["AnsAcc"]) == {"value", "low", "high", "n"}
    assert (data["pairs"], data["dropped"]) == ([5], [{"identical": 10, "tied": 5}])
    assert data["wall_s"] == {"eval": 6.4, "synth": 1.5, "explore": 12.5}


def test_log_appends_json_lines(store: Store) -> None:
    store.log("started", iteration=0)
    store.log("ended", error="\ud800")
    lines = [json.loads(line) for line in (store.folder / "log.jsonl").read_text().splitlines()]
    assert [(line["event"], line.get("iteration")) for line in lines] == [("started", 0), ("ended", None)]


def test_equal_runs_have_equal_dumps(tmp_path: Path) -> None:
    dumps = []
    for name in ("a", "b"):
        with make_run(tmp_path / name) as store:
            store.add_wall(1, "explore", 5.0 if name == "a" else 9.0)
            store.asked("explore.1.explore-1-1", 0)
            dumps.append(list(store.dump()))
    assert dumps[0] == dumps[1]
    text = "\n".join(dumps[0])
    assert str(tmp_path) not in text
    assert "wall_s" not in text
    kinds = {json.loads(line)[0] for line in dumps[0]}
    assert kinds >= {"task", "key", "check", "trajectory", "candidate", "observation", "decision", "pair", "score"}


def test_a_dump_shows_a_different_word(tmp_path: Path) -> None:
    dumps = []
    for name in ("a", "b"):
        with make_run(tmp_path / name) as store:
            if name == "b":
                store.add_scores("eval.0.heldout-0-1", {"AnsAcc": None})
            dumps.append(list(store.dump()))
    assert sum(a != b for a, b in zip(*dumps, strict=True)) == 1
