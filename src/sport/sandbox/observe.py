"""Host: from what came over the wall to an :class:`~sport.types.Observation`. Pure, and trusting nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sport.sandbox.toolcalls import clean_json
from sport.types import CallRecord, File, Observation, Outcome

_ADDRESS = re.compile(r"\b0x[5-7][0-9a-f]{11}\b")
Output = tuple[bytes, int]
"""The bytes kept of a stream, and how many there were."""


class Reading:
    """Words one step's results: cut at ``limit`` bytes, without memory addresses or the path of the directory.

    The working directory's path reads ``.`` in what is shown, which is what code inside may call it as well.
    """

    def __init__(self, limit: int, work: Path) -> None:
        self._limit = limit
        self._work = str(work)

    def done(
        self,
        message: Mapping[str, Any],
        streams: tuple[Output, Output],
        calls: tuple[CallRecord, ...],
        files: tuple[File, ...],
        wall_s: float,
    ) -> Observation:
        """What a step that came to its end led to. Fields of the wrong type count as absent."""
        value = message.get("value")
        value_bytes = message.get("value_bytes")
        shown = (value.encode("utf-8", "replace"), value_bytes) if isinstance(value, str) else None
        error = message.get("error")
        cpu_s = message.get("cpu_s")
        answered = message.get("answered") is True
        return Observation(
            outcome="ok" if message.get("outcome") == "ok" else "error",
            value=self._text(shown[0][: self._limit]) if shown else None,
            error=self._text(error.encode("utf-8", "replace")[-self._limit :]) if isinstance(error, str) else None,
            answered=answered,
            answer=self._answer(message.get("answer")) if answered else None,
            files=files,
            calls=calls,
            wall_s=wall_s,
            cpu_s=float(cpu_s) if isinstance(cpu_s, int | float) and math.isfinite(cpu_s) else 0.0,
            **self._streams(streams, shown[1] if shown and isinstance(shown[1], int) else 0),
        )

    def ended(
        self,
        outcome: Outcome,
        error: str,
        streams: tuple[Output, Output],
        calls: tuple[CallRecord, ...],
        wall_s: float,
    ) -> Observation:
        """What a step led to whose process is gone."""
        return Observation(outcome=outcome, error=error, calls=calls, wall_s=wall_s, **self._streams(streams, 0))

    def _streams(self, streams: tuple[Output, Output], value_bytes: int) -> dict[str, Any]:
        (out, out_total), (err, err_total) = streams
        cut = [size for size in (out_total, err_total, value_bytes) if size > self._limit]
        return {"stdout": self._text(out), "stderr": self._text(err), "truncated": sum(cut) or None}

    def _text(self, data: bytes) -> str:
        text = _ADDRESS.sub("0x...", data.decode("utf-8", "replace"))
        return text.replace(self._work + "/", "./").replace(self._work, ".")

    def _answer(self, answer: Any) -> Any:
        return self._text(answer.encode("utf-8", "replace")) if isinstance(answer, str) else clean_json(answer)
