from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from sport.errors import ConfigError
from sport.tools.base import FileBytes
from sport.tools.cache import MemoryCache
from sport.tools.entry import ToolEntry
from sport.tools.toolbox import Toolbox


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "notes.txt"


@pytest.fixture
async def box(troublesome, notes):
    entry = ToolEntry(troublesome.Trouble.spec, "troublesome:Trouble", {"notes": str(notes)})
    box = Toolbox([entry], workers=2, deadline_s=3.0, memory_mb=256, cache=MemoryCache())
    yield box
    await box.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


async def gone(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_call_gives_the_tools_value(box):
    answered = await box.call("trouble", {"what": "fine"})
    assert answered.value == {"what": "fine", "size": None} and answered.error is None and not answered.cached


async def test_bytes_go_in_and_files_come_out(box):
    sent = await box.call("trouble", {"what": "fine", "file": FileBytes(bytes(3_000_000), "text/plain")})
    came = await box.call("trouble", {"what": "files"})
    assert sent.value["size"] == 3_000_000
    assert came.value == [1] and came.files == {"a.bin": bytes(range(256)), "b.txt": b""}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("hang", "no answer within 3 s"),
        ("swell", "out of memory"),
        ("exit", r"died \(exit code 3\)"),
        ("leave", r"died \(exit code 1\)"),
        ("crash", r"died \(signal 11\)"),
        ("refuse", "not today"),
        ("blunder", "ZeroDivisionError"),
        ("nan", "not plain data"),
        ("long", "at most"),
        ("name", "not plain"),
    ],
)
async def test_trouble_is_an_error_text_in_time_and_the_next_call_works(box, what, words):
    await box.start()
    start = time.perf_counter()
    answered = await box.call("trouble", {"what": what})
    assert time.perf_counter() - start < 6
    assert answered.value is None and not answered.files
    assert re.search(words, answered.error)
    assert (await box.call("trouble", {"what": "fine"})).error is None


async def test_what_a_tool_prints_does_no_harm(box):
    assert (await box.call("trouble", {"what": "print"})).value == "printed"


async def test_equal_calls_are_answered_from_the_cache(box, notes):
    first = await box.call("trouble", {"what": "fine"})
    second = await box.call("trouble", {"what": "fine", "file": None})
    assert (second.value, second.cached) == (first.value, True)
    assert len(notes.read_text().splitlines()) == 1


async def test_a_refusal_is_cached_but_a_death_is_not(box, notes):
    for _ in range(2):
        assert (await box.call("trouble", {"what": "refuse"})).error
        assert (await box.call("trouble", {"what": "exit"})).error
    assert [line.split()[0] for line in notes.read_text().splitlines()] == ["refuse", "exit", "exit"]


async def test_the_cache_knows_files_by_content_and_media_type(box, notes):
    for data, media_type in [(b"a", "text/plain"), (b"b", "text/plain"), (b"a", "text/csv"), (b"a", "text/plain")]:
        await box.call("trouble", {"what": "fine", "file": FileBytes(data, media_type)})
    assert len(notes.read_text().splitlines()) == 3


async def test_equal_calls_in_flight_share_one_run(box, notes):
    answers = await asyncio.gather(*(box.call("trouble", {"what": "slow"}) for _ in range(5)))
    assert [answer.value for answer in answers] == ["slept"] * 5
    assert len(notes.read_text().splitlines()) == 1


async def test_a_caller_that_gives_up_does_not_take_the_others_answer_away(box, notes):
    first = asyncio.create_task(box.call("trouble", {"what": "slow"}))
    second = asyncio.create_task(box.call("trouble", {"what": "slow"}))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await second).value == "slept"
    assert len(notes.read_text().splitlines()) == 1


async def test_different_calls_run_side_by_side(box):
    await box.start()
    answers = await asyncio.gather(*(box.call("trouble", {"what": f"meet:{i}"}) for i in range(2)))
    assert [answer.value for answer in answers] == ["met", "met"]


async def test_a_worker_is_killed_with_what_it_started(box, notes):
    child = (await box.call("trouble", {"what": "brood"})).value
    assert alive(child)
    await box.stop()
    worker = int(notes.read_text().split()[1])
    assert await gone(child) and await gone(worker)


async def test_stopping_answers_those_who_wait_and_those_who_come_later(box):
    await box.start()
    waiting = asyncio.create_task(box.call("trouble", {"what": "hang"}))
    await asyncio.sleep(0.1)
    await box.stop()
    assert "stopped" in (await waiting).error
    assert "stopped" in (await box.call("trouble", {"what": "fine"})).error


async def test_no_secret_of_the_environment_reaches_a_tool(box, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    environment = (await box.call("trouble", {"what": "environment"})).value
    assert "s3cret" not in environment.values() and "HOME" not in environment


async def test_wrong_calls_are_error_texts(box):
    assert "there is no tool 'oc'" in (await box.call("oc", {})).error
    assert "needs 'what'" in (await box.call("trouble", {})).error
    assert "no argument 'where'" in (await box.call("trouble", {"what": "fine", "where": 1})).error
    assert "must be string" in (await box.call("trouble", {"what": 3})).error
    assert "must be file" in (await box.call("trouble", {"what": "fine", "file": "a.png"})).error


async def test_a_tool_that_cannot_be_loaded_is_known_at_the_start(troublesome):
    entry = ToolEntry(troublesome.Unloadable.spec, "troublesome:Unloadable")
    box = Toolbox([entry], workers=2, deadline_s=1.0, memory_mb=512, cache=MemoryCache())
    with pytest.raises(ConfigError, match=r"unloadable.*unobtainium"):
        await box.start()
    await box.stop()


def test_two_tools_of_one_name_are_refused(troublesome):
    entry = ToolEntry(troublesome.Trouble.spec, "troublesome:Trouble")
    with pytest.raises(ConfigError, match="twice"):
        Toolbox([entry, entry], workers=1, deadline_s=1.0, memory_mb=512, cache=MemoryCache())


def test_workers_die_with_a_driver_that_is_killed(troublesome, notes):
    program = textwrap.dedent(f"""
        import asyncio, troublesome
        from sport.tools.toolbox import Toolbox, ToolEntry
        from sport.tools.cache import MemoryCache

        async def main():
            entry = ToolEntry(troublesome.Trouble.spec, "troublesome:Trouble", {{"notes": {str(notes)!r}}})
            box = Toolbox([entry], workers=1, deadline_s=99, memory_mb=512, cache=MemoryCache())
            await box.call("trouble", {{"what": "hang"}})

        asyncio.run(main())
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as driver:
        while not notes.exists() or not notes.read_text().endswith("\n"):
            assert driver.poll() is None
            time.sleep(0.05)
        worker = int(notes.read_text().split()[1])
        assert alive(worker)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert asyncio.run(gone(worker))
