"""Ways to run coroutines: all at once, all to their ends, and once more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines at once; the first error cancels the others and is raised as itself, not in a group.

    Callers tell errors apart by their class (a full disk, a broken sandbox), which a group would hide.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


async def each(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines at once and let every one come to its end; then the first error, in their order, is raised.

    For work whose other results are worth having although one of it failed.
    """
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def twice(
    call: Callable[[], Awaitable[T]], *kinds: type[Exception], between: Callable[[], Awaitable[None]] | None = None
) -> T:
    """``await call()``; if it raises one of ``kinds``, ``await between()`` and try once more. Errors then pass."""
    try:
        return await call()
    except kinds:
        if between is not None:
            await between()
    return await call()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
