"""The verifier's criteria (SPORT, appendix) by rule: each a small pure function that gives a share between 0 and 1.

They see what a language model in the critic's place would see: task, history, the candidate with its observation, and
the other candidates. None of them sees an answer key.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence

from sport.answers import answer_text, answers_match, normalised
from sport.types import CallRecord, Candidate, Json, Step, Task
from sport.verify.evidence import (
    FUNCTION_WORDS,
    call_text,
    calls_of,
    evidence,
    literals,
    numbers,
    observations,
    result_keys,
    shown,
    spoken,
    syntax,
    texts,
    units,
    words,
)

PICTURE_TOOLS = frozenset({"ocr", "count", "locate", "crop"})
DOCUMENT_TOOLS = frozenset({"inspect_file_as_text"})
_READS = re.compile(r"\b(?:open|read\w*|load\w*)\(")
_NUMERIC = re.compile(
    r"\b(how (many|much|long|far|old)|number|amount|sum|difference|worth|value|total)\b", re.IGNORECASE
)
_OPERATIONS: tuple[tuple[type[ast.operator], str], ...] = (
    (ast.Sub, r"\b(more|less|fewer|difference|exceeds?|above|below|outnumber|ahead|longer|older|cheaper) ?(than)?\b"),
    (ast.Add, r"\b(together|sum|add|adds|plus|altogether|combined|total)\b"),
    (ast.Mult, r"\b(times|worth|value|each|double|triple|twice)\b"),
    (ast.Div, r"\b(average|mean|per|ratio|half|quarter|share)\b"),
)
_NAMED = re.compile(r"\b(name|which|who|whose|when)\b", re.IGNORECASE)  # a number may be in the query and not wanted
_MOST = r"\b(most|highest|greatest|largest|longest|tallest|biggest|dearest|maximum|maximal)\b"
_LEAST = r"\b(least|lowest|smallest|shortest|fewest|cheapest|minimum|minimal)\b"
_PLAIN_ANSWERS = frozenset({"yes", "no", "true", "false"})
_EMPTY_ANSWERS = frozenset({"", "none", "unknown", "null", "nan", "n/a"})
_SHORT = 12  # words of an answer; more than that is a text that was passed on, not an answer
_GENERIC = frozenset({"shape", "object", "thing", "item", "text"})  # what may be looked for without being asked


def answer_of(candidate: Candidate) -> str | None:
    """The text of its final answer; None when it gave none."""
    seen = candidate.observation
    return answer_text(seen.answer) if seen is not None and seen.answered else None


def ran(candidate: Candidate) -> bool:
    """Whether its code ended without an error."""
    return candidate.observation is not None and candidate.observation.outcome == "ok"


def looked(task: Task, history: Sequence[Step], candidate: Candidate) -> bool:
    """Whether a file of the task has been looked at, in the trunk or by this candidate.

    By a tool that succeeded, or, for files that are not pictures, by code that opened them. Always true for a task
    without files.
    """
    hashes = {file.sha256 for file in task.files}
    calls = [*_trunk_calls(history), *calls_of(candidate)]
    if not hashes or any(call.result.error is None and hashes & set(_files(call)) for call in calls):
        return True
    plain = [file.name for file in task.files if not file.is_image]
    codes = [c.action.code or "" for c in (*(step.trunk for step in history), candidate) if ran(c)]
    return any(name in code and _READS.search(code) for name in plain for code in codes)


def invented(task: Task, history: Sequence[Step], candidate: Candidate) -> tuple[str, ...]:
    """Numbers and texts that the code writes down although nothing has shown them: hallucination."""
    known = evidence(task, history, candidate)
    found = []
    for literal in literals(candidate.action.code):
        if isinstance(literal, str):
            if not known.shows_text(literal) and normalised(literal) not in _PLAIN_ANSWERS:
                found.append(repr(literal[:40]))
        elif not known.shows_number(literal):
            found.append(f"{literal:g}")
    return tuple(sorted(set(found)))


def useful(task: Task, history: Sequence[Step], candidate: Candidate) -> float:
    """1 for a new tool call that found what was asked for, a half for new output, a quarter for what nobody wanted."""
    fresh = new_calls(history, candidate)
    asked = [call for call in fresh if wanted(task, history, call)]
    if any(_finds(call) == 1.0 for call in asked):
        return 1.0
    seen = candidate.observation
    output = (seen.stdout + (seen.value or "")).strip() if seen else ""
    known = {(old.stdout + (old.value or "")).strip() for old in observations(history)}
    if fresh and not asked:
        return 0.25
    return 0.5 if (output and output not in known) or fresh else 0.0


def wanted(task: Task, history: Sequence[Step], call: CallRecord) -> bool:
    """Whether a call was worth making: it looks at a file, or what it found speaks of something that was asked for.

    That is a word of the query, or its unit, that nothing before has shown: whoever looks up what he has already
    learns nothing.
    """
    if _files(call):
        return True
    told, before = call_text(call), " ".join(map(shown, observations(history)))
    missing = (words(task.query) | units(task.query)) - words(before) - units(before) - FUNCTION_WORDS
    return bool(missing & (words(told) | units(told)))


def fitting(task: Task, history: Sequence[Step], candidate: Candidate) -> float:
    """How well its new tool calls fit: right kind of file, a result that is not empty, words of the query."""
    made = list(calls_of(candidate)) if ran(candidate) else []
    pictures = {file.sha256: file.is_image for file in task.files}
    for seen in observations(history):
        pictures.update({file.sha256: file.is_image for file in seen.files})
    query, fresh = words(task.query), new_calls(history, candidate)
    shares = [
        (_medium(c, pictures) + _finds(c) + _speaks(c, query)) / 3 * wanted(task, history, c)
        for c in made
        if c in fresh
    ]
    return sum(shares) / len(shares) if shares else 0.0


def new_calls(history: Sequence[Step], candidate: Candidate) -> list[CallRecord]:
    """Successful calls that the trunk has not made with the same arguments."""
    known = {_identity(call) for call in _trunk_calls(history)}
    return [call for call in calls_of(candidate) if call.result.error is None and _identity(call) not in known]


# ------------------------------------------------------------------------------- does an answer follow?


def precise(task: Task, history: Sequence[Step], candidate: Candidate) -> float:
    """Share of the words that its code looks for which the query speaks of, or a text that was looked up."""
    calls = [*_trunk_calls(history), *calls_of(candidate)]
    names = frozenset().union(*(words(file.name) for file in task.files))
    found = frozenset().union(*(words(call_text(c)) for c in calls if not _files(c)))
    sought = texts(candidate.action.code) - result_keys(calls) - names - found - _GENERIC
    return len(sought & words(task.query)) / len(sought) if sought else 1.0


def covering(task: Task, history: Sequence[Step], candidate: Candidate, others: Sequence[Candidate]) -> float:
    """Share of the query's words used by code so far, of those that some candidate uses: what others did not forget.

    Others that failed, or that called what nobody wanted, have nothing to teach.
    """
    trunk = frozenset().union(*(texts(step.trunk.action.code) for step in history))
    query = words(task.query)
    sound = [c for c in others if ran(c) and all(wanted(task, history, call) for call in new_calls(history, c))]
    some = query & trunk.union(*(texts(other.action.code) for other in (*sound, candidate)))
    return len(some & (trunk | texts(candidate.action.code))) / len(some) if some else 1.0


def uses_numbers(task: Task, history: Sequence[Step], candidate: Candidate) -> float:
    """Share of the query's numbers that code has used; 1 and smaller ask for nothing."""
    given = {n for n in numbers(task.query) | spoken(task.query) if n > 1 or 0 < n < 1}
    used: set[float] = set()
    for literal in (lit for code in _codes(history, candidate) for lit in literals(code)):
        used |= numbers(literal) if isinstance(literal, str) else {literal}
    return len(given & used) / len(given) if given else 1.0


