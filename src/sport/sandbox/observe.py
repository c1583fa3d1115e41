"""Host: from what came over the wall to an :class:`~sport.types.Observation`. Pure, and trusting nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sport.sandbox.base import SANDBOX_SAYS
from sport.sandbox.neutral import neutral
from sport.sandbox.toolcalls import clean_json
from sport.types import CallRecord, File, Observation, Outcome

Output = tuple[bytes, int]
"""The bytes kept of a stream, and how many there were."""


class Reading:
    """Words one step's results: cut at ``limit`` bytes, harmless, without memory addresses or the directory's path.

    ``work``, the working directory's path as the code sees it, reads ``.`` in what is shown, which is what code inside
    may call it as well. What the sandbox itself has to say (:meth:`note`) ends the text of stderr, line by line, marked
    ``[sandbox]``.
    """

    def __init__(self, limit: int, work: str) -> None:
        self._limit = limit
        self._work = work
        self._notes: list[str] = []

    def note(self, *notes: str) -> None:
        """Say something to whoever reads the observation."""
        self._notes += notes

    def done(
        self,
        message: Mapping[str, Any],
        streams: tuple[Output, Output],
        calls: tuple[CallRecord, ...],
        files: tuple[File, ...],
        wall_s: float,
    ) -> Observation:
        """What a step that came to its end led to. Fields of the wrong type count as absent."""
        value, size = message.get("value"), message.get("value_bytes")
        shown = value.encode("utf-8", "replace") if isinstance(value, str) else None
        value_bytes = size if shown is not None and isinstance(size, int) else 0
        outcome: Outcome = "ok" if message.get("outcome") == "ok" else "error"
        error = message.get("error")
        if outcome == "error" and not isinstance(error, str):
            error = "the code failed, and how it failed cannot be told"
        answered = message.get("answered") is True
        self.note(*_texts(message.get("notes")))
        return Observation(
            outcome=outcome,
            value=self._text(shown[: self._limit]) if shown is not None else None,
            error=self._text(error.encode("utf-8", "replace")[-self._limit :]) if isinstance(error, str) else None,
            answered=answered,
            answer=self._answer(message.get("answer")) if answered else None,
            files=files,
            calls=calls,
            wall_s=wall_s,
            cpu_s=_seconds(message.get("cpu_s")),
            **self._streams(streams, value_bytes),
        )

    def ended(
        self,
        outcome: Outcome,
        error: str,
        streams: tuple[Output, Output],
        calls: tuple[CallRecord, ...],
        wall_s: float,
        cpu_s: float,
    ) -> Observation:
        """What a step led to whose process is gone. ``cpu_s``: as the host saw it last."""
        shown = self._streams(streams, 0)
        return Observation(outcome=outcome, error=neutral(error), calls=calls, wall_s=wall_s, cpu_s=cpu_s, **shown)

    def _streams(self, streams: tuple[Output, Output], value_bytes: int) -> dict[str, Any]:
        (out, out_total), (err, err_total) = streams
        totals = {"stdout": out_total, "stderr": err_total, "the value": value_bytes}
        cut = {name: total for name, total in totals.items() if total > self._limit}
        self.note(*(f"{name} is cut: {self._limit} of {total} bytes are kept" for name, total in cut.items()))
        shown = self._text(err)
        lines = "".join(f"{SANDBOX_SAYS}{neutral(note)}\n" for note in self._notes)
        gap = "\n" if lines and shown and not shown.endswith("\n") else ""
        return {"stdout": self._text(out), "stderr": shown + gap + lines, "truncated": sum(cut.values()) or None}

    def _text(self, data: bytes) -> str:
        text = neutral(data.decode("utf-8", "replace"))
        return text.replace(self._work + "/", "./").replace(self._work, ".")

    def _answer(self, answer: Any) -> Any:
        return self._text(answer.encode("utf-8", "replace")) if isinstance(answer, str) else clean_json(answer)


def _texts(notes: Any) -> Sequence[str]:
    return [note[:500] for note in notes[:20] if isinstance(note, str)] if isinstance(notes, list) else ()


def _seconds(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return max(0.0, float(value)) if known else 0.0
