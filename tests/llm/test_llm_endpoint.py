"""The endpoint engine against real servers on loopback: honest ones, and one that follows a script of faults."""

from __future__ import annotations

import asyncio
import time

import pytest

import servers
from conformance.llm import LLMSuite, ask, sampling
from models import picture_file
from servers import completion, echo, echo_one, script, serving, status
from sport.config import Endpoint
from sport.errors import BudgetError, ConfigError, ContentError, FatalModelError, TransientModelError
from sport.llm.endpoint import EndpointLLM
from sport.llm.ledger import Ledger
from sport.types import File, Image, Message, Sampling, Spent, Text, Usage

WHERE = "controller.endpoint"
SECRET = "sk-very-secret-0123456789"


def unread(file: File) -> bytes:
    raise AssertionError(file)


def engine(*urls: str, read=unread, spent=None, saved=None, **changes) -> EndpointLLM:
    values = {"model": "tiny", "timeout_s": 5.0, "deadline_s": 20.0, "max_wait_s": 0.05, "key_env": "KEY", **changes}
    settings = Endpoint(base_urls=urls, **values)
    note = saved.append if saved is not None else (lambda _: None)
    ledger = Ledger(WHERE, settings, spent or Spent(), note)
    return EndpointLLM(settings, WHERE, read, ledger, {"KEY": SECRET})


async def texts(llm: EndpointLLM, n: int = 1, **changes) -> list[str]:
    return [s.text for s in await llm.sample(ask("hi"), n, Sampling(max_new_tokens=8, **changes))]


class TestHonestServerConforms(LLMSuite):
    @pytest.fixture
    def llm(self):
        with serving(echo) as server:
            yield engine(server.url)


class TestServerWithoutNConforms(LLMSuite):
    @pytest.fixture
    def llm(self):
        with serving(echo_one) as server:
            yield engine(server.url)


# ------------------------------------------------------------------------------------------ what is sent


async def test_what_a_call_says():
    with serving(echo) as server:
        llm = engine(server.url, logprobs=True)
        draw = Sampling(temperature=0.7, top_p=0.8, top_k=100, max_new_tokens=9, stop=("<end>",), seed=2**62 + 5)
        (first, second) = await llm.sample(ask("hi"), 2, draw)
    assert server.asked == [
        {
            "model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "temperature": 0.7,
            "top_p": 0.8, "top_k": 100, "seed": 5, "n": 2, "stop": ["<end>"], "logprobs": True,
        }
    ]  # fmt: skip
    assert server.seen[0][1]["authorization"] == f"Bearer {SECRET}"
    assert (first.usage, second.usage) == (
        Usage(prompt_tokens=7, completion_tokens=3),
        Usage(prompt_tokens=0, completion_tokens=3),
    )
    assert first.source == f"tiny-1@{server.url}"


async def test_parameters_are_left_out_and_renamed_on_request():
    with serving(echo) as server:
        await texts(engine(server.url, leave_out=("seed", "temperature"), limit_name="max_completion_tokens"))
    assert set(server.asked[0]) == {"model", "messages", "max_completion_tokens", "top_p"}


async def test_pictures_travel_as_data_uris_of_their_true_type():
    data, digest = picture_file(1)
    file = File(name="a.jpg", sha256=digest, size=len(data), media_type="image/jpeg")
    message = Message(role="user", parts=(Image(file=file), Text(text="what?")))
    with serving(echo) as server:
        await engine(server.url, read=lambda _: data).sample([message], 1, sampling())
        with pytest.raises(ContentError, match=r"a\.jpg: this picture cannot be opened"):
            await engine(server.url, read=lambda _: b"junk").sample([message], 1, sampling())
    picture, words = server.asked[0]["messages"][0]["content"]
    assert words == {"type": "text", "text": "what?"}
    assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert len(server.asked) == 1


async def test_candidates_of_one_temperature_share_a_call():
    with serving(echo) as server:
        assert len(await texts(engine(server.url), 5, temperatures=(0.7, 1.2, 1.2, 1.2, 1.2))) == 5
    assert sorted((body["temperature"], body.get("n", 1)) for body in server.asked) == [(0.7, 1), (1.2, 4)]


# ---------------------------------------------------------------------------------------- fewer than asked for


