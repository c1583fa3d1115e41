"""What every sandbox must do, whatever it is made of. A test module brings the fixture ``sandbox`` and subclasses."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from collections.abc import Mapping
from typing import Any

import pytest

from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox.base import Entry, Interpreter, Sandbox
from sport.tools.base import Answered, FileBytes
from sport.types import File, Observation, Parameter, ToolSpec

LIMITS = SandboxSection(wall_s=20.0, output_bytes=2000, memory_mb=256, libraries=("numpy",))
HASTY = LIMITS.model_copy(update={"wall_s": 1.0})
PICTURE = Parameter(name="image", type="file", description="a picture")
SPECS = (
    ToolSpec(name="size", description="Bytes of a file.", parameters=(PICTURE,)),
    ToolSpec(name="crop", description="Cut a piece out.", parameters=(PICTURE,), returns="the new file's name"),
    ToolSpec(name="refuse", description="Say no."),
    ToolSpec(
        name="wait",
        description="Answer late.",
        parameters=(
            Parameter(name="seconds", type="number"),
            Parameter(name="tag", type="string", required=False, default="done"),
        ),
    ),
)


class Shelf:
    """A store in memory, and the tools: what a sandbox is handed."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.called: list[tuple[str, dict[str, Any]]] = []

    def put(self, name: str, data: bytes) -> File:
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return File(name=name, sha256=digest, size=len(data), media_type=media_type)

    def read(self, file: File) -> bytes:
        return self.blobs[file.sha256]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        self.called.append((name, dict(arguments)))
        image = arguments.get("image")
        if name == "refuse":
            return Answered(error="no, thank you")
        if name == "wait":
            if not isinstance(seconds := arguments.get("seconds"), int | float):
                return Answered(error="seconds must be a number")
            await asyncio.sleep(seconds)
            return Answered(value=arguments.get("tag", "done"))
        if not isinstance(image, FileBytes):
            return Answered(error="image must be a file")
        return Answered(value=len(image.data)) if name == "size" else Answered(files={"crop.png": image.data[:2]})


async def _suffer(sandbox: Sandbox, code: str) -> Observation:
    """Run ``code`` in one of two candidates; the other and a witness forked later must know nothing of it."""
    state = await sandbox.open("box", [])
    await state.run(STATE, 0)
    victim, sibling = await state.fork(), await state.fork()
    observation = await victim.run(code, 0)
    if observation.outcome in ("timeout", "died"):
        with pytest.raises(SandboxError):
            await victim.run("1", 0)
    await victim.close()
    for witness in (sibling, await state.fork()):
        seen = await shown(witness, "x, numbers, open('note.txt').read(), handle.tell()")
        assert seen == "(1, [1, 2, 3], 'ours', 0)"
    return observation


async def shown(interpreter: Interpreter, expression: str) -> str | None:
    """The repr of an expression, which must not fail."""
    observation = await interpreter.run(expression, 0)
    assert observation.outcome == "ok", observation
    return observation.value


def bare(observation: Observation) -> Observation:
    """Without times."""
    calls = tuple(c.model_copy(update={"result": c.result.model_copy(update={"wall_s": 0})}) for c in observation.calls)
    return observation.model_copy(update={"wall_s": 0.0, "cpu_s": 0.0, "calls": calls})


DEEDS = {  # what one candidate does, what its sibling asks, and what the sibling must see
    "variable": ("x = 2", "x", "1"),
    "mutation": ("numbers.append(4)", "numbers", "[1, 2, 3]"),
    "file": ("open('note.txt', 'w').write('mine')", "open('note.txt').read()", "'ours'"),
    "new file": ("open('new.txt', 'w').write('mine')", "__import__('os').path.exists('new.txt')", "False"),
    "import": ("import wave", "'wave' in __import__('sys').modules", "False"),
    "current directory": (
        "import os; os.mkdir('d'); os.chdir('d')",
        "__import__('os').listdir()",
        "['.tmp', 'note.txt']",
    ),
    "environment": ("import os; os.environ['LEAK'] = '1'", "__import__('os').environ.get('LEAK', 'none')", "'none'"),
    "builtins": ("import builtins; builtins.len = None; len", "len('four')", "4"),
    "open file": ("handle.read(2)", "handle.read()", "'ours'"),
    "appended file": ("log.write('mine'); log.flush()", "open('note.txt').read()", "'ours'"),
}
STATE = """
x = 1; numbers = [1, 2, 3]
with open('note.txt', 'w') as f: f.write('ours')
handle = open('note.txt'); log = open('note.txt', 'a')
"""

