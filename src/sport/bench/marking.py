"""Answers that were made elsewhere, scored as a run of one's own: same rules, same intervals, and ``compare`` works.

A file of answers is JSON lines, a JSON list or one JSON object. A line names its task as ``task_id`` or ``id`` and
its answer as ``model_answer`` or ``answer`` (so GAIA's leaderboard file is one); an object has answers by task. What
cannot be scored of an answer alone (tools, code, steps) is absent. A task without an answer is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sport.bench import gaia, gaia_run, gta, gta_run
from sport.bench.gta_score import Similarity, answer_scores
from sport.config import Bench
from sport.errors import InputError
from sport.store import Store
from sport.types import End, Json, Key, Metric, Task

_ID, _ANSWER = ("task_id", "id"), ("model_answer", "answer")
_SHAPE = 'one {"task_id": ..., "model_answer": ...} a line, or one object of answers by task'


def load(file: Path) -> dict[str, str]:
    """Answers by task, as text. None, and a missing answer, is an empty one.

    Raises:
        InputError: no such file, another shape, or a task that stands there twice.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = _rows(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file}: cannot be read as JSON or JSON lines ({error}); expected {_SHAPE}") from error
    pairs = [_pair(file, place, row) for place, row in enumerate(rows, 1)]
    gaia.check_ids([name for name, _ in pairs], file)
    return dict(pairs)


def mark(store: Store, answers: Mapping[str, str], similarity: Similarity | None = None) -> dict[str, int]:
    """Put tasks, answers, scores and figures into a new run. Returns how many tasks there are and how many answered.

    Raises:
        InputError: answers to tasks that the data set does not have; or as its loader says.
    """
    bench = store.config.bench
    split = "gta" if bench.kind == "gta" else f"gaia-{bench.split}"
    tasks = _gta(store) if bench.kind == "gta" else _gaia(store)
    names = {task.id for task, _ in tasks}
    given = {name if name in names or bench.kind != "gta" else f"gta-{name}": text for name, text in answers.items()}
    unknown = [name for name in given if name not in names]
    if unknown:
        raise InputError(
            f"{bench.answers}: {len(unknown)} of {len(given)} answers are to tasks that {bench.data} does not have: "
            f"{', '.join(unknown[:5])}; is it the right data set, split and level?"
        )
    rows = []
    for ordinal, (task, key) in enumerate(tasks):
        store.add_task(task, key, split=split, iteration=0, ordinal=ordinal)
        trajectory = f"eval.0.{task.id}"
        store.begin(trajectory, task.id, "eval", 0, ordinal)
        answer = given.get(task.id) or None
        store.ended(trajectory, End(state="answered", answer=answer) if answer else _SILENT)
        if key is not None:
            rows.append(_score(bench, answer, key, similarity))
            store.add_scores(trajectory, rows[-1])
    if rows:
        store.add_metrics(0, split, _figures(bench, rows, similarity))
    store.finish_stage(0, "eval", 0.0, {"answers": len(given), "tasks": len(tasks)})
    store.set_state("done")
    store.write_summary()
    return {"tasks": len(tasks), "answers": sum(bool(text) for text in given.values())}


_SILENT = End(state="failed", reason="no answer in the file")


def _score(bench: Bench, answer: str | None, key: Key, similarity: Similarity | None) -> dict[str, float]:
    if bench.kind == "gaia":
        return gaia_run.answered(answer, key)
    return gta_run.with_right(answer_scores(answer, key.facts["gt_answer"], similarity))


def _figures(bench: Bench, rows: Sequence[Mapping[str, float]], similarity: Similarity | None) -> dict[str, Metric]:
    if bench.kind == "gaia":
        return gaia_run.answer_figures(rows)
    return gta_run.answer_figures(rows, similarity is not None)


def _gta(store: Store) -> list[tuple[Task, Key | None]]:
    items = gta.load(Path(store.config.bench.data))
    return [(Task(id=i.id, query=i.query, origin="gta"), gta_run.key(i, i.id)) for i in items]


def _gaia(store: Store) -> list[tuple[Task, Key | None]]:
    bench = store.config.bench
    found = gaia.load(Path(bench.data), bench.split, bench.level)
    return [(Task(id=q.id, query=q.query, origin="gaia"), gaia_run.key(q)) for q in found]


# ------------------------------------------------------------------------------------------- the layout


def _rows(text: str) -> list[Any]:
    """Rows of any of the three shapes; an object's pairs become rows one by one, so that a key given twice shows."""

    def pairs(found: list[tuple[str, Json]]) -> Json:
        names = [name for name, _ in found]
        return dict(found) if len(set(names)) == len(names) else _Twice(found)

    try:
        whole = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(whole, list) and not isinstance(whole, _Twice):
        return whole
    found = whole if isinstance(whole, _Twice) else list(whole.items()) if isinstance(whole, dict) else [whole]
    if isinstance(whole, dict) and set(whole) & set(_ID):
        return [whole]  # JSON lines of one line
    return [{"id": pair[0], "answer": pair[1]} if isinstance(pair, tuple) else pair for pair in found]


class _Twice(list[tuple[str, Json]]):
    """The pairs of a JSON object that has a key more than once."""


def _pair(file: Path, place: int, row: Json) -> tuple[str, str]:
    name = next((row[key] for key in _ID if key in row), None) if isinstance(row, dict) else None
    if not isinstance(name, str | int):
        raise InputError(f"{file}: answer {place} names no task; expected {_SHAPE}")
    answer = next((row[key] for key in _ANSWER if key in row), None)
    if isinstance(answer, dict | list):
        raise InputError(f"{file}: the answer to {name} is no text; expected {_SHAPE}")
    return str(name), "" if answer is None else str(answer)
