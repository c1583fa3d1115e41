"""The sandbox by itself: five futures of one state, side by side; none of them sees another."""

import asyncio

from sport.sandbox import LocalSandbox


def price(item: str) -> float:
    """The price of an item in euros."""
    return {"tea": 2.5, "cake": 4.0}[item]


async def main() -> None:
    """Prepare a state, fork it five times, go on with the best."""
    async with LocalSandbox(tools=[price]) as sandbox:
        state = await sandbox.open("shop")
        await state.run("basket = ['tea']; total = price('tea')")
        futures = [await state.fork() for _ in range(5)]
        code = "basket += ['cake'] * {0}; total += {0} * price('cake'); basket, total"
        seen = await asyncio.gather(*(future.run(code.format(n)) for n, future in enumerate(futures)))
        print([observation.value for observation in seen])
        failed = await futures[4].run("price('gold')")
        print(failed.outcome, "-", failed.error)
        print((await state.run("basket, total")).value)  # as it was before the futures


if __name__ == "__main__":
    asyncio.run(main())