HANGS = {
    "endless loop": "while True: pass",
    "stubborn loop": "while True:\n try:\n  while True: pass\n except BaseException: pass",
    "sleep with signals ignored": "import signal, time; signal.signal(15, 1); time.sleep(60)",
    "endless output": "while True: print('x' * 1000)",
    "endless repr": "class R:\n def __repr__(self):\n  while True: pass\nR()",
    "catastrophe in C": "9**10**8",
}
DISASTERS = {  # code, outcomes, and a word of the error
    "list bomb": ("x = []\nwhile True: x.append(bytearray(10**7))", "error", "MemoryError"),
    "huge array": ("import numpy; numpy.ones(10**11)", "error", "Unable to allocate"),
    "exit": ("import sys; sys.exit(3)", "error", "SystemExit: 3"),
    "hard exit": ("import os; os._exit(0)", "died", "status 0"),
    "null pointer": ("import ctypes; ctypes.string_at(0)", "died", "SIGSEGV"),
    "abort": ("import os; os.abort()", "died", "SIG"),
    "closed channel": ("import os; os.closerange(3, 100)", "died", ""),
    "directory removed": ("import os, shutil; shutil.rmtree(os.getcwd())", "ok|error", ""),
    "recursion": ("def f(): return f()\nf()", "error", "RecursionError"),
    "exception that cannot be shown": ("class E(Exception):\n __str__ = None\nraise E", "error", "E"),
    "patched builtins": ("import builtins; builtins.repr = builtins.len = builtins.isinstance = None", "ok", ""),
}


