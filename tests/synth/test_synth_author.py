"""Tasks by a language model over real HTTP: what is kept, what is dropped and why, and what is paid for once only."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import authors
import servers
from sport import wire
from sport.config import Config, load
from sport.errors import ConfigError, FatalModelError
from sport.events import Silent
from sport.store import Store
from sport.synth.stage import synthesise

BASE = ("synth.kind=llm", "synth.queries_per_call=4", "synth.seeds.examples=3")


def settings(url: str, *more: str) -> Config:
    elsewhere = ["controller.kind=endpoint", *authors.endpoint("controller", url)]  # no weights to load
    return load(None, [*BASE, *elsewhere, *authors.endpoint("synth", url), *more])


async def written(store: Store, wanted: int = 4, iteration: int = 1, **more: Any) -> dict[str, int]:
    """A stage of synthesis; queries without files need neither tools nor a sandbox."""
    kit = wire.build(store, Silent())
    return await synthesise(
        store, kit.writer, kit.checker, iteration=iteration, wanted=wanted, progress=Silent(), **more
    )


async def test_queries_are_written_checked_and_kept_with_reasons(tmp_path: Path) -> None:
    with authors.author() as (server, _), Store.create(tmp_path / "run", settings(server.url)) as store:
        assert await written(store) == {"written": 4, "kept": 4}
        tasks = store.tasks("explore", 1)
        assert len({task.query for task in tasks}) == 4
        assert {task.origin for task in tasks} == {"llm"}
        assert all(store.key(task.id) is None for task in tasks)
        reasons = [checked.reason for checked in store.checks("explore", 1)]
        notes = [json.loads(line)[4] for line in store.dump() if json.loads(line)[0] == "check"]
    assert reasons == ['fits: "query and files belong together"'] * 4
    assert all(note["prompts"]["queries"].startswith("synth-1-queries-1-") for note in notes)
    assert all(note["check"].startswith("synth-1-check-1-") for note in notes)
    prompt = authors.words(server.asked[0]["messages"][0])
    assert "locate(" in prompt and "inspect_file_as_text(" in prompt
    assert prompt.count("[files: ") == 3
    assert (server.asked[0]["temperature"], server.asked[-1]["temperature"]) == (1.0, 0)


async def test_examples_differ_from_call_to_call_and_not_from_run_to_run(tmp_path: Path) -> None:
    asked = []
    for name in ("one", "other"):
        with authors.author() as (server, _), Store.create(tmp_path / name, settings(server.url)) as store:
            await written(store, 8)
        asked.append([b["messages"][0]["content"] for b in server.asked if "You write" in str(b["messages"][0])])
    assert asked[0] == asked[1]
    assert len(set(asked[0])) == 2


async def test_near_duplicates_and_what_is_close_to_a_benchmark_are_dropped_and_counted(tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    secret = "How many spoons lie beside the blue plate on the left side of the wooden table?"
    mine.write_text(json.dumps({"Question": secret, "Final answer": "3"}) + "\n")
    first = "Which of the two tents behind the mill is the larger one and by how many metres?"
    queries = [
        (first, ()),
        (first.replace("larger one and", "larger one, and"), ()),
        ("Tell me: how many spoons lie beside the blue plate on the left side of the table?", ()),
    ]
    with (
        authors.author(queries=queries) as (server, _),
        Store.create(tmp_path / "run", settings(server.url, f'synth.exclude=["{mine}"]')) as store,
    ):
        assert await written(store, 2) == {"written": 4, "kept": 2, "near-duplicate": 1, "benchmark": 1}
        lost = [checked for checked in store.checks("explore", 1) if not checked.kept]
    assert [checked.reason for checked in lost] == [
        f'near-duplicate: of "{first}"', f'benchmark: close to item 0 of "{mine}"',
    ]  # fmt: skip
    assert sum("Somebody wants" in str(body) for body in server.asked) == 2


async def test_duplicates_of_earlier_iterations_are_dropped_too(tmp_path: Path) -> None:
    with authors.author() as (server, script), Store.create(tmp_path / "run", settings(server.url)) as store:
        await written(store, 4)
        script.made = 2
        assert await written(store, 4, iteration=2) == {"written": 6, "kept": 4, "near-duplicate": 2}


async def test_a_query_is_revised_looked_at_again_and_kept_or_dropped(tmp_path: Path) -> None:
    good, bad = "Which lamp on the terrace is the newest?", "And which of them is it then?"
    revised = "Which of the lamps on the terrace was bought last?"
    drop = {"verdict": "drop", "criterion": "definite", "reason": 'nobody can tell what "it" is'}
    again = {"verdict": "revise", "criterion": "soundness", "reason": "unclear", "query": revised}
    never = {"verdict": "revise", "criterion": "soundness", "reason": "unclear", "query": "Still not clear at all?"}
    with authors.author(
        queries=[(good, ()), (bad, ()), ("What is that over there by the quay?", ())],
        verdicts={good: [again], bad: [drop], "over there": [never], "Still not": [never]},
    ) as (server, _), Store.create(tmp_path / "run", settings(server.url)) as store:  # fmt: skip
        assert await written(store, 2) == {"written": 4, "kept": 2, "check": 2}
        checks = store.checks("explore", 1)
        notes = [json.loads(line)[4] for line in store.dump() if json.loads(line)[0] == "check"]
    assert [checked.kept for checked in checks] == [True, False, False, True]
    assert checks[0].task.query == revised
    assert notes[0]["first_query"] == good
    assert [one["verdict"] for one in notes[0]["rounds"]] == ["revise", "keep"]
    assert checks[0].reason == 'fits, revised: "query and files belong together"'
    assert checks[1].reason == "check: definite, \"nobody can tell what 'it' is\""
    assert checks[2].reason == 'check: needs another revision, "unclear"'


async def test_a_revision_into_a_benchmarks_item_is_dropped(tmp_path: Path) -> None:
    item = "Which of the seven lamps on the terrace was bought last?"
    (tmp_path / "bench.txt").write_text(item + "\n")
    again = {"verdict": "revise", "reason": "unclear", "query": item}
    with authors.author(queries=[("Which lamp then?", ())], verdicts={"lamp then": again}) as (server, _):
        config = settings(server.url, f'synth.exclude=["{tmp_path / "bench.txt"}"]')
        with Store.create(tmp_path / "run", config) as store:
            assert (await written(store, 1))["benchmark"] == 1


async def test_the_check_can_be_switched_off(tmp_path: Path) -> None:
    with authors.author() as (server, _):
        config = settings(server.url, "synth.check.enabled=false")
        with Store.create(tmp_path / "run", config) as store:
            await written(store)
            assert {checked.reason for checked in store.checks("explore", 1)} == {"not checked"}
    assert len(server.asked) == 1


async def test_a_judge_of_its_own_is_charged_by_its_own_role(tmp_path: Path) -> None:
    with authors.author() as (writer, _), authors.author() as (judge, _):
        config = settings(writer.url, *authors.endpoint("synth.check", judge.url))
        with Store.create(tmp_path / "run", config) as store:
            await written(store)
            assert (store.spent("synth").calls, store.spent("synth.check").calls) == (1, 4)
    assert len(judge.asked) == 4


# ---------------------------------------------------------------------------------- what comes back broken


async def test_a_reply_that_is_no_json_is_mended_once_by_asking(tmp_path: Path) -> None:
    with (
        authors.author(plays=["Sure! Here are four tasks."]) as (server, _),
        Store.create(tmp_path / "run", settings(server.url)) as store,
    ):
        assert (await written(store))["kept"] == 4
    turns = server.asked[1]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert "there is no JSON object in it" in turns[2]["content"]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ('{"tasks": []}', "tasks: Tuple should have at least 1 item|tasks: List should have at least 1 item"),
        ('{"tasks": [{"query": "What is in the file?", "files": ["exe"]}]}', r"tasks\.0\.files\.0: Input should be"),
        ('{"tasks": [{"query": "What', "not JSON: Unterminated string"),
    ],
)
async def test_a_model_whose_replies_are_no_use_ends_the_run(tmp_path: Path, broken: str, problem: str) -> None:
    with (
        authors.author(plays=[broken] * 6) as (server, _),
        Store.create(tmp_path / "run", settings(server.url)) as store,
    ):
        with pytest.raises(FatalModelError, match=f"({problem}).*3 calls in a row"):
            await written(store)
        assert len(server.asked) == 6
        assert (await written(store))["kept"] == 4  # its words are kept, and do not count twice


async def test_a_judge_that_talks_nonsense_drops_the_task(tmp_path: Path) -> None:
    with (
        authors.author(verdicts={"": "perhaps"}) as (server, _),
        Store.create(tmp_path / "run", settings(server.url)) as store,
    ):
        with pytest.raises(ConfigError, match="the last 8 drafts were all dropped, 8 of them by 'check'"):
            await written(store, give_up=8)
        [reason, *_] = [checked.reason for checked in store.checks("explore", 1)]
    assert reason == 'check: failed, "check: there is no JSON object in it, also after it was asked to mend that"'


# ------------------------------------------------------------------------------------------- going on


async def test_a_run_that_goes_on_pays_for_nothing_twice(tmp_path: Path) -> None:
    def whole(url: str) -> list[str]:
        config = settings(url, "synth.tasks=6")
        with Store.create(tmp_path / "whole", config) as store:
            asyncio.run(written(store, 6))
            return [line for line in store.dump() if json.loads(line)[0] in ("task", "check")]

    with authors.author() as (server, _):
        expected = await asyncio.to_thread(whole, server.url)
        calls = len(server.asked)
    stop = servers.status(401, "wrong key")
    for stopped in (1, 2, 4, 7):
        with authors.author() as (server, script):
            plain, left = script.__call__, [stopped]

            def answer(handler: servers.Handler, body: dict[str, Any], plain: Any = plain, left: Any = left) -> None:
                left[0] -= 1
                (stop if left[0] == -1 else plain)(handler, body)

            server.answer = answer
            config = settings(server.url, "synth.tasks=6")
            with Store.create(tmp_path / f"run-{stopped}", config) as store, pytest.raises(FatalModelError):
                await written(store, 6)
            with Store.open(tmp_path / f"run-{stopped}") as store:
                assert (await written(store, 6))["kept"] == 6
                found = [line for line in store.dump() if json.loads(line)[0] in ("task", "check")]
        assert found == expected
        refused = 1
        assert len(server.asked) == calls + refused  # those under way beside it ended, and were kept


async def test_an_unreachable_server_is_one_fatal_message(tmp_path: Path) -> None:
    with servers.serving(servers.echo) as gone:
        pass
    with Store.create(tmp_path / "run", settings(gone.url)) as store, pytest.raises(FatalModelError) as caught:
        await written(store)
    assert "synth.endpoint" in str(caught.value) and "nobody answers" in str(caught.value)


@pytest.mark.parametrize(("number", "words"), [(401, "no key was sent: synth.endpoint.key_env"), (404, "model 'tiny'")])
async def test_a_wrong_key_and_an_unknown_model_are_one_fatal_message(tmp_path: Path, number: int, words: str) -> None:
    with (
        servers.serving(servers.status(number)) as server,
        Store.create(tmp_path / "run", settings(server.url)) as store,
        pytest.raises(FatalModelError, match=words),
    ):
        await written(store)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("synth.seeds.path=nowhere.jsonl", "nowhere.jsonl: cannot be read"),
        ('synth.exclude=["nowhere.json"]', "nowhere.json: cannot be read"),
        ("synth.prompts=nowhere", "synth.prompts: nowhere: no such folder"),
        ("synth.endpoint.model=", "synth.endpoint.model: name the model"),
        ('tools.names=["ocr"]', "documents are read by inspect_file_as_text"),
        ('synth.images.sources=["library"]', "expected a folder of pictures"),
        ('synth.images.sources=["endpoint"]', "synth.images.endpoint.base_urls: name at least one"),
        ('synth.images.sources=["diffusers"]', "synth.images.model: name the directory"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said_before_anything_is_made(change: str, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        wire.check(settings("http://127.0.0.1:1/v1", change))
    assert type(caught.value).__name__ in ("ConfigError", "InputError")
