"""Inside: runs one piece of code after another in one namespace. Standard library only.

What a step prints is not seen here: descriptors 1 and 2 are pipes that the host drains. What this does not do: contain
anything. Code that wants to reach into this module can; the walls are around the process, not in it.
"""

from __future__ import annotations

import ast
import builtins
import ctypes
import fcntl
import gc
import io
import json
import linecache
import os
import random
import resource
import signal
import sys
import time
import traceback
import types
from contextlib import suppress
from typing import Any

from sport.sandbox import figures

MAX_TEXT = 1 << 16  # characters of a value or an error: twelve times as many bytes still fit into a frame
MAX_ANSWER_BYTES = 1 << 17
FRAMES_SHOWN = 4  # at each end of a long traceback
SPARE = 64  # the lowest number for a second descriptor of stdin, stdout and stderr
FREEZE_S = 0.005  # a collection that takes longer is the last one for the objects it has looked at
THAW_BYTES = 256 << 20
# What is used between two pieces of code, which may replace it where it comes from.
close, dup2 = os.close, os.dup2
collect, freeze, unfreeze = gc.collect, gc.freeze, gc.unfreeze
_seed, _Random = random.seed, random.Random


class ToolError(Exception):
    """A tool said no. Code inside may catch it like any other exception."""

    __module__ = "builtins"  # so that it is shown by its name alone


class Answer(BaseException):
    """Raised by ``final_answer`` to end the code; no ``except Exception`` catches it."""