async def test_a_server_that_ignores_n_is_asked_for_the_rest_and_remembered():
    with serving(echo_one) as server:
        llm = engine(server.url)
        assert len(set(await texts(llm, 4))) == 4
        await texts(llm, 3)
    assert [body.get("n") for body in server.asked] == [4, None, None, None, None, None, None]


async def test_a_server_that_refuses_n_is_asked_one_by_one():
    def refuse(handler, body):
        (status(400, "n must be 1") if "n" in body else echo)(handler, body)

    with serving(refuse) as server:
        assert len(set(await texts(engine(server.url), 3))) == 3
    assert len(server.asked) == 4


async def test_choices_without_a_text_are_asked_for_again_and_empty_ones_are_texts():
    missing = lambda handler, _: handler.reply(200, completion("a", None, "", "d"))  # noqa: E731
    with serving(script(missing)) as server:
        got = await texts(engine(server.url), 4)
    assert got[0] == "a"
    assert got[1:3] == ["", "d"]
    assert got[3].startswith("hi ")
    assert [body.get("n") for body in server.asked] == [4, None]


async def test_a_server_that_never_gives_a_text_breaks_its_contract():
    silent = lambda handler, _: handler.reply(200, completion(None))  # noqa: E731
    with serving(silent) as server, pytest.raises(ContentError, match="1 texts, 0 came"):
        await texts(engine(server.url))
    assert len(server.asked) == 4


async def test_a_text_cut_at_the_limit_is_not_finished():
    with serving(lambda handler, _: handler.reply(200, completion("a", finish="length"))) as server:
        (sample,) = await engine(server.url).sample(ask("hi"), 1, sampling())
    assert sample.finished is False


# ------------------------------------------------------------------------------------------------- faults

CUT = b'{"choices": [{"index": 0, "message": {"con'


@pytest.mark.parametrize(
    "play",
    [
        status(500),
        status(503),
        status(429, "slow down"),
        status(408),
        servers.reset,
        servers.raw(CUT),
        servers.raw(b"<html>busy</html>", "text/html"),
        servers.raw(b'{"error": {"message": "overloaded", "code": 502}}'),
        servers.raw(b'{"choices": []}'),
        servers.raw(b'{"choices": null}'),
        servers.raw(b"[]"),
    ],
)
async def test_passing_faults_are_tried_again(play):
    with serving(script(play, play)) as server:
        assert (await texts(engine(server.url)))[0].startswith("hi")
    assert len(server.asked) == 3


@pytest.mark.parametrize("play", [servers.stall, servers.drip])
async def test_a_try_has_a_limit_in_all(play):
    with serving(script(play)) as server:
        began = time.monotonic()
        assert await texts(engine(server.url, timeout_s=0.4))
        assert time.monotonic() - began < 2.5


async def test_a_call_has_a_deadline_in_all():
    with serving(servers.stall) as server:
        began = time.monotonic()
        with pytest.raises(TransientModelError, match="no answer within"):
            await texts(engine(server.url, timeout_s=0.3, deadline_s=1.0, tries=100))
        assert time.monotonic() - began < 2.5


async def test_retry_after_is_heeded_and_capped():
    with serving(script(status(429, Retry_After=0.4))) as server:
        began = time.monotonic()
        await texts(engine(server.url, max_wait_s=5.0))
        assert time.monotonic() - began >= 0.4
    with serving(script(status(429, Retry_After=3600))) as server:
        began = time.monotonic()
        await texts(engine(server.url, max_wait_s=0.1))
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("play", "error", "words"),
    [
        (status(401, f"bad key {SECRET}"), FatalModelError, r"bad key \[key\].* variable KEY is not accepted"),
        (status(404, "no model tiny"), FatalModelError, "is there a model 'tiny'"),
        (status(429, "You exceeded your current quota", code="insufficient_quota"), FatalModelError, "nothing left"),
        (status(402, "pay"), FatalModelError, "nothing left"),
        (status(422, "Unexpected fields: top_k"), FatalModelError, "leave_out"),
        (status(400, "This model's maximum context length is 10 tokens"), ContentError, "longer than the model's"),
        (status(400, "filtered", code="content_filter"), ContentError, "filtered"),
        (status(400, "n must be 1"), FatalModelError, "n must be 1"),
    ],
)
async def test_lasting_faults_are_not_tried_again(play, error, words):
    with serving(play) as server, pytest.raises(error, match=words) as caught:
        await texts(engine(server.url))
    assert len(server.asked) == 1
    assert SECRET not in str(caught.value)
    assert server.url in str(caught.value)


