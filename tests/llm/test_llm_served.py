"""A controller that is sampled from over there and tuned here: who answers, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.llm import LLMSuite, ask, sampling
from sport.errors import CheckpointError
from sport.llm.base import LLM
from sport.llm.scripted import ScriptedLLM
from sport.llm.served import ServedLLM


def engine(name: str) -> ScriptedLLM:
    return ScriptedLLM(lambda messages, n, s: [f"{name}: {messages[-1].text} {s.seed} {i}" for i in range(n)])


class TestServedConforms(LLMSuite):
    @pytest.fixture
    def llm(self):
        return ServedLLM(engine("server"), engine("here"))


async def said(llm: LLM) -> str:
    async with llm.lane():
        return (await llm.sample(ask("x"), 1, sampling()))[0].text.partition(":")[0]


async def test_the_server_answers_for_the_plain_model_and_never_for_an_adapter(tmp_path: Path):
    here = engine("here")
    llm = ServedLLM(engine("server"), here)
    assert await said(llm) == "server"
    await llm.use(tmp_path)
    assert (await said(llm), here.adapter) == ("here", tmp_path)
    await llm.use(None)
    assert (await said(llm), here.adapter) == ("server", None)


async def test_a_server_that_can_be_taught_answers_for_the_adapter_too(tmp_path: Path):
    taught: list[Path] = []

    async def go_live(adapter: Path) -> LLM:
        taught.append(adapter)
        return engine(f"server with {adapter.name}")

    llm = ServedLLM(engine("server"), engine("here"), go_live)
    await llm.use(tmp_path)
    assert await said(llm) == f"server with {tmp_path.name}"
    assert taught == [tmp_path]
    await llm.use(None)
    assert await said(llm) == "server"


async def test_what_is_no_adapter_is_refused_and_changes_nothing(tmp_path: Path):
    llm = ServedLLM(engine("server"), engine("here"))
    with pytest.raises(CheckpointError):
        await llm.use(tmp_path / "none")
    assert await said(llm) == "server"