def right_operation(task: Task, history: Sequence[Step], candidate: Candidate) -> float:
    """1 when one of the operations that the query's words hint at has been used, or they hint at none.

    "Nine servings add up to" is a product, so a number of the query that is multiplied with is no doubt; and who asks
    for the highest is not answered by the lowest.
    """
    if _opposite(task.query, candidate.action.code):
        return 0.0
    hinted = {operation for operation, pattern in _OPERATIONS if re.search(pattern, task.query, re.IGNORECASE)}
    if not hinted:
        return 1.0
    used: set[type[ast.AST]] = set()
    for code in _codes(history, candidate):
        tree = syntax(code)
        for node in ast.walk(tree) if tree else ():
            used.add(type(node))
            if isinstance(node, ast.Name) and node.id in ("sum", "mean"):
                used |= {ast.Add, ast.Div}
    counted = {n for n in numbers(task.query) | spoken(task.query) if n > 1}
    by_number = ast.Mult in used and counted and uses_numbers(task, history, candidate) == 1.0
    return 1.0 if hinted & used or by_number else 0.0


def in_unit(task: Task, history: Sequence[Step], candidate: Candidate) -> float:
    """1 unless the query asks for a unit of measure that nothing has shown yet: a number is then of something else."""
    asked = units(task.query)
    told = [*map(shown, observations(history)), *map(call_text, calls_of(candidate))]
    return 1.0 if not asked or asked & units(" ".join(told)) else 0.0