async def test_a_page_and_nobody_at_all_end_the_run_with_a_message():
    page = servers.raw(b"<html></html>", "text/html")
    with serving(page) as server, pytest.raises(FatalModelError, match="a page came instead of JSON"):
        await texts(engine(server.url, tries=2))
    with pytest.raises(FatalModelError, match="nobody answers"):
        await texts(engine(server.url, tries=2))


async def test_many_failures_in_a_row_are_not_the_conversations_fault():
    with serving(status(500)) as server:
        llm = engine(server.url, tries=1)
        for _ in range(4):
            with pytest.raises(TransientModelError):
                await texts(llm)
        with pytest.raises(FatalModelError, match="5 calls in a row"):
            await texts(llm)


# ------------------------------------------------------------------------------------------- many servers


async def test_servers_are_balanced_and_concurrency_is_bounded():
    busy, most = [0], [0]

    def slow(handler, body):
        busy[0] += 1
        most[0] = max(most[0], busy[0])
        time.sleep(0.05)
        busy[0] -= 1
        echo(handler, body)

    with serving(slow) as one, serving(slow) as two:
        llm = engine(one.url, two.url, concurrency=4)
        async with llm.lane():
            await asyncio.gather(*(texts(llm) for _ in range(16)))
    assert most[0] <= 4
    assert min(len(one.asked), len(two.asked)) >= 6


async def test_a_dead_server_is_left_alone_for_a_while():
    with serving(echo) as gone:
        pass
    with serving(echo) as alive:
        llm = engine(gone.url, alive.url)
        for _ in range(5):
            assert await texts(llm)
    assert len(alive.asked) == 5


# ------------------------------------------------------------------------------------------------- money


async def test_tokens_and_money_are_counted_and_a_budget_stops():
    saved: list[Spent] = []
    with serving(echo) as server:
        llm = engine(server.url, saved=saved, price_in=1_000_000.0, price_out=2_000_000.0, max_tokens=20)
        await texts(llm)
        await texts(llm)
        with pytest.raises(BudgetError, match=r"20 tokens spent of max_tokens = 20.*--set controller\.endpoint"):
            await texts(llm)
    assert len(server.asked) == 2
    assert saved[-1] == Spent(calls=2, prompt_tokens=14, completion_tokens=6, cost=26.0)
    with serving(echo) as server, pytest.raises(BudgetError, match="max_cost"):
        await texts(engine(server.url, spent=saved[-1], price_in=1.0, price_out=1.0, max_cost=26.0))
    assert server.asked == []


async def test_calls_whose_price_never_came_are_counted_apart():
    saved: list[Spent] = []
    with serving(script(servers.reset, servers.raw(CUT), status(500))) as server:
        await texts(engine(server.url, saved=saved))
    assert (saved[-1].calls, saved[-1].unknown) == (3, 2)


async def test_a_budget_needs_a_server_that_reports_usage():
    with serving(lambda handler, _: handler.reply(200, completion("a", usage=False))) as server:
        assert await texts(engine(server.url)) == ["a"]
        with pytest.raises(FatalModelError, match="reports no usage"):
            await texts(engine(server.url, max_tokens=5))


async def test_a_call_that_is_cancelled_is_counted():
    saved: list[Spent] = []
    with serving(servers.stall) as server:
        call = asyncio.create_task(texts(engine(server.url, saved=saved)))
        while not server.asked:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert saved[-1].unknown == 1


# ----------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_urls": ()}, "base_urls: name at least one"),
        ({"base_urls": ("127.0.0.1:8000",)}, "no http"),
        ({"base_urls": ("http://me:secret@host/v1",)}, "holds a password"),
        ({"model": ""}, "model: name the model"),
        ({"max_cost": 1.0}, "price_in"),
        ({"key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY is not set"),
    ],
)
def test_settings_that_cannot_work_are_named(changes, words):
    settings = Endpoint(**{"base_urls": ("http://127.0.0.1:1/v1",), "model": "tiny", **changes})
    with pytest.raises(ConfigError, match=words) as caught:
        EndpointLLM(settings, WHERE, unread, Ledger(WHERE, settings, Spent(), lambda _: None), {})
    assert "secret" not in str(caught.value)
