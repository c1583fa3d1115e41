"""Language models as the rest of the house sees them: texts for messages, and an adapter that can be changed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from sport.types import Message, Sample, Sampling


class LLM(Protocol):
    """A model that continues conversations.

    The one conformance suite, ``tests/conformance/llm.py``, runs on every implementation.
    """

    async def sample(self, messages: Sequence[Message], n: int, sampling: Sampling) -> list[Sample]:
        """Exactly ``n`` texts that continue ``messages``, candidate i in place i.

        Candidate i depends on (messages, sampling, i) and on the adapter in use, not on what else is being asked.

        Raises:
            TransientModelError: no answer in time, after all tries.
            FatalModelError: no further try can help.
            ContentError: the model's answer breaks its contract.
        """
        ...

    def lane(self) -> AbstractAsyncContextManager[None]:
        """Entered once by every coroutine that will call :meth:`sample` again and again.

        An engine that batches waits until all open lanes are asking, so that its batches do not depend on timing;
        others do nothing here. Whoever holds a lane must not wait for another lane's work.
        """
        ...

    async def use(self, adapter: Path | None) -> None:
        """Answer with this LoRA adapter from now on (a PEFT directory), or with the plain model.

        Raises:
            CheckpointError: a directory that is no adapter of this model.
        """
        ...
