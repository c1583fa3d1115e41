from __future__ import annotations

import asyncio

import pytest

from sport.llm.lanes import Batcher, Waiting


class Echo:
    """Answers with the request, and notes every batch as the requests in it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.batcher: Batcher[str, str] = Batcher(self.run)

    async def run(self, batch: list[Waiting[str, str]]) -> None:
        self.batches.append([waiting.request for waiting in batch])
        await asyncio.sleep(0.001)
        for waiting in batch:
            if waiting.request == "bad":
                raise ValueError("bad")
            if not waiting.answer.done():
                waiting.answer.set_result(waiting.request)


async def test_all_open_lanes_form_one_batch_in_order_whatever_the_timing():
    echo = Echo()

    async def lane(order: int) -> None:
        async with echo.batcher.lane():
            for step in range(3):
                await asyncio.sleep(0.003 * ((order * 7 + step * 5) % 4))
                await echo.batcher.ask(order, f"{order}.{step}")

    await asyncio.gather(*(lane(order) for order in (2, 0, 1)))
    assert echo.batches == [[f"{order}.{step}" for order in range(3)] for step in range(3)]


async def test_lanes_that_open_and_ask_in_one_breath_share_the_first_batch():
    echo = Echo()

    async def lane(order: int) -> str:
        async with echo.batcher.lane():
            return await echo.batcher.ask(order, str(order))

    await asyncio.gather(*(lane(order) for order in range(4)))
    assert echo.batches == [["0", "1", "2", "3"]]


async def test_two_requests_of_one_lane_do_not_pass_for_two_lanes():
    echo = Echo()
    gate = asyncio.Event()

    async def busy() -> None:
        async with echo.batcher.lane():
            await asyncio.gather(echo.batcher.ask(0, "a"), echo.batcher.ask(1, "b"))

    async def late() -> None:
        async with echo.batcher.lane():
            await gate.wait()
            await echo.batcher.ask(2, "c")

    both = asyncio.gather(busy(), late())
    await asyncio.sleep(0.01)
    assert echo.batches == []
    gate.set()
    await both
    assert echo.batches == [["a", "b", "c"]]


async def test_lanes_of_two_engines_nest():
    one, two = Echo(), Echo()

    async def lane(order: int) -> None:
        async with one.batcher.lane(), two.batcher.lane():
            await one.batcher.ask(order, str(order))
            await two.batcher.ask(order, str(order))

    await asyncio.wait_for(asyncio.gather(lane(0), lane(1)), 5)
    assert one.batches == two.batches == [["0", "1"]]


async def test_without_a_lane_a_request_runs_at_once():
    echo = Echo()
    assert await echo.batcher.ask(0, "alone") == "alone"


async def test_a_cancelled_request_leaves_the_batch():
    echo = Echo()

    async def lane(word: str) -> None:
        async with echo.batcher.lane():
            await echo.batcher.ask(0, word)

    async def slow() -> None:
        async with echo.batcher.lane():
            await asyncio.sleep(0.02)
            await echo.batcher.ask(1, "slow")

    quick, patient = asyncio.create_task(lane("quick")), asyncio.create_task(slow())
    await asyncio.sleep(0.005)
    quick.cancel()
    await patient
    assert echo.batches == [["slow"]]


async def test_an_error_reaches_every_request_of_its_batch_and_no_other():
    echo = Echo()

    async def lane(word: str) -> str:
        async with echo.batcher.lane():
            return await echo.batcher.ask(0, word)

    results = await asyncio.gather(lane("bad"), lane("good"), return_exceptions=True)
    assert all(isinstance(result, ValueError) for result in results)
    with pytest.raises(ValueError):
        await echo.batcher.ask(0, "bad")
    assert await echo.batcher.ask(0, "good") == "good"