def _opposite(query: str, code: str | None) -> bool:
    """Whether the code takes the least where the most is asked for, or the other way round."""
    most, least = (re.search(pattern, query, re.IGNORECASE) is not None for pattern in (_MOST, _LEAST))
    tree = syntax(code)
    taken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} if tree else set()
    wrong, right = ("min", "max") if most else ("max", "min")
    return most != least and wrong in taken and right not in taken


def well_formed(task: Task, candidate: Candidate) -> float:
    """1 for an answer of the kind that the query asks for: not empty, short, a number where one is wanted."""
    answer = answer_of(candidate) or ""
    if normalised(answer) in _EMPTY_ANSWERS or len(answer.split()) > _SHORT:
        return 0.0
    if not _NUMERIC.search(task.query) or _NAMED.search(task.query):
        return 1.0
    return 1.0 if (numbers(answer) or spoken(answer)) and ":" not in answer else 0.0


def agreement(task: Task, history: Sequence[Step], candidate: Candidate, others: Sequence[Candidate]) -> float:
    """Share of the other answers with evidence that say the same (self-consistency); a half when there are none."""
    answer = answer_of(candidate)
    sound = [
        c for c in others if c.index != candidate.index and looked(task, history, c) and not invented(task, history, c)
    ]
    given = [text for other in sound if (text := answer_of(other)) is not None]
    if answer is None or not given:
        return 0.5
    return sum(answers_match(answer, text) for text in given) / len(given)


# --------------------------------------------------------------------------------------------- details


def _trunk_calls(history: Sequence[Step]) -> list[CallRecord]:
    return [call for seen in observations(history) for call in seen.calls]


def _codes(history: Sequence[Step], candidate: Candidate) -> list[str | None]:
    return [*(step.trunk.action.code for step in history), candidate.action.code]


def _files(call: CallRecord) -> list[str]:
    return [value["file"] for value in call.call.arguments.values() if isinstance(value, dict) and "file" in value]


def _identity(call: CallRecord) -> str:
    """Tool and arguments; a file counts by content, not by name."""
    arguments = {
        name: value["file"] if isinstance(value, dict) and "file" in value else _plain(value)
        for name, value in call.call.arguments.items()
    }
    return json.dumps([call.call.name, arguments], sort_keys=True, default=str)


def _plain(value: Json) -> Json:
    return normalised(value) if isinstance(value, str) else value


def _finds(call: CallRecord) -> float:
    """1 for a result that says something, a half for a count of zero, 0 for an empty one."""
    value = call.result.value
    if call.result.error is not None or value in ("", [], {}, None):
        return 1.0 if call.result.error is None and call.result.files else 0.0
    return 0.5 if not isinstance(value, str | list | dict) and not value else 1.0


def _medium(call: CallRecord, pictures: dict[str, bool]) -> float:
    kinds = [pictures[sha] for sha in _files(call) if sha in pictures]
    if not kinds or call.call.name not in PICTURE_TOOLS | DOCUMENT_TOOLS:
        return 0.5
    return 1.0 if all(kind == (call.call.name in PICTURE_TOOLS) for kind in kinds) else 0.0


def _speaks(call: CallRecord, query: frozenset[str]) -> float:
    said = [value for value in call.call.arguments.values() if isinstance(value, str)]
    if said:  # what it was asked for
        asked = words(" ".join(said))
        return len(asked & query) / len(asked) if asked else 0.0
    return 1.0 if words(json.dumps(call.result.value, default=str)) & query else 0.0
