"""A question of a user's own: files taken in, a real sandbox, a scripted controller; and the door that draws it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

from agentkit import act
from sport import report, show, wire
from sport.agent.parse import parse
from sport.ask import SETTINGS, Told, as_json, ask, copy_out
from sport.cli import app
from sport.config import Agent, Config, SandboxSection
from sport.dialect import Dialect
from sport.errors import CheckpointError, InputError
from sport.events import Progress, Silent
from sport.given import Question, prepare
from sport.kit import Kit
from sport.llm.scripted import Book, ScriptedLLM
from sport.sandbox.forked import ForkedSandbox
from sport.store import Store
from sport.tools.base import Answered
from sport.types import Candidate, Parameter, ToolSpec

OCR = ToolSpec(name="ocr", description="Reads a picture.", parameters=(Parameter(name="image", type="file"),))
BOOK: Book = {
    "the tea": [
        [act('text = ocr("image_1.png")\nprint(text)', "I read the sign.")],
        [act('open("note.txt", "w").write(text)\nfinal_answer(3.20)')],
    ],
    "nonsense": [["I will not write code."]] * 2,
    "a loop": [[act("print('\\x1b[31mred\\n' * 50)")], [act("1 / 0")], [act("final_answer(None)")]],
}
ROOT = Path(__file__).resolve().parent.parent


def sport(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``sport ...`` as a process of its own, nothing scripted."""
    command = [sys.executable, "-m", "sport.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "120", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


class Tools:
    """A tool that reads the same from every picture."""

    async def start(self) -> None:
        """Nothing to boot."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def call(self, name: str, arguments: Any) -> Answered:
        assert arguments["image"].media_type == "image/png"
        return Answered(value="Green tea 3.20")


def kit(store: Store, progress: Progress, delay_s: float = 0.0) -> Kit:
    """Real store, sandbox and agent; the rest has no part in a question."""
    tools, none = Tools(), cast(Any, None)
    box = ForkedSandbox(
        specs=[OCR], call=tools.call, put=store.put, read=store.read, limits=SandboxSection(libraries=())
    )
    llm = ScriptedLLM(BOOK, delay_s=delay_s)
    dialect = Dialect("nano-1", [OCR])
    return Kit(store.config, store, progress, llm, dialect, tools, box, none, none, none, none)


def sign(path: Path) -> Path:
    Image.new("RGB", (40, 30), "white").save(path, "PNG")
    return path


# ---------------------------------------------------------------------------------------------- files taken in


def office(folder: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{folder}/a.xml", "<a/>")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "kept", "media_type"),
    [
        ("Stock List.CSV", b"a,b\n1,2\n", "file_1.csv", "text/csv"),
        ("notes", b"hello", "file_1.txt", "text/plain"),
        ("table.dat", b"hello", "file_1.dat", "text/plain"),
        ("wide.csv", "a,b".encode("utf-16"), "file_1.csv", "text/csv"),
        ("text.xlsx", b"no sheet", "file_1.txt", "text/plain"),
        ("broken.csv", b"\x00\x01", "file_1.bin", "application/octet-stream"),
        ("a.tar.gz; rm", b"\x00", "file_1.bin", "application/octet-stream"),
        ("paper", b"%PDF-1.7 \x00", "file_1.pdf", "application/pdf"),
        ("odd.csv", office("xl"), "file_1.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("all.ZIP", office("any"), "file_1.zip", "application/zip"),
    ],
)
def test_a_document_keeps_the_type_of_its_content(
    tmp_path: Path, name: str, data: bytes, kept: str, media_type: str
) -> None:
    (tmp_path / name).write_bytes(data)
    (given,) = prepare("What is it?", [tmp_path / name]).files
    assert (given.name, given.media_type, given.data) == (kept, media_type, data)


@pytest.mark.parametrize(
    ("name", "format", "kept"),
    [
        ("Answer 42.PNG", "PNG", "image_1.png"),
        ("photo.JPEG", "JPEG", "image_1.jpeg"),
        ("lie.png", "JPEG", "image_1.jpg"),
        ("scan.tif", "TIFF", "image_1.tif"),
        ("no_ending", "GIF", "image_1.gif"),
        ("page.txt", "BMP", "image_1.bmp"),
    ],
)
def test_a_picture_keeps_the_type_of_its_content(tmp_path: Path, name: str, format: str, kept: str) -> None:
    Image.new("L", (9, 9)).save(tmp_path / name, format)
    (given,) = prepare("What is it?", [tmp_path / name]).files
    assert (given.name, given.media_type) == (kept, f"image/{format.lower()}")


def test_pictures_and_documents_are_counted_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a")
    (tmp_path / "b.md").write_text("b")
    paths = [sign(tmp_path / "x.png"), tmp_path / "a.csv", sign(tmp_path / "y.png"), tmp_path / "b.md"]
    names = [given.name for given in prepare(" Why? ", paths).files]
    assert names == ["image_1.png", "file_1.csv", "image_2.png", "file_2.md"]


def refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        prepare("Why?", [tmp_path / name])
    assert str(tmp_path / name) in str(caught.value)


def test_a_file_that_cannot_be_taken_in_is_named(tmp_path: Path) -> None:
    whole = sign(tmp_path / "whole.png").read_bytes()
    bad = {"text.png": b"hello", "cut.png": whole[:-30], "phone.heic": b"\x00", "empty.csv": b""}
    for name, data in {**bad, "large.txt": b" " * (33 << 20)}.items():
        (tmp_path / name).write_bytes(data)
    for name, reason in (
        ("gone.png", "No such file"), (".", "a directory"), ("text.png", "not a picture"), ("cut.png", "damaged"),
        ("phone.heic", "expected PNG, JPEG"), ("empty.csv", "empty"), ("large.txt", "larger than 32 MiB"),
    ):  # fmt: skip
        refused(tmp_path, name, reason)


def test_a_question_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="the question is empty"):
        prepare(" \n")


# -------------------------------------------------------------------------------------------------- the asking


class Heard:
    """A Recorder that notes what it hears, and that the store knew it before."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def hear(trajectory: str, *rest: Any) -> None:
            self.names.append(name)
            known = self.store.trajectory(trajectory)
            assert {"decided": bool(known.steps), "ended": known.end is not None}.get(name, True)

        return hear


async def test_a_question_becomes_a_run_like_any_other(tmp_path: Path) -> None:
    question = prepare("How much is the tea?", [sign(tmp_path / "Answer 3.20.PNG")])
    with Store.create(tmp_path / "run", SETTINGS) as store:
        heard = Heard(store)
        found = await ask(kit(store, Silent()), question, cast(Any, heard))
        made = copy_out(store, found, tmp_path / "run" / "made")
        assert heard.names == ["asked", "sampled", "observed", "decided"] * 2 + ["ended"]
        assert (found.end.state, found.end.answer) == ("answered", "3.2") if found.end else False
        (task,) = store.tasks("user")
        assert (task.origin, [file.name for file in task.files]) == ("user", ["image_1.png"])
        assert store.key(task.id) is None
        assert store.trajectory(found.id) == found
        [walls] = store.walls(found.id)
        assert walls["seccomp"] == "active"
        told = json.loads(json.dumps(as_json(found, made, tmp_path / "run")))
        page = report.build(store, tmp_path / "report.html").read_text()
    assert [(one.name, one.size, one.path.read_text()) for one in made] == [("note.txt", 14, "Green tea 3.20")]
    assert told["steps"][0]["calls"][0]["arguments"] == {"image": "image_1.png"}
    assert told["steps"][0]["stdout"] == "Green tea 3.20\n"
    assert (told["query"], told["answer"], told["end"]) == ("How much is the tea?", "3.2", "answered")
    assert "How much is the tea?" in page
    assert "Answer 3.20" not in page  # the file's own name is nobody's business
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["state"] == "done"


async def test_no_answer_is_a_result_too_and_a_kit_can_be_asked_again(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config(name="ask", agent=Agent(max_steps=2))) as store:
        parts = kit(store, Silent())
        first = await ask(parts, Question("nonsense"))
        second = await ask(parts, Question("nonsense"))
        told = as_json(second, [], store.folder)
    assert [first.id, second.id] == ["eval.0.user-1", "eval.0.user-2"]
    assert (told["answer"], told["end"]) == (None, "step_limit")
    assert told["steps"][0]["code"] is None
    assert told["steps"][0]["outcome"] == "unparsed"


async def test_names_that_code_chose_cannot_lead_out(tmp_path: Path) -> None:
    code = 'import os\nos.mkdir("a")\nfor n in ("a/b c", "b c", "a/x"):\n    open(n, "w").write(n)\nfinal_answer(1)'
    with Store.create(tmp_path / "run", SETTINGS) as store:
        parts = replace(kit(store, Silent()), llm=ScriptedLLM({"files": [[act(code)]]}))
        made = copy_out(store, await ask(parts, Question("files")), tmp_path / "made")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["b_c", "b_c_1", "x"]
    assert {one.name: one.path.read_text() for one in made} == {name: name for name in ("a/b c", "a/x", "b c")}


async def test_a_watcher_hears_after_the_store() -> None:
    order: list[str] = []

    class Notes:
        def __init__(self, name: str) -> None:
            self.name = name

        def asked(self, trajectory: str, step: int) -> None:
            order.append(self.name)

    Told(cast(Any, Notes("store")), cast(Any, Notes("door"))).asked("t", 0)
    assert order == ["store", "door"]


# ---------------------------------------------------------------------------------------------------- the door


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """``sport ask ...`` in an empty directory, with a scripted controller."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wire, "check", lambda config: None)
    monkeypatch.setattr(wire, "build", kit)
    return lambda *arguments: CliRunner().invoke(app, ["ask", *map(str, arguments)])


def test_steps_answer_and_places_are_drawn(door: Callable[..., Result], tmp_path: Path) -> None:
    done = door("How much is the tea?", "--file", sign(tmp_path / "sign.png"))
    assert done.exit_code == 0, done
    (folder,) = (tmp_path / "runs").iterdir()
    made = f"made: note.txt, 14 bytes, in runs/{folder.name}/made/note.txt"
    order = [
        "much is the tea?",
        "image_1.png: ",
        "step 1 ─",
        "I read the sign.",
        "print(text)",
        "called ocr(image='image_1.png')",
    ]
    order += ["Green tea 3.20", "step 2 ─", " answer ", "│ 3.2 ", made, f"eval.0.user-1 in runs/{folder.name}"]
    place = 0
    for part in order:
        assert part in done.stdout[place:], done.stdout
        place = done.stdout.index(part, place)
    assert "boot: done" in done.stderr
    assert (folder / "made" / "note.txt").read_text() == "Green tea 3.20"


def test_json_is_all_there_is_on_standard_output(door: Callable[..., Result], tmp_path: Path) -> None:
    done = door("How much is the tea?", "--json", "--file", sign(tmp_path / "sign.png"))
    told = json.loads(done.stdout)
    assert (done.exit_code, told["answer"], len(told["steps"])) == (0, "3.2", 2)
    assert Path(told["files"][0]["path"]).read_text() == "Green tea 3.20"
    assert Store.view(Path(told["run"])).config == SETTINGS
    assert "step 2: the controller writes" in done.stderr


def test_no_answer_is_said_with_its_reason(door: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text('name = "two"\n[agent]\nmax_steps = 2\n')
    done = door("nonsense", "two.toml")
    assert done.exit_code == 0, done
    assert [
        part for part in ("no answer", "step limit: 2 steps", "I will not write code.") if part not in done.stdout
    ] == []
    told = json.loads(door("nonsense", "two.toml", "--json").stdout)
    assert (told["answer"], told["end"], told["reason"]) == (None, "step_limit", "2 steps without an answer")


def test_what_a_model_prints_is_trimmed_and_harmless(door: Callable[..., Result]) -> None:
    done = door("a loop")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mred" in done.stdout
    assert done.stdout.count("red") < 25
    assert "more characters" in done.stdout
    assert "ZeroDivisionError" in done.stdout
    assert "None" in done.stdout  # final_answer(None) is an answer


def test_a_controller_that_cannot_be_built_leaves_no_run(
    door: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def build(store: Store, progress: Progress) -> Kit:
        assert store.config.controller.adapter == "other"
        raise CheckpointError("other: made for another model")

    monkeypatch.setattr(wire, "build", build)
    done = door("the tea", "--adapter", "other")
    assert isinstance(done.exception, CheckpointError)
    assert list((tmp_path / "runs").iterdir()) == []


def test_ctrl_c_says_where_what_was_done_lies(
    door: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = show.Waiting.asked

    def interrupted(self: show.Waiting, trajectory: str, step: int) -> None:
        asked(self, trajectory, step)
        if step == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(show.Waiting, "asked", interrupted)
    monkeypatch.setattr(wire, "build", lambda store, progress: kit(store, progress, delay_s=0.2))
    done = door("How much is the tea?", "--json", "--file", sign(tmp_path / "sign.png"))
    (folder,) = (tmp_path / "runs").iterdir()
    assert (done.exit_code, done.stdout) == (130, "")
    assert f"stopped; what was done lies in runs/{folder.name}" in done.stderr
    with Store.open(folder) as store:  # the lock is free
        assert len(store.trajectory("eval.0.user-1").steps) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((" ",), "the question is empty"),
        (("Why?", "--file", "gone.png"), "gone.png: cannot be read (No such file or directory)"),
        (("Why?", "gone.toml"), "gone.toml: no such configuration"),
    ],
)
def test_a_mistake_is_one_message_and_makes_nothing(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = sport(tmp_path, "ask", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_spinner_is_gone_before_anything_is_drawn() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60)
    began: list[str] = []
    with show.Steps(console, console, lambda: began.append("now")) as steps:
        for step in (0, 1):
            steps.asked("t", step)
            steps.sampled("t", step, [Candidate(index=0, action=parse("no code", finished=True))])
            assert f"step {step + 1}: the controller writes" in screen.getvalue()
    assert began == ["now"]
    shown, cursor_off, cursor_on = screen.getvalue(), "\x1b[?25l", "\x1b[?25h"
    assert shown.count(cursor_off) == shown.count(cursor_on) == 2
    assert shown.rindex(cursor_on) < shown.rindex("no code")


# ------------------------------------------------------------------------------------------- nothing scripted


def test_the_embedded_controller_answers_about_a_picture_that_nobody_painted(tmp_path: Path) -> None:
    """The whole way through real processes; what the answer is, is the controller's affair."""
    picture = Image.new("RGB", (448, 448), "white")
    picture.paste("red", (80, 80, 160, 160))
    picture.paste("red", (260, 240, 340, 320))
    picture.save(tmp_path / "Drawn.png")
    done = sport(tmp_path, "ask", "How many red squares do you see?", "--file", "Drawn.png", "--json")
    assert done.returncode == 0, done
    told = json.loads(done.stdout)
    assert told["steps"]
    assert told["end"] in ("answered", "error_limit", "step_limit")
    with Store.view(tmp_path / told["run"]) as store:
        assert len(store.trajectory(told["trajectory"]).steps) == len(told["steps"])