class SandboxContract:
    """The suite. Fixtures: ``sandbox`` (started, with SPECS and LIMITS), ``hasty`` (HASTY), ``shelf`` (of both)."""

    async def test_variables_persist_from_run_to_run(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        await state.run("x = 20\ndef double(v):\n    return 2 * v", 0)
        assert await shown(state, "double(x) + 2") == "42"

    async def test_none_shows_nothing_and_prints_are_captured_from_c_too(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        observation = await state.run("print('a'); import os; os.write(1, b'b'); os.write(2, b'c'); None", 0)
        assert (observation.stdout, observation.stderr, observation.value) == ("a\nb", "c", None)

    async def test_output_is_cut_and_its_true_size_told(self, sandbox: Sandbox) -> None:
        observation = await (await sandbox.open("box", [])).run("print('x' * 1_000_000)", 0)
        assert len(observation.stdout) == LIMITS.output_bytes and observation.truncated == 1_000_001

    async def test_a_traceback_names_the_line_of_the_code(self, sandbox: Sandbox) -> None:
        observation = await (await sandbox.open("box", [])).run("x = 0\n\ny = 1 / x", 0)
        assert observation.error == "line 3: y = 1 / x\nZeroDivisionError: division by zero"

    async def test_addresses_are_scrubbed(self, sandbox: Sandbox) -> None:
        assert "at 0x...>" in str(await shown(await sandbox.open("box", []), "object()"))

    async def test_files_of_the_task_lie_in_the_directory(self, sandbox: Sandbox, shelf: Shelf) -> None:
        state = await sandbox.open("box", [shelf.put("a.txt", b"hello")])
        assert await shown(state, "open('a.txt').read()") == "'hello'"

    async def test_new_and_changed_files_are_outputs_but_links_are_not(self, sandbox: Sandbox, shelf: Shelf) -> None:
        state = await sandbox.open("box", [shelf.put("a.txt", b"hello")])
        await state.run("open('b.txt', 'w').write('hello')", 0)
        observation = await state.run(
            "import os; open('b.txt', 'a').write('!'); os.mkdir('d'); open('d/c', 'w').write('1')\n"
            "os.symlink('/etc/hostname', 'link')",
            0,
        )
        assert [(f.name, shelf.read(f)) for f in observation.files] == [("b.txt", b"hello!"), ("d/c", b"1")]

    @pytest.mark.parametrize("deed", DEEDS)
    async def test_a_candidate_sees_nothing_of_its_sibling(self, sandbox: Sandbox, deed: str) -> None:
        does, asks, sees = DEEDS[deed]
        state = await sandbox.open("box", [])
        await state.run(STATE, 0)
        one, other = await state.fork(), await state.fork()
        assert (await one.run(does, 0)).outcome == "ok"
        assert await shown(other, f"sorted({asks})" if sees.startswith("['") else asks) == sees
        assert await shown(await state.fork(), f"sorted({asks})" if sees.startswith("['") else asks) == sees

    async def test_the_winner_lives_on_when_state_and_losers_are_closed(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        winner, loser = await state.fork(), await state.fork()
        await asyncio.gather(winner.run("x = 1; open('f', 'w').write('w')", 0), loser.run("x = 2", 0))
        await loser.close()
        await state.close()
        child = await winner.fork()
        assert await shown(child, "x, open('f').read()") == "(1, 'w')"

    async def test_all_candidates_see_one_path(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        await state.run("import os; here = os.getcwd(); open('f', 'w').write('x')", 0)
        children = [await state.fork() for _ in range(3)]
        code = "os.getcwd() == here, open(here + '/f').read(), os.getcwd()"
        seen = await asyncio.gather(*(child.run(code, 0) for child in children))
        assert [o.value for o in seen] == ["(True, 'x', '.')"] * 3

    @pytest.mark.parametrize("disaster", DISASTERS)
    async def test_a_disaster_is_an_observation_and_harms_nobody(self, sandbox: Sandbox, disaster: str) -> None:
        code, outcomes, word = DISASTERS[disaster]
        observation = await _suffer(sandbox, code)
        assert observation.outcome in outcomes.split("|") and word in (observation.error or ""), observation

    @pytest.mark.parametrize("hang", HANGS)
    async def test_a_hang_ends_at_the_limit_and_harms_nobody(self, hasty: Sandbox, hang: str) -> None:
        began = asyncio.get_running_loop().time()
        observation = await _suffer(hasty, HANGS[hang])
        assert observation.outcome == "timeout" and "after 1 s" in str(observation.error)
        assert HASTY.wall_s <= observation.wall_s < HASTY.wall_s + 1
        assert asyncio.get_running_loop().time() - began < HASTY.wall_s + 5  # with all that went before and after

    async def test_equal_seeds_give_equal_observations(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        code = (
            "import random, numpy\n"
            "random.random(), numpy.random.rand(), numpy.random.default_rng().random(), hash('a'), {'a', 'b', 'c'}"
        )
        one, two, three = [await (await state.fork()).run(code, seed) for seed in (1, 1, 2)]
        assert bare(one) == bare(two) and one.value != three.value

    async def test_a_tool_gets_bytes_and_gives_a_value(self, sandbox: Sandbox, shelf: Shelf) -> None:
        file = shelf.put("a.png", b"12345")
        observation = await (await sandbox.open("box", [file])).run("size('a.png') + size(image='./a.png')", 0)
        assert observation.value == "10"
        assert [record.call.arguments for record in observation.calls] == [
            {"image": {"file": file.sha256, "name": "a.png"}}
        ] * 2
        assert shelf.called[0] == ("size", {"image": FileBytes(b"12345", "image/png")})

    async def test_a_tools_file_lies_in_the_directory_under_a_free_name(self, sandbox: Sandbox, shelf: Shelf) -> None:
        state = await sandbox.open("box", [shelf.put("a.png", b"12345")])
        observation = await state.run("one = crop('a.png'); two = crop(one); one, two, open(two).read()", 0)
        assert observation.value == "('crop.png', 'crop_1.png', '12')"
        assert [file.name for file in observation.files] == ["crop.png", "crop_1.png"]
        assert [file.name for record in observation.calls for file in record.result.files] == ["crop.png", "crop_1.png"]

    async def test_a_tools_no_is_an_exception_inside(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        observation = await state.run("try:\n    refuse()\nexcept ToolError as e:\n    print('no:', e)", 0)
        assert observation.stdout == "no: no, thank you\n" and observation.calls[0].result.error == "no, thank you"

    @pytest.mark.parametrize(
        "call",
        [
            "size()",
            "size('a', 'b')",
            "size(picture='a')",
            "size(3)",
            "wait('1')",
            "wait(1, tag=2)",
            "wait({1})",
            "wait(1e999)",
        ],
    )
    async def test_a_wrong_argument_never_crosses(self, sandbox: Sandbox, shelf: Shelf, call: str) -> None:
        observation = await (await sandbox.open("box", [])).run(call, 0)
        assert "TypeError" in (observation.error or "") and not shelf.called and not observation.calls

    async def test_an_argument_too_large_for_a_frame_is_an_exception_inside(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        observation = await state.run("wait(0, tag='x' * 3_000_000)", 0)
        assert "ToolError: wait: the arguments are too large" in str(observation.error)
        assert await shown(state, "1") == "1"

    @pytest.mark.parametrize("name", ["missing", "../out", "/etc/hostname", "link", "folder/inner", "pipe", "folder"])
    async def test_a_file_argument_stays_inside(self, sandbox: Sandbox, shelf: Shelf, name: str) -> None:
        state = await sandbox.open("box", [])
        await state.run(
            "import os; os.symlink('/etc/hostname', 'link'); os.symlink('/etc', 'folder'); os.mkfifo('pipe')", 0
        )
        observation = await state.run(f"size({name!r})", 0)
        assert "ToolError: size" in (observation.error or "") and not shelf.called and observation.calls == ()

    async def test_waits_for_tools_overlap_and_cost_no_time(self, hasty: Sandbox) -> None:
        state = await hasty.open("box", [])
        children = [await state.fork() for _ in range(4)]
        began = asyncio.get_running_loop().time()
        code = "open('f', 'w').write('{0}'); r = wait(1.5, tag='{0}'); r, open('f').read()"
        seen = await asyncio.gather(*(child.run(code.format(i), 0) for i, child in enumerate(children)))
        assert asyncio.get_running_loop().time() - began < 3.0
        assert [o.value for o in seen] == [f"('{i}', '{i}')" for i in range(4)]

    async def test_final_answer_ends_the_code(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        observation = await state.run(
            "try:\n    final_answer({'a': [1, 2]})\nexcept Exception:\n    pass\nprint('after')", 0
        )
        assert (observation.outcome, observation.answered, observation.answer) == ("ok", True, {"a": [1, 2]})
        assert observation.stdout == ""

    async def test_an_answer_that_is_no_json_is_its_text_and_none_is_an_answer(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        assert (await state.run("final_answer(float('nan'))", 0)).answer == "nan"
        nothing = await state.run("final_answer(None)", 0)
        assert nothing.answered and nothing.answer is None
        assert not (await state.run("1", 0)).answered

    async def test_replay_equals_the_original_and_calls_no_tool(self, sandbox: Sandbox, shelf: Shelf) -> None:
        files = [shelf.put("a.png", b"12345")]
        codes = [
            "import random; x = [random.random()]; part = crop('a.png')",
            "x.append(size(part)); 1 / 0",
            "x.append(random.random()); open('out', 'w').write(str(x)); print(x)",
        ]
        original = await sandbox.open("box", files)
        seen = [await original.run(code, seed) for seed, code in enumerate(codes)]
        probe = "x, part, sorted(__import__('os').listdir()), __import__('os').getcwd()"
        expected = await shown(original, probe)
        await original.close()
        called = len(shelf.called)
        journal = [Entry(code, seed, seen[seed].calls) for seed, code in enumerate(codes)]
        again = await sandbox.restore("box", files, journal)
        assert await shown(again, probe) == expected and len(shelf.called) == called
        live = await again.run("x.append(size('a.png')); x[-1]", 9)
        assert live.value == "5" and len(shelf.called) == called + 1

    async def test_a_journal_of_other_code_is_refused(self, sandbox: Sandbox, shelf: Shelf) -> None:
        state = await sandbox.open("box", [])
        seen = await state.run("wait(0)", 0)
        await state.close()
        for code in ("refuse()", "1", "wait(0); wait(0)"):
            with pytest.raises(SandboxError, match="replay diverged"):
                await sandbox.restore("box", [], [Entry(code, 0, seen.calls)])

    async def test_a_state_with_threads_can_be_forked(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        await state.run(
            "import threading, time; x = 5; threading.Thread(target=time.sleep, args=(30,), daemon=True).start()", 0
        )
        child = await state.fork()
        assert await shown(child, "x") == "5"

    async def test_close_may_be_called_twice(self, sandbox: Sandbox) -> None:
        state = await sandbox.open("box", [])
        await state.close()
        await state.close()
        with pytest.raises(SandboxError):
            await state.fork()
