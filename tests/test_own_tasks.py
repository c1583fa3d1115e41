"""Tasks of one's own: read, scored by each rule, evaluated and explored with the real parts."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sport import exam, loop, own
from sport.bench import tasks
from sport.bench.judge import Asking
from sport.cli import app
from sport.config import Bench, Config, CriticSection, Eval, Explore, SandboxSection, Synth
from sport.dialect import Dialect
from sport.errors import ConfigError, InputError, TransientModelError
from sport.events import Silent
from sport.kit import Kit
from sport.llm.scripted import ScriptedLLM
from sport.sandbox.forked import ForkedSandbox
from sport.store import Store
from sport.synth.own import KeepAll, OwnWriter
from sport.tools.reference import ReferenceTools
from sport.types import Key
from sport.verify.rules import RuleCritic
from sport.wire import check

LINES = [
    {"query": "Whose dog is it?", "answer": "Anna"},
    {"query": "How long is it?", "answer": 12.5, "scorer": "numeric", "tolerance": 0.1},
    {"query": "Which towns?", "whitelist": [["Rome", "Roma"], ["Paris"]], "blacklist": [["Oslo"]]},
    {"query": "Why does it float?", "answer": "It is lighter than water.", "scorer": "judge"},
    {"query": "What does the note say?", "files": ["note.txt"], "answer": "secret-4711", "tools": ["nothing"]},
]
SAID = {"dog": "anna.", "long": "12.45", "towns": "Roma and Paris", "float": "because light", "note": "secret-4711"}
JUDGE = {"base_urls": ("http://127.0.0.1:9/v1",), "model": "m"}


def written(folder: Path, lines: list[dict], name: str = "tasks.jsonl") -> Path:
    (folder / "note.txt").write_text("secret-4711\n")
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def answers(messages, n, sampling):
    words = messages[-1].text
    return [f"Code:\n```py\nfinal_answer({text!r})\n```" for word, text in SAID.items() if word in words] * n


def judges(messages, n, sampling):
    return ["It means the same.\nVerdict: right"]


def kit(store: Store, llm: ScriptedLLM, judge: ScriptedLLM | None = None) -> Kit:
    config, tools = store.config, ReferenceTools((), ())
    sandbox = ForkedSandbox(specs=(), call=tools.call, put=store.put, read=store.read, limits=config.sandbox)
    path = config.synth.tasks_file
    unused: Any = None
    return Kit(
        config=config, store=store, progress=Silent(), llm=llm, dialect=Dialect("react-1", ()), tools=tools,
        sandbox=sandbox, judge=judge, critic=RuleCritic(), tune=None, checker=KeepAll(),
        writer=OwnWriter(Path(path), config.synth.tasks) if path else unused,
    )  # fmt: skip


def settings(**sections) -> Config:
    return Config(name="own", eval=Eval(in_flight=2), sandbox=SandboxSection(libraries=()), **sections)


# ------------------------------------------------------------------------------------------- the file


def test_a_file_of_tasks_is_read_with_its_files_and_rules(tmp_path: Path) -> None:
    found = own.load(written(tmp_path, LINES))
    assert [one.line.rule for one in found] == ["exact", "numeric", "whitelist", "judge", "exact"]
    assert [one.id for one in found] == ["t1", "t2", "t3", "t4", "t5"]
    assert found[4].files == {"note.txt": b"secret-4711\n"} and found[1].line.answer == "12.5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no task"),
        ("{", "line 1: not JSON"),
        ("[]", "line 1: the task"),
        ('{"answer": "a"}', "line 1: query: Field required"),
        ('{"query": "q", "anwser": "a"}', "line 1: anwser: Extra inputs are not permitted; a task may have query, id"),
        ('{"query": "q"}\n{"query": "q", "scorer": "rouge"}', "line 2: scorer"),
        ('{"query": "q", "scorer": "whitelist"}', "needs a whitelist"),
        ('{"query": "q", "scorer": "numeric"}', "scorer numeric needs an answer"),
        ('{"query": "q", "files": ["gone.png"]}', "gone.png: cannot be read (No such file or directory)"),
        ('{"query": "q", "files": ["note.txt", "./note.txt"]}', "two files are named note.txt"),
        ('{"query": "q", "id": "a"}\n{"query": "r", "id": "a"}', "id a stands there more than once"),
    ],
)
def test_a_bad_line_is_one_message(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "note.txt").write_text("x")
    (tmp_path / "tasks.jsonl").write_text(text)
    with pytest.raises(InputError) as caught:
        own.load(tmp_path / "tasks.jsonl")
    assert words in str(caught.value) and "tasks.jsonl" in str(caught.value)


# ------------------------------------------------------------------------------------------- the rules


def rule(name: str, answer: str = "", **facts) -> Key:
    return Key(task_id="t", answer=answer, facts={"scorer": name, "tolerance": 0.0, **facts})


@pytest.mark.parametrize(
    ("key", "answer", "right"),
    [
        (rule("exact", "12"), "12.", True),
        (rule("exact", "12"), "12.0", False),  # letter for letter: numeric is the rule for numbers
        (rule("numeric", "12"), "12.0", True),
        (rule("numeric", "1,250"), "$1250", True),
        (rule("numeric", "12"), "12 g", False),
        (rule("numeric", "12", tolerance=0.5), "12.5", True),
        (rule("numeric", "12", tolerance=0.5), "12.6", False),
        (rule("numeric", "0.3"), "0.30000000000000004", True),
        (rule("whitelist", whitelist=[["2"]], blacklist=None), "102", False),
        (rule("whitelist", whitelist=[["a"], ["b"]], blacklist=[["c"]]), "b, a", True),
        (rule("whitelist", whitelist=[["a"], ["b"]], blacklist=[["c"]]), "a b c", False),
        (rule("judge", "x"), "y", None),
    ],
)
def test_each_rule_by_hand(key: Key, answer: str, right: bool | None) -> None:
    assert tasks.right(answer, key) is right
    assert tasks.right(None, key) is False


@given(st.text(alphabet="aBc dE", min_size=1).filter(str.strip), st.sampled_from([" ", "\n", "\t  "]))
def test_case_and_white_space_do_not_matter_to_exact(words: str, space: str) -> None:
    key = rule("exact", words)
    assert tasks.right(space + space.join(words.swapcase().split()) + space, key)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_numbers_are_equal_or_not(left: int, right: int) -> None:
    assert tasks.right(f"{left:,}", rule("numeric", str(right))) is (left == right)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Yes.\nVerdict: right", True),
        ("**Verdict: WRONG.**", False),
        ("Verdict: right\nno, Verdict: wrong", False),
        ("It is right.", None),
        ("Verdict: perhaps", None),
    ],
)
async def test_a_judge_is_read_and_remembered_or_says_nothing(reply: str, verdict: bool | None) -> None:
    llm, kept = ScriptedLLM(lambda messages, n, sampling: [reply]), Kept()
    asking = Asking(llm, "m", kept)
    assert await asking.same("q", "w", "a") is verdict
    assert len(llm.calls) == (1 if verdict is not None else 2)
    await asking.same("q", "w", "a")
    assert len(llm.calls) == (1 if verdict is not None else 4)
    prompt = llm.calls[0].messages[0].text
    assert "Right answer:\nw" in prompt and "-\na\n-" in prompt


async def test_a_judge_that_fails_once_is_asked_again() -> None:
    llm = ScriptedLLM(judges, failures=[TransientModelError("busy")])
    assert await Asking(llm, "m", Kept()).same("q", "w", "a") is True


class Kept(dict):
    def put(self, key: str, value: str) -> None:
        self[key] = value


# --------------------------------------------------------------------------------------- whole ways


def test_own_tasks_are_evaluated_with_every_scorer(tmp_path: Path) -> None:
    bench = Bench(kind="tasks", data=str(written(tmp_path, LINES)), judge={"endpoint": JUDGE})
    assert exam.check(bench) == "5 tasks"
    judge = ScriptedLLM(judges)
    with Store.create(tmp_path / "run", settings(bench=bench)) as store:
        asyncio.run(exam.run(kit(store, ScriptedLLM(answers), judge)))
        rights = {name: found["right"] for name, found in store.scores("eval").items()}
        metrics = store.metrics()[0][2]
    assert list(rights.values()) == [1, 1, 1, 1, 1] and len(judge.calls) == 1
    assert (metrics["AnsAcc"].n, metrics["ToolAcc"].n, metrics["ToolAcc"].value) == (5, 1, 0)


def test_what_no_judge_could_say_is_absent(tmp_path: Path) -> None:
    bench = Bench(kind="tasks", data=str(written(tmp_path, LINES)), judge={"endpoint": JUDGE})
    with Store.create(tmp_path / "run", settings(bench=bench)) as store:
        asyncio.run(exam.run(kit(store, ScriptedLLM(answers), ScriptedLLM(lambda *_: ["who knows"]))))
        assert store.metrics()[0][2]["AnsAcc"].n == 4


def test_a_judge_that_nobody_named_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bench\.judge\.endpoint: 1 of 5 tasks"):
        exam.check(Bench(kind="tasks", data=str(written(tmp_path, LINES))))


def test_own_tasks_are_explored_and_no_answer_is_anywhere_in_the_run(tmp_path: Path) -> None:
    lines = [line for line in LINES if "files" not in line] * 5
    path = written(tmp_path, lines)
    synth = Synth(tasks_file=str(path), tasks=len(lines))
    config = settings(synth=synth, explore=Explore(n=2, in_flight=4))
    with Store.create(tmp_path / "run", config) as store:
        parts = kit(store, ScriptedLLM(answers))
        asyncio.run(loop.stage(parts, "synth", 1))
        asyncio.run(loop.stage(parts, "explore", 1))
        grown = list(store.trajectories("explore", 1))
        assert [t.task.query for t in grown] == [line["query"] for line in lines]
        assert all(t.end and t.end.state == "answered" for t in grown)
        assert [store.key(t.task.id) for t in grown] == [None] * len(lines)
        for call in parts.llm.calls:
            assert "lighter than water" not in "".join(message.text for message in call.messages)
    assert b"lighter than water" not in b"".join(p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file())


def test_too_few_lines_for_the_iterations_and_an_informed_critic_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, LINES[:2])
    writer = OwnWriter(path, 2)
    assert asyncio.run(writer.write(1, 1)).query == LINES[1]["query"]
    with pytest.raises(InputError, match="holds 2 tasks; iteration 2"):
        asyncio.run(writer.write(2, 0))
    with pytest.raises(ConfigError, match="informed"):
        check(Config(synth=Synth(tasks_file=str(path), tasks=2), critic=CriticSection(kind="informed")))


def test_the_doors_take_the_file_where_one_types_it(tmp_path: Path) -> None:
    path = written(tmp_path, LINES[:3])
    done = CliRunner().invoke(app, ["eval", "tasks", str(path), "--dry-run"])
    assert done.exit_code == 0 and "3 tasks" in done.output, done.exception
    refused = CliRunner().invoke(app, ["explore", "--tasks", str(tmp_path / "gone.jsonl")])
    assert isinstance(refused.exception, InputError) and "gone.jsonl" in str(refused.exception)
    assert isinstance(CliRunner().invoke(app, ["explore"]).exception, InputError)
    assert isinstance(CliRunner().invoke(app, ["eval", "tasks"]).exception, ConfigError)
