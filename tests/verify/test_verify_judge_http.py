"""The judge behind a server: what a step comes to when the server fails in each of its ways."""

from __future__ import annotations

import io
from collections.abc import Callable

import PIL.Image
import pytest

import servers
from conformance.critic import CASES
from sport.agent.choice import choose
from sport.config import CriticSection, Endpoint
from sport.errors import BudgetError, FatalModelError
from sport.llm.endpoint import EndpointLLM
from sport.llm.ledger import Ledger
from sport.types import File, Spent
from sport.verify.judge import JudgeCritic
from steps import TASK

HISTORY, CANDIDATES = CASES["looking and guessing"]


def picture(file: File) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()


async def chosen(play: servers.Play, read: Callable[[File], bytes] = picture, **settings):
    """What becomes of a step, and what the server was asked."""
    with servers.serving(play) as server:
        own = Endpoint(base_urls=(server.url,), model="tiny", tries=2, max_wait_s=0.0, **settings)
        ledger = Ledger("critic.endpoint", own, Spent(), lambda _: None)
        llm = EndpointLLM(own, "critic.endpoint", read, ledger)
        critic = JudgeCritic(llm, CriticSection(kind="endpoint"))
        return await choose(critic.judge, TASK, HISTORY, CANDIDATES, 3), server.asked


async def test_a_verdict_over_http():
    choice, asked = await chosen(servers.judge(lambda text: text.count("ocr(")))
    assert choice.verdict.best == 0
    assert choice.verdict.notes["calls"][0]["model"].startswith("tiny-1@http://127.0.0.1")
    assert asked[0]["temperature"] == 0
    assert any(part["type"] == "image_url" for part in asked[0]["messages"][0]["content"])


@pytest.mark.parametrize(
    "play",
    [
        servers.raw(b"{ no json"),
        servers.status(400, "maximum context length is 8 tokens"),
        servers.status(503, "busy"),
        lambda handler, _: handler.reply(200, servers.completion("I would take the first one.")),
        servers.reset,
    ],
    ids=["not JSON", "context overflow", "unavailable", "no form", "reset"],
)
async def test_no_answer_is_no_verdict_and_the_step_goes_on(play: servers.Play):
    choice, _ = await chosen(play)
    assert choice.verdict.best is None
    assert choice.verdict.asked == 2
    assert choice.continued_with == 0
    assert choice.why.startswith("no verdict: ")


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (servers.status(401, "bad key"), r"critic\.endpoint: .*401: bad key; no key was sent"),
        (servers.status(404, "no such model"), "is there a model 'tiny'"),
        (servers.status(429, "insufficient_quota"), "has nothing left"),
    ],
)
async def test_what_no_further_try_can_help_ends_the_run(play: servers.Play, words: str):
    with pytest.raises(FatalModelError, match=words):
        await chosen(play)


async def test_a_server_that_is_not_there_ends_the_run():
    with servers.serving(servers.echo) as gone:
        pass
    own = Endpoint(base_urls=(gone.url,), model="tiny", tries=1, max_wait_s=0.0)
    llm = EndpointLLM(own, "critic.endpoint", picture, Ledger("critic.endpoint", own, Spent(), lambda _: None))
    with pytest.raises(FatalModelError, match=r"critic\.endpoint: .*nobody answers"):
        await choose(JudgeCritic(llm, CriticSection(kind="endpoint")).judge, TASK, HISTORY, CANDIDATES, 3)


async def test_a_budget_of_its_own():
    with pytest.raises(BudgetError, match=r"critic\.endpoint: 10 tokens spent of max_tokens = 5"):
        await chosen(servers.echo, max_tokens=5)


async def test_a_picture_that_cannot_be_opened_is_no_verdict():
    choice, asked = await chosen(servers.judge(len), read=lambda file: b"no picture")
    assert choice.verdict.best is None
    assert "image_1.png: this picture cannot be opened" in choice.why
    assert asked == []
