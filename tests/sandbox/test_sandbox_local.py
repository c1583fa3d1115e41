"""The sandbox on its own: from Python, by the example, and as ``sport sandbox run``."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import sport.sandbox
from sport.cli import app
from sport.errors import ConfigError, InputError, UserError
from sport.sandbox import LocalSandbox, SandboxSection, ToolOutput
from sport.sandbox.functions import describe

ROOT = Path(__file__).resolve().parents[2]
LIMITS = SandboxSection(libraries=())


# ------------------------------------------------------------------------------------------------- from Python


def grow(picture: bytes, times: int = 2) -> ToolOutput:
    """Repeat a file.

    So often.
    """
    return ToolOutput(value=None, files={"grown.bin": picture * times})


async def later(words: list[str], fast: bool | None = None) -> str:
    """Join words."""
    if fast:
        raise KeyError("fast")
    return " ".join(words)


async def test_functions_are_tools(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"ab")
    async with LocalSandbox(tools=[grow, later], limits=LIMITS) as sandbox:
        state = await sandbox.open(files=[tmp_path / "a.bin"])
        seen = await state.run("name = grow('a.bin', times=3); name, open(name).read(), later(['x', 'y'])")
        assert seen.value == "('grown.bin', 'ababab', 'x y')"
        assert sandbox.read(seen.files[0]) == b"ababab"
        seen = await state.run("later([], fast=True)")
        assert str(seen.error).endswith("ToolError: later() failed: KeyError: 'fast'")
        seen = await state.run("later('x')")
        assert "TypeError: later: argument 'words' must be a list, not str" in str(seen.error)


async def test_a_state_is_restored_in_another_sandbox(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"ab")
    async with LocalSandbox(tools=[grow], folder=tmp_path / "files", limits=LIMITS) as first:
        state = await first.open("one", [tmp_path / "a.bin"])
        await state.run("x = open(grow('a.bin')).read()")
        journal = state.journal
    async with LocalSandbox(tools=[grow], folder=tmp_path / "files", limits=LIMITS) as second:
        again = await second.restore("one", [tmp_path / "a.bin"], journal)
        assert (await again.run("x")).value == "'abab'"


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with LocalSandbox(limits=LIMITS) as sandbox:
        with pytest.raises(InputError, match=r"none.txt: cannot be read \(No such file"):
            await sandbox.open(files=[tmp_path / "none.txt"])


async def test_files_that_do_not_fit_are_told_with_the_limit(tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(2 << 20))
    async with LocalSandbox(limits=LIMITS.model_copy(update={"disk_mb": 1})) as sandbox:
        with pytest.raises(InputError, match=r"do not fit into the working directory; raise sandbox.disk_mb \(1\)"):
            await sandbox.open(files=[tmp_path / "large.bin"])


def test_a_tool_that_is_no_name_is_one_clear_message() -> None:
    def tool() -> None: ...

    tool.__name__ = "my tool"
    with pytest.raises(ConfigError, match="tool 'my tool': the code calls a tool as a function; name it like one"):
        LocalSandbox(tools=[tool])


def test_a_function_describes_itself() -> None:
    spec = describe(grow)
    assert (spec.name, spec.description) == ("grow", "Repeat a file.\n\nSo often.")
    assert [(p.name, p.type, p.required, p.default) for p in spec.parameters] == [
        ("picture", "file", True, None),
        ("times", "integer", False, 2),
    ]
    assert [p.type for p in describe(later).parameters] == ["array", "boolean"]


def _star(*items: int) -> None: ...
def _strange(item: complex) -> None: ...
def _two(item: int | str) -> None: ...


@pytest.mark.parametrize("function", [_star, _strange, _two, lambda: None])
def test_a_function_that_cannot_be_described_is_one_clear_message(function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=f"tool '{function.__name__}': "):
        describe(function)


def test_the_package_offers_what_it_names_and_stays_light() -> None:
    assert all(hasattr(sport.sandbox, name) for name in sport.sandbox.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        sport.sandbox.nonsense  # noqa: B018
    code = "import sys, sport.sandbox.inside; sys.exit('pydantic' in sys.modules or 'asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "src")}).returncode == 0


def test_the_example_is_short_and_runs(capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "examples" / "sandbox.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 30
    runpy.run_path(str(path), run_name="__main__")
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("[\"(['tea'], 2.5)\", \"(['tea', 'cake'], 6.5)\"")
    assert rest == ["error - line 1: price('gold')", "ToolError: price() failed: KeyError: 'gold'", "(['tea'], 2.5)"]


# ------------------------------------------------------------------------------------------------ from a terminal


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``sport sandbox run`` on a program with these lines."""
    monkeypatch.chdir(tmp_path)

    def call(code: str, *words: str) -> Result:
        (tmp_path / "program.py").write_text(code, encoding="utf-8")
        return CliRunner().invoke(app, ["sandbox", "run", "program.py", "--set", "libraries=[]", *words])

    return call


