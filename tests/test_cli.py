"""The door as a user meets it: a real process, its exit code, and what it writes where.

Stages are not run here (that is the run's own test): where one is needed, a scripted ``sport.loop`` stands in for it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sport import __version__
from sport.config import Config, load
from sport.store import Store
from sport.types import Metric

ROOT = Path(__file__).resolve().parent.parent
DEMO, TINY = ROOT / "configs" / "demo.toml", ROOT / "configs" / "small.toml"
STAGES = ("synth", "explore", "pairs", "tune", "eval")
Done = subprocess.CompletedProcess[str]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "120", "NO_COLOR": "1", **more}


@pytest.fixture
def sport(tmp_path: Path) -> Callable[..., Done]:
    """Run ``sport ...`` in an empty directory."""

    def call(*arguments: str | Path) -> Done:
        command = [sys.executable, "-m", "sport.cli", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=100)

    return call


def is_one_message(done: Done) -> str:
    """Exit code 2 and a message without a traceback; gives the message."""
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    return done.stderr


# ----------------------------------------------------------------------------------------------- bad input


def test_an_unknown_key_comes_with_a_suggestion(sport: Callable[..., Done]) -> None:
    assert "did you mean 'explore.n'" in is_one_message(sport("run", DEMO, "--set", "explore.m=3"))


def test_a_wrong_type_is_named(sport: Callable[..., Done]) -> None:
    message = is_one_message(sport("run", DEMO, "--set", "explore.n=three"))
    assert "explore.n" in message
    assert "integer" in message


@pytest.mark.parametrize("arguments", [("run", "gone.toml"), ("run", "gone.toml", "--dry-run")])
def test_a_missing_configuration_is_named(sport: Callable[..., Done], arguments: tuple[str, ...]) -> None:
    assert "gone.toml: no such configuration" in is_one_message(sport(*arguments))


def test_a_bad_override_is_named(sport: Callable[..., Done]) -> None:
    assert "expected KEY=VALUE" in is_one_message(sport("run", DEMO, "--set", "explore.n"))


def test_markup_in_a_message_is_only_text(sport: Callable[..., Done]) -> None:
    assert "[bold]" in is_one_message(sport("run", "[bold]gone[/nothing].toml"))


def test_nothing_to_run_is_said(sport: Callable[..., Done]) -> None:
    assert "sport run --resume DIR" in is_one_message(sport("run"))


def test_a_resumed_run_keeps_its_configuration(sport: Callable[..., Done]) -> None:
    assert "takes its configuration" in is_one_message(sport("run", DEMO, "--resume", "somewhere"))


@pytest.mark.parametrize("command", [*STAGES, "report"])
def test_a_stage_of_no_run_is_refused(sport: Callable[..., Done], command: str) -> None:
    assert "not a run directory" in is_one_message(sport(command, "nowhere"))


def test_resuming_no_run_is_refused(sport: Callable[..., Done]) -> None:
    assert "not a run directory" in is_one_message(sport("run", "--resume", "nowhere"))


def test_a_missing_checkpoint_is_named_before_anything_is_made(sport: Callable[..., Done], tmp_path: Path) -> None:
    gone = ("--set", "controller.checkpoint=models/gone")
    assert "models/gone" in is_one_message(sport("run", DEMO, *gone))
    dry = sport("run", DEMO, *gone, "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "in all" in dry.stdout
    assert "not ready: models/gone: no such directory" in dry.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["paper", "t3", "openai"])
def test_what_the_papers_settings_would_cost(sport: Callable[..., Done], tmp_path: Path, name: str) -> None:
    dry = sport("run", DEMO.with_name(f"{name}.toml"), "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert f"{name}: expected, nothing was run" in dry.stdout
    assert ("not ready" in dry.stdout) is (name != "openai")
    assert list(tmp_path.iterdir()) == []


def test_corrupt_weights_are_one_message(sport: Callable[..., Done], tmp_path: Path) -> None:
    from models import tiny_qwen2_vl

    checkpoint = tiny_qwen2_vl(tmp_path / "checkpoint")
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    settings = ("--set", f"controller.checkpoint={checkpoint}", "--set", "controller.dialect=react-1")
    assert str(checkpoint) in is_one_message(sport("run", TINY, *settings))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("controller.endpoint.model=tiny", "controller.endpoint.base_urls: name at least one server"),
        ('controller.endpoint.base_urls=["ftp://x"]', "controller.endpoint.model: name the model"),
        ("controller.endpoint.timeout=3", "did you mean 'controller.endpoint.timeout_s'"),
    ],
)
def test_an_endpoint_that_cannot_work_is_named_before_anything_is_made(
    sport: Callable[..., Done], tmp_path: Path, change: str, words: str
) -> None:
    assert words in is_one_message(sport("run", TINY, "--set", "controller.kind=endpoint", "--set", change))
    assert list(tmp_path.iterdir()) == []


def test_an_endpoint_is_estimated_without_being_asked_or_tuned(sport: Callable[..., Done]) -> None:
    urls = 'controller.endpoint.base_urls=["http://127.0.0.1:9/v1"]'
    kind, model = "controller.kind=endpoint", "controller.endpoint.model=tiny"
    done = sport("run", TINY, "--dry-run", "--set", kind, "--set", urls, "--set", model)
    assert done.returncode == 0, done
    (tune,) = [line for line in done.stdout.splitlines() if "tune" in line]
    assert [cell.strip() for cell in tune.strip("│").split("│")][1:3] == ["0", "0"]


# ------------------------------------------------------------------------------------------- run directories


def test_a_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    scripted(tmp_path, "pass")
    done = with_loop(tmp_path, "run", str(TINY), "--out", "file/run")
    assert "file/run" in is_one_message(done)


def test_a_directory_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    scripted(tmp_path, "pass")
    assert "not empty" in is_one_message(with_loop(tmp_path, "run", str(TINY), "--out", "thesis"))
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_a_run_of_a_newer_schema_is_refused(sport: Callable[..., Done], tmp_path: Path) -> None:
    Store.create(tmp_path / "run", Config()).close()
    connection = sqlite3.connect(tmp_path / "run" / "run.db")
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    assert "newer sport" in is_one_message(sport("run", "--resume", "run"))
    assert "newer sport" in is_one_message(sport("report", "run"))


@pytest.mark.parametrize("how", [("--resume", "run"), (str(TINY), "--out", "run")])
def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path, how: tuple[str, ...]) -> None:
    scripted(tmp_path, "raise AssertionError")
    with Store.create(tmp_path / "run", Config()):
        assert str(os.getpid()) in is_one_message(with_loop(tmp_path, "run", *how))


# ----------------------------------------------------------------------------------------- a scripted loop


def scripted(folder: Path, body: str) -> None:
    """Write a program that is ``sport``, but for stages: ``body`` is what a run does, ``store`` its store."""
    (folder / "door.py").write_text(
        textwrap.dedent(
            """
            import asyncio, os, sys, time, types
            import sport.cli
            from sport.errors import *

            async def run(kit):
                store, progress = kit.store, kit.progress
            {body}

            async def stage(kit, name, iteration):
                print("stage", name, iteration)

            def build(store, out):
                out.write_text("a page")
                return out

            def kit(store, progress):
                return types.SimpleNamespace(store=store, progress=progress, config=store.config)

            for name, parts in (
                ("loop", dict(run=run, stage=stage)),
                ("report", dict(build=build)),
                ("wire", dict(build=kit, check=lambda config: None)),
            ):
                module = sys.modules[f"sport.{{name}}"] = types.ModuleType(f"sport.{{name}}")
                vars(module).update(parts)
                setattr(sport, name, module)
            sport.cli.main()
            """
        ).format(body=textwrap.indent(textwrap.dedent(body), "    "))
    )


def with_loop(folder: Path, *arguments: str) -> Done:
    command = [sys.executable, "door.py", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60)


def interrupted(folder: Path, number: int, *arguments: str, times: int = 1) -> tuple[int, str, str]:
    """Start a run, wait until it says that it works, send a signal; gives exit code, output and messages."""
    command = [sys.executable, "door.py", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (folder / "working").exists():
            time.sleep(0.02)
            assert process.poll() is None, process.communicate()
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.3)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err


def test_a_run_ends_with_its_figures_and_the_place_of_its_report(tmp_path: Path) -> None:
    scripted(
        tmp_path,
        """
        from sport.types import Metric
        progress.start("explore", 1, "tasks")
        progress.advance("explore")
        progress.finish("explore")
        store.add_metrics(0, "heldout", {"AnsAcc": Metric(value=0.4, low=0.31, high=0.5, n=100)})
        store.add_metrics(1, "heldout", {"AnsAcc": Metric(value=0.7, low=0.6, high=0.78, n=100)})
        """,
    )
    done = with_loop(tmp_path, "run", str(TINY))
    assert done.returncode == 0, done
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("small-20")
    shown = [
        "40.0 [31.0, 50.0]",
        "n=100",
        "70.0 [",
        "+30.0",
        "pairs: iteration 1: 0",
        f"report: runs/{folder.name}",
    ]
    assert [part for part in shown if part not in done.stdout] == []
    assert "explore: done, 1 tasks" in done.stderr
    assert Store.view(folder).config == load(TINY)


def test_a_dry_run_says_what_to_expect_and_makes_nothing(tmp_path: Path) -> None:
    scripted(tmp_path, "raise AssertionError")
    done = with_loop(tmp_path, "run", str(DEMO), "--dry-run")
    assert done.returncode == 0, done
    headings = ("stage", "calls", "tokens", "time", "disk")
    assert [part for part in (*headings, *STAGES, "in all") if part not in done.stdout] == []
    assert [path.name for path in tmp_path.iterdir()] == ["door.py"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "work",
    [
        "await asyncio.sleep(60)",
        "progress.start('tune', 9000, 'steps')\nwhile True:\n    time.sleep(0.01)\n    progress.advance('tune')",
        "progress.start('tune', 9000, 'steps')\ndef work():\n    while True:\n        time.sleep(0.01)\n"
        "        progress.advance('tune')\nawait asyncio.to_thread(work)",
    ],
    ids=["awaiting", "busy", "thread"],
)
def test_a_signal_stops_a_run_cleanly(tmp_path: Path, number: int, work: str) -> None:
    scripted(tmp_path, f"open('working', 'w').close()\n{work}")
    code, out, err = interrupted(tmp_path, number, "run", str(TINY), "--out", "my run")
    assert code == 130, err
    assert "stopped; go on with: sport run --resume 'my run'" in err
    assert "Traceback" not in err
    assert out == ""
    Store.open(tmp_path / "my run").close()  # the lock is free


def test_a_second_signal_does_not_wait_for_cleaning_up(tmp_path: Path) -> None:
    body = "open('working', 'w').close()\ntry:\n    await asyncio.sleep(60)\nfinally:\n    time.sleep(60)"
    scripted(tmp_path, body)
    began = time.monotonic()
    code, _, err = interrupted(tmp_path, signal.SIGINT, "run", str(TINY), "--out", "run", times=2)
    assert code == 130, err
    assert time.monotonic() - began < 20
    assert "stopped; go on with" in err


def test_what_breaks_while_stopping_is_said(tmp_path: Path) -> None:
    body = (
        "open('working', 'w').close()\ntry:\n    await asyncio.sleep(60)\nfinally:\n    raise SandboxError('no answer')"
    )
    scripted(tmp_path, body)
    code, _, err = interrupted(tmp_path, signal.SIGINT, "run", str(TINY), "--out", "run")
    assert code == 130, err
    assert "while stopping: SandboxError: no answer" in err


def test_a_bug_keeps_its_traceback_and_says_where_the_run_lies(tmp_path: Path) -> None:
    scripted(tmp_path, "raise ZeroDivisionError('a bug')")
    done = with_loop(tmp_path, "run", str(TINY), "--out", "run")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "the run lies in run; go on with: sport run --resume run" in done.stderr


def test_a_users_error_inside_task_groups_is_still_one_message(tmp_path: Path) -> None:
    body = "async def fail():\n    raise RunError('disk full: free space')\n"
    body += "async with asyncio.TaskGroup() as group:\n    group.create_task(fail())\n    group.create_task(fail())"
    scripted(tmp_path, body)
    message = is_one_message(with_loop(tmp_path, "run", str(TINY), "--out", "run"))
    assert message.count("error: disk full") == 1
    assert "go on with: sport run --resume run" in message


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_works_on_a_run_that_exists(tmp_path: Path, name: str) -> None:
    Store.create(tmp_path / "run", Config()).close()
    scripted(tmp_path, "pass")
    done = with_loop(tmp_path, name, "run", "--iteration", "1")
    assert done.returncode == 0, done
    assert done.stdout.startswith(f"stage {name} 1\n")


def test_a_report_is_drawn_while_the_run_goes_on(tmp_path: Path) -> None:
    scripted(tmp_path, "pass")
    with Store.create(tmp_path / "run", Config()) as store:
        store.add_metrics(0, "heldout", {"AnsAcc": Metric(value=0.4, low=0.3, high=0.5, n=100)})
        done = with_loop(tmp_path, "report", "run", "--out", "page.html")
    assert (done.returncode, done.stdout) == (0, "report: page.html\n")


# ------------------------------------------------------------------------------------------------- the rest


def test_the_version_is_the_packages(sport: Callable[..., Done]) -> None:
    done = sport("--version")
    assert (done.returncode, done.stdout) == (0, f"sport {__version__}\n")


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys\nfrom sport.cli import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
    code += "print([m for m in ('torch', 'transformers', 'numpy', 'pandas', 'openai', 'PIL') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]", done
    for command in ("run", *STAGES, "report", "doctor"):
        assert command in done.stdout


def test_the_doctor_lists_what_it_looked_at(sport: Callable[..., Done]) -> None:
    done = sport("doctor")
    assert done.returncode == ("FAIL" in done.stdout)
    assert [name for name in ("Python", "torch", "sandbox", "ocr", "fonts") if name not in done.stdout] == []
