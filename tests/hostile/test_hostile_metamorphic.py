"""What must not matter does not: the order of candidates, and whether a state was forked or replayed."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator

import pytest

from conformance.sandbox import SPECS, Shelf, bare
from hostile.programs import program
from sport.config import SandboxSection
from sport.sandbox.base import Entry
from sport.sandbox.forked import ForkedSandbox
from sport.types import Observation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the forking sandbox is for Linux")

LIMITS = SandboxSection(wall_s=20.0, memory_mb=256, libraries=("numpy",))


@pytest.fixture
async def sandbox() -> AsyncIterator[ForkedSandbox]:
    shelf = Shelf()
    made = ForkedSandbox(specs=SPECS, call=shelf.call, put=shelf.put, read=shelf.read, limits=LIMITS)
    await made.start()
    yield made
    await made.stop()


async def grown(sandbox: ForkedSandbox, box: str, codes: list[str]) -> list[Observation]:
    """The program, each step in a fork that wins."""
    state = await sandbox.open(box, [])
    seen = []
    for seed, code in enumerate(codes):
        child = await state.fork()
        await state.close()
        state = child
        seen.append(await state.run(code, seed))
    await state.close()
    return seen


async def replayed(sandbox: ForkedSandbox, box: str, codes: list[str], seen: list[Observation]) -> Observation:
    """The last step again, on a state rebuilt from the journal of those before."""
    journal = [Entry(code, seed, seen[seed].calls) for seed, code in enumerate(codes[:-1])]
    state = await sandbox.restore(box, [], journal)
    last = await state.run(codes[-1], len(codes) - 1)
    await state.close()
    return last


async def check_replay(sandbox: ForkedSandbox, seeds: range) -> None:
    async def one(seed: int) -> None:
        async with room:
            codes = program(seed)
            seen = await grown(sandbox, f"grown-{seed}", codes)
            assert {o.outcome for o in seen} <= {"ok", "error"}, (seed, seen)
            again = await replayed(sandbox, f"replayed-{seed}", codes, seen)
            assert bare(again).model_dump_json() == bare(seen[-1]).model_dump_json(), (seed, codes)

    room = asyncio.Semaphore(4)
    async with asyncio.TaskGroup() as group:
        for seed in seeds:
            group.create_task(one(seed))


async def test_fork_equals_replay(sandbox: ForkedSandbox) -> None:
    await check_replay(sandbox, range(6))


@pytest.mark.hostile
async def test_fork_equals_replay_over_200_programs(sandbox: ForkedSandbox) -> None:
    await check_replay(sandbox, range(200))


def test_the_programs_do_something() -> None:
    """Over 200 programs every deed occurs, and most programs fail somewhere: errors are replayed as well."""
    texts = ["\n".join(program(seed)) for seed in range(200)]
    assert len(set(texts)) == 200
    for word in ("default_rng", "wait(0", "class Point", "handle.read", "makedirs", "1 / (n", "stderr"):
        assert sum(word in text for text in texts) > 20, word


@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 12), marks=pytest.mark.hostile)])
async def test_the_order_of_candidates_changes_nothing(sandbox: ForkedSandbox, seeds: range) -> None:
    """Same state, same candidates, another order and all at once: the same observations, the same state afterwards."""
    for seed in seeds:
        first, *candidates = [program(seed)[0], *(program(seed + 1000 * i)[1] for i in range(1, 4))]
        found = set()
        for order in itertools.permutations(range(3)):
            state = await sandbox.open("box", [])
            await state.run(first, 0)
            forks = {i: await state.fork() for i in order}
            runs = await asyncio.gather(*(forks[i].run(candidates[i], i) for i in order))
            seen = dict(zip(order, runs, strict=True))
            after = await state.run("n, items, table, words, sorted(os.listdir('.')), random.random()", 5)
            found.add("\n".join([*(bare(seen[i]).model_dump_json() for i in range(3)), bare(after).model_dump_json()]))
            await asyncio.gather(state.close(), *(fork.close() for fork in forks.values()))
        assert len(found) == 1, (seed, found)