def test_a_program_runs_with_its_files(door: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("hello")
    code = (
        "import sys; print(open('in.txt').read(), file=sys.stderr); print('out'); open('d', 'w').write('made'); 6 * 7"
    )
    done = door(code, "--file", "in.txt", "--out", "there")
    assert done.exit_code == 0, done.output
    assert done.stdout == "out\n42\n" and done.stderr == "hello\nmade: d, 4 bytes\n"
    assert (tmp_path / "there" / "d").read_text() == "made"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "error: line 1: 1 / 0\nZeroDivisionError: division by zero\n"),
        ("while True: pass", "timeout: the code was stopped after 0.3 s\n"),
        ("import os; os._exit(0)", "died: the process died: it exited with status 0\n"),
    ],
)
def test_a_program_that_fails_says_how(door: Callable[..., Result], code: str, said: str) -> None:
    done = door(code, "--set", "wall_s=0.3")
    assert done.exit_code == 1 and done.stderr == said


def test_the_whole_observation_as_json(door: Callable[..., Result]) -> None:
    seen = json.loads(door("1 + 1", "--json").stdout)
    assert (seen["outcome"], seen["value"]) == ("ok", "2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "wall_s=0"), "sandbox.wall_s: Input should be greater than 0"),
        (("--set", "wall_s=inf"), "sandbox.wall_s: Input should be a finite number"),
        (("--set", "memory_mb=-1"), "sandbox.memory_mb"),
        (("--set", "disk_mb=0"), "sandbox.disk_mb: Input should be greater than or equal to 1 (got 0)"),
        (("--set", "calls=-1"), "sandbox.calls: Input should be greater than or equal to 0 (got -1)"),
        (("--set", "wal_s=1"), "did you mean 'sandbox.wall_s'"),
        (("--file", "none"), "none: cannot be read"),
        (("--set", 'libraries=["nix_da"]'), "sandbox.libraries: nix_da"),
    ],
)
def test_bad_input_is_one_clear_message(door: Callable[..., Result], words: tuple[str, ...], said: str) -> None:
    error = door("1", *words).exception
    assert isinstance(error, UserError) and said in str(error)


BAD = {
    "a limit of zero": (("--set", "wall_s=0"), "sandbox.wall_s"),
    "a package that is not there": (("--set", 'libraries=["nix_da"]'), "sandbox.libraries: nix_da: ModuleNotFound"),
    "files beyond the directory's cap": (
        ("--set", "libraries=[]", "--set", "disk_mb=1", "--file", "large.bin"),
        "they do not fit into the working directory; raise sandbox.disk_mb (1)",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_message_and_exit_code_2(tmp_path: Path, what: str) -> None:
    """As whoever types it sees it, in a process of its own."""
    words, said = BAD[what]
    (tmp_path / "program.py").write_text("1")
    (tmp_path / "large.bin").write_bytes(bytes(2 << 20))
    command = [sys.executable, "-m", "sport.cli", "sandbox", "run", "program.py", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "500"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("error: ") and said in done.stderr and "Traceback" not in done.stderr


def test_a_figure_is_a_file_that_is_told(door: Callable[..., Result], tmp_path: Path) -> None:
    code = "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show(); print('drawn')"
    done = door(code, "--set", 'libraries=["matplotlib.pyplot"]', "--out", "made")
    assert (done.exit_code, done.stdout) == (0, "drawn\n"), done.output
    assert re.fullmatch(r"made: figure_1\.png, [\d,]+ bytes\n", done.stderr)
    assert (tmp_path / "made" / "figure_1.png").read_bytes().startswith(b"\x89PNG")


def test_a_program_that_is_not_there_is_named(door: Callable[..., Result]) -> None:
    done = CliRunner().invoke(app, ["sandbox", "run", "none.py"])
    assert isinstance(done.exception, InputError) and "none.py: cannot be read as a Python program" in str(
        done.exception
    )


def test_made_files_do_not_overwrite(door: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "d").write_text("mine")
    error = door("open('d', 'w').close()", "--out", "out").exception
    assert isinstance(error, InputError) and "another directory with --out" in str(error)
    assert (tmp_path / "out" / "d").read_text() == "mine"
