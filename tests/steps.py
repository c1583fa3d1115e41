"""Candidates and steps by hand, for critics: a task with a label, and what code on it would have led to."""

from __future__ import annotations

from sport.agent.parse import parse
from sport.types import CallRecord, Candidate, File, Key, Need, Observation, Step, Task, ToolCall, ToolResult, Verdict

LABEL = File(name="image_1.png", sha256="a" * 64, size=9, media_type="image/png")
SHEET = File(name="file_1.xlsx", sha256="b" * 64, size=9, media_type="application/vnd.ms-excel")
LINES = "Nutrition Facts\nOat Bar\nSugar 12 g\nFat 7 g\nSalt 340 mg"
TASK = Task(id="t", query="How many grams of sugar are in 3 servings?", files=(LABEL,))
KEY = Key(task_id="t", answer="36", needs=(Need(tool="ocr", arguments={"image": "image_1.png"}),))


def ocr(file: File = LABEL, value: object = LINES, error: str | None = None) -> CallRecord:
    return used("ocr", {"image": _ref(file)}, value, error)


def count(what: str, value: int, file: File = LABEL) -> CallRecord:
    return used("count", {"image": _ref(file), "what": what}, value)


def used(name: str, arguments: dict, value: object, error: str | None = None) -> CallRecord:
    result = ToolResult(value=None if error else value, error=error)
    return CallRecord(call=ToolCall(name=name, arguments=arguments), result=result)


def made(index: int, code: str, *, calls=(), stdout="", outcome="ok", thought="I do it.", **seen) -> Candidate:
    """A candidate that ran; ``answer=...`` for one that answered."""
    action = parse(f"Thought: {thought}\nCode:\n```py\n{code}\n```", True)
    if "answer" in seen:
        seen["answered"] = True
    error = None if outcome == "ok" else f"{outcome}!"
    observation = Observation(outcome=outcome, stdout=stdout, error=error, calls=tuple(calls), **seen)
    return Candidate(index=index, action=action, observation=observation)


def unparsed(index: int) -> Candidate:
    action = parse("no code", True)
    return Candidate(index=index, action=action, observation=Observation(outcome="unparsed", error=action.problem))


def chosen(index: int, candidate: Candidate) -> Step:
    return Step(index=index, candidates=(candidate,), verdict=Verdict(best=candidate.index))


def look(index: int = 0) -> Candidate:
    return made(index, 'text = ocr("image_1.png")\nprint(text)', calls=[ocr()], stdout=LINES)


def times(index: int, nutrient: str = "Sugar", factor: str = "* 3", answer: object = 36) -> Candidate:
    code = f'import re\na = int(re.search(r"{nutrient}\\D*(\\d+)", text)[1])\nfinal_answer(a {factor})'
    return made(index, code, answer=answer)


def guess(index: int, answer: object = 36) -> Candidate:
    return made(index, f"final_answer({answer!r})", answer=answer)


def _ref(file: File) -> dict[str, str]:
    return {"file": file.sha256, "name": file.name}