class Runner:
    """The namespace of one state, and the answer that its code gave.

    ``tools`` are put among the builtins under their names, beside ``final_answer`` and ``ToolError``: a variable may
    hide one, ``del`` brings it back.
    """

    def __init__(self, tools: dict[str, Any]) -> None:
        self.module = types.ModuleType("__main__")
        self.count = 0
        self._answers: list[Any] = []
        self._spare: list[int] = []
        self._peak = _peak_bytes()
        vars(builtins).update(tools, final_answer=self.final_answer, ToolError=ToolError)
        self._live = vars(builtins)
        self._builtins = dict(self._live)
        self._seed = seed_everything
        sys.modules["__main__"] = self.module
        figures.prepare()
        self.fresh_streams()

    def fresh_streams(self) -> None:
        """Point ``sys.stdin``, ``stdout`` and ``stderr`` at descriptors 0, 1 and 2, with empty buffers."""
        for spare in self._spare:
            close(spare)
        lowest = min(SPARE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._spare = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, lowest) for number in range(3)]
        self._streams = (
            io.TextIOWrapper(io.FileIO(0, "r", closefd=False), encoding="utf-8", errors="replace"),
            _writer(1),
            _writer(2),
        )
        sys.stdin, sys.stdout, sys.stderr = self._streams
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc]

    def run(self, code: str, seed: int) -> dict[str, Any]:
        """Run ``code`` and say what came of it, as the fields of an observation and ``value_bytes``, its size uncut."""
        self.count += 1
        self._answers.clear()
        self._notes: list[str] = []
        started = _cpu_seconds()
        value, size, error = self._guarded(code, seed)
        return {
            "outcome": "ok" if error is None else "error",
            "value": value,
            "value_bytes": size,
            "error": error,
            "answered": bool(self._answers),
            "answer": self._answers[0] if self._answers else None,
            "notes": self._notes,
            "cpu_s": _cpu_seconds() - started,
        }

    def _guarded(self, code: str, seed: int) -> tuple[str | None, int, str | None]:
        """The value's text, its size uncut in bytes, and the error's text."""
        value, size = None, 0
        caught: BaseException | None = None
        try:
            self._seed(seed)
            value, size = self._evaluate(code, f"<step {self.count}>")
        except Answer:
            pass
        except BaseException as raised:  # whatever the code raises is what this step says
            caught = raised
        self._tidy()
        error = None if caught is None else explain(caught, self.count)
        caught = None  # its frames keep what the code held
        self._notes = figures.save_open()
        self._collect()
        self._tidy()  # finalisers have run
        return value, size, error

    def final_answer(self, answer: Any = None) -> None:
        """Give the final answer of the task and end. ``answer``: a JSON value; anything else counts as its text."""
        self._answers.append(_jsonable(answer))
        raise Answer

    def _evaluate(self, code: str, name: str) -> tuple[str | None, int]:
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        body = compile(tree, name, "exec")
        tail = compile(ast.Expression(last.value), name, "eval") if isinstance(last, ast.Expr) else None
        namespace, evaluate, show = vars(self.module), eval, repr  # the body may overwrite builtins
        exec(body, namespace)
        value = None if tail is None else evaluate(tail, namespace)
        if value is None:
            return None, 0
        text = show(value)
        self._live.update(self._builtins)
        text = str.__str__(text)  # a subclass could have methods of its own
        return text[:MAX_TEXT], len(text) if text.isascii() else len(text.encode("utf-8", "replace"))

    def _tidy(self) -> None:
        """Undo what would disturb this loop or the next step: overwritten builtins, hooks, timers, streams."""
        self._live.update(self._builtins)
        sys.settrace(None)
        sys.setprofile(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        flush()
        for number, spare in enumerate(self._spare):  # the code may have closed or redirected them
            with suppress(OSError):  # or the spare ones, too: then there is no output any more
                dup2(spare, number)
        sys.stdin, sys.stdout, sys.stderr = self._streams

    def _collect(self) -> None:
        """Free what this step has left over, within the step's own time: a finaliser is code of the step.

        What the zygote has imported is out of every collection's way; what the code has made joins it as soon as there
        is so much of it that collections take time, or copy many pages in a fork. Garbage among that stays until the
        process has grown by much.
        """
        if _peak_bytes() > self._peak + THAW_BYTES:
            unfreeze()
            self._peak = _peak_bytes()
        began = time.perf_counter()
        collect()
        if time.perf_counter() - began > FREEZE_S:
            freeze()


def seed_everything(seed: int) -> None:
    """Seed ``random`` and, where it is loaded, numpy: its global state and the entropy of unseeded generators.

    ``os.urandom``, ``uuid4`` and the clock stay what they are.
    """
    _seed(seed)
    numpy_random = getattr(sys.modules.get("numpy"), "random", None)
    if numpy_random is not None:
        numpy_random.seed(seed % 2**32)
        numpy_random.bit_generator.randbits = _Random(seed).getrandbits


def explain(error: BaseException, step: int) -> str:
    """A traceback trimmed to the lines of model-written code; its last line is the error itself.

    >>> explain(ZeroDivisionError("division by zero"), 1)
    'ZeroDivisionError: division by zero'
    """
    try:
        lines = [_line(f, step) for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<step ")]
        if isinstance(error, SyntaxError) and (error.filename or "").startswith("<step "):
            lines.append(f"line {error.lineno}: {(error.text or '').rstrip()}")
        if len(lines) > 2 * FRAMES_SHOWN:
            hidden = len(lines) - 2 * FRAMES_SHOWN
            lines[FRAMES_SHOWN:-FRAMES_SHOWN] = [f"... {hidden} more ..."]
        last = traceback.format_exception_only(error)[-1].strip()
        return "\n".join([*lines, last])[-MAX_TEXT:]
    except BaseException as second:  # an exception whose own methods raise must still become an observation
        return f"{_class_name(error)} (it cannot be shown: {_class_name(second)})"


def flush() -> None:
    """Write out what Python and C still hold for descriptors 1 and 2; a stream that is closed holds nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue
    ctypes.CDLL(None).fflush(None)


def _class_name(value: Any) -> str:
    """The name of a value's class, past whatever its metaclass makes of it."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name


def _writer(descriptor: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _line(frame: traceback.FrameSummary, step: int) -> str:
    earlier = "" if frame.filename == f"<step {step}>" else f"{frame.filename[1:-1]}, "
    inside = "" if frame.name == "<module>" else f" in {frame.name}"
    return f"{earlier}line {frame.lineno}{inside}: {frame.line}"


def _jsonable(answer: Any) -> Any:
    try:
        text = json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(str(answer))
    if len(text) > MAX_ANSWER_BYTES:
        raise ValueError(f"final_answer: an answer of {len(text)} bytes; at most {MAX_ANSWER_BYTES} are allowed")
    return json.loads(text)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
