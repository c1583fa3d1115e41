"""The recipe's experts: their code gives the key's answer in the real sandbox with the real tools."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path

import pytest

from drafts import Drawn, draw, kinds
from sport.agent.parse import parse
from sport.answers import answer_text, answers_match
from sport.blobs import Blobs
from sport.config import SandboxSection
from sport.sandbox.base import Sandbox
from sport.sandbox.forked import ForkedSandbox
from sport.tools.base import FileBytes
from sport.tools.cache import MemoryCache
from sport.tools.entry import builtin
from sport.tools.toolbox import Toolbox
from sport.types import File, Key
from sport.world.families import ALL, DEPTHS, UNSEEN

TOOLS = ("ocr", "count", "locate", "inspect_file_as_text", "search")


@pytest.fixture
def solve(monkeypatch, root):
    monkeypatch.syspath_prepend(str(root / "recipes" / "nano"))
    from experts import solve

    return solve


@pytest.fixture
async def world(tmp_path: Path):
    """A sandbox with the real tools, and where its files lie."""
    blobs = Blobs(tmp_path / "files")
    box = Toolbox(builtin(TOOLS), workers=1, deadline_s=60.0, memory_mb=4096, cache=MemoryCache())
    sandbox = ForkedSandbox(specs=box.specs, call=box.call, put=blobs.put, read=blobs.read, limits=SandboxSection())
    await box.start()
    await sandbox.start()
    yield sandbox, blobs
    await sandbox.stop()
    await box.stop()


def key(drawn: Drawn) -> Key:
    facts = {"kind": drawn.kind, "slots": dict(drawn.question.slots)}
    return Key(task_id="t", answer=drawn.question.answer, facts=facts)


async def answer(sandbox: Sandbox, file: File, actions: list[str]) -> tuple[str, set[str]]:
    """What the actions come to, and the tools that they called."""
    state = await sandbox.open("t", (file,))
    called: set[str] = set()
    for raw in actions:
        action = parse(raw, True)
        seen = await state.run(str(action.code), 0)
        assert seen.outcome == "ok", (raw, seen.error)
        called |= {record.call.name for record in seen.calls}
    await state.close()
    assert seen.answered
    return answer_text(seen.answer), called


async def check(drawn: list[Drawn], world: tuple[Sandbox, Blobs], solve) -> list[str]:
    sandbox, blobs = world
    wrong = []
    for d in drawn:
        said, called = await answer(sandbox, blobs.put(d.piece.name, d.piece.data), solve(key(d)))
        assert called == {need.tool for need in d.question.needs}
        if not answers_match(said, d.question.answer):
            wrong.append(f"{d.question.query} -> {said}, not {d.question.answer} ({d.piece.layout})")
    return wrong


async def test_one_task_of_every_family_is_solved(world, solve) -> None:
    by_family = {d.family: d for d in kinds(1)}
    assert set(by_family) == set(ALL)
    assert not await check(list(by_family.values()), world, solve)


@pytest.mark.slow
async def test_three_tasks_of_every_kind_are_solved(world, solve) -> None:
    drawn = kinds(3)
    assert {d.kind for d in drawn} == set(DEPTHS)
    wrong = await check(drawn, world, solve)
    assert len(wrong) <= 0.02 * len(drawn), "\n".join(wrong)


def test_no_expert_takes_more_than_four_steps_or_retypes_what_it_read(solve) -> None:
    for d in kinds(3):
        actions = solve(key(d))
        assert 2 <= len(actions) <= 4, d.kind
        asked = {*re.findall(r"\d+", d.question.query), "0", "1", "2", "3", "4", "60", "100"}
        for raw in actions:
            code = re.sub(r'"(image|file)_1\.\w+"', "", str(parse(raw, True).code))
            assert set(re.findall(r"\d+", code)) <= asked, code


@pytest.mark.parametrize("name", ["receipt", "menu", "timetable", "chart", "scoreboard", "weather", "parcel"])
@pytest.mark.slow
def test_ocr_reads_what_the_experts_look_for_on_forty_pictures(name: str) -> None:
    from sport.tools.ocr import Ocr

    ocr, read, there = Ocr(), 0, 0
    for d in draw("unseen" if name in UNSEEN else "explore", 40, (name,)):
        text = ocr.call(FileBytes(d.piece.data, str(mimetypes.guess_type(d.piece.name)[0])))
        for thing, value in d.piece.facts["values"].items():
            wanted = [*value] if isinstance(value, list) else [value]
            there += 1
            read += bool(re.search(rf"{thing}\W", text)) and all(shown(v, name) in text for v in wanted)
    assert read >= 0.97 * there


def shown(value: float | str, family: str) -> str:
    """A value as its family prints it; in a timetable, numbers above a day's first hours are times."""
    if family == "timetable" and isinstance(value, int) and value > 60:
        return f"{value // 60:02}:{value % 60:02}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
