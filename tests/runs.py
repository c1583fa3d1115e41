"""Runs as the stages leave them, made by hand: for tests of the store and of the report."""

from __future__ import annotations

import functools
import io
from pathlib import Path

from PIL import Image, ImageDraw

from sport.config import Config
from sport.stats import wilson
from sport.store import Store
from sport.types import (
    Action,
    CallRecord,
    Candidate,
    End,
    File,
    Key,
    Observation,
    Pair,
    Purpose,
    Step,
    Task,
    ToolCall,
    ToolResult,
    Verdict,
)


@functools.lru_cache(maxsize=128)
def picture(number: int, size: int = 448) -> bytes:
    """A nutrition label of sorts, as PNG."""
    image = Image.new("RGB", (size, size), (250, 247, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 40, size - 60, size - 40), outline="black", width=4)
    for row in range(6):
        draw.text((90, 70 + 50 * row), f"Line {row}   {number * 7 + row} g", fill="black", font_size=24)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def action(thought: str, code: str) -> Action:
    return Action(raw=f"Thought: {thought}\nCode:\n```py\n{code}\n```", thought=thought, code=code)


def looked(file: File, text: str) -> Observation:
    """The observation of a step that read a picture."""
    call = ToolCall(name="ocr", arguments={"image": {"file": file.sha256, "name": file.name}})
    calls = (CallRecord(call=call, result=ToolResult(value=text, wall_s=0.4)),)
    return Observation(outcome="ok", stdout=text + "\n", calls=calls, wall_s=0.41, cpu_s=0.02)


def answered(value: object) -> Observation:
    return Observation(outcome="ok", answered=True, answer=value, wall_s=0.01)


def broke(error: str) -> Observation:
    return Observation(outcome="error", error=error, stderr=f"Traceback (most recent call last):\n{error}")


def candidates(file: File, number: int, step: int) -> tuple[Candidate, ...]:
    """Three candidates that have run: a good one, one equal to it, and one that broke."""
    if step == 0:
        good = action("I read the label first.", f"text = ocr({file.name!r})\nprint(text)")
        seen = looked(file, f"Sugar {number * 7} g\nSalt 1 g")
    else:
        good = action("The answer follows from the label.", f"final_answer({number * 7})")
        seen = answered(number * 7)
    bad = action("I guess.", "print(lable['sugar'])")
    return (
        Candidate(index=0, action=good, observation=seen),
        Candidate(index=1, action=good, same_as=0),
        Candidate(index=2, action=bad, observation=broke("NameError: name 'lable' is not defined")),
    )


def record_step(store: Store, trajectory: str, step: Step) -> None:
    """The three commits of a step."""
    store.asked(trajectory, step.index)
    bare = [c.model_copy(update={"observation": None}) for c in step.candidates]
    store.sampled(trajectory, step.index, bare)
    for candidate in step.candidates:
        if candidate.observation is not None:
            store.observed(trajectory, step.index, candidate.index, candidate.observation)
    store.decided(trajectory, step)


def make_task(store: Store, number: int, split: str, iteration: int = 0, query: str | None = None) -> Task:
    file = store.put(f"label-{number}.png", picture(number))
    words = query or f"How much sugar do {number} packets of label {number} hold?"
    task = Task(id=f"{split}-{iteration}-{number}", query=words, files=(file,))
    key = Key(task_id=task.id, answer=str(number * 7), family="label", defect="unreadable" if number % 4 == 3 else None)
    store.add_task(task, key, split=split, iteration=iteration, ordinal=number)
    return task


def explore(store: Store, task: Task, number: int, iteration: int) -> str:
    """An explored trajectory of two decided steps; the second has a tie."""
    name = f"explore.{iteration}.{task.id}"
    store.begin(name, task.id, "explore", iteration, number)
    file = task.files[0]
    verdict = Verdict(
        best=0,
        scores=(0.9, None, 0.1),
        reason="Candidate 0 looked at the file; candidate 2 broke.",
        critic="rules-blind",
    )
    record_step(store, name, Step(index=0, candidates=candidates(file, number, 0), verdict=verdict))
    tie = Verdict(best=0, tied=(2,), scores=(0.5, None, 0.5), reason="Both are as good.", critic="rules-blind")
    record_step(store, name, Step(index=1, candidates=candidates(file, number, 1), verdict=tie))
    store.ended(name, End(state="answered", answer=str(number * 7)))
    return name


def evaluate(store: Store, task: Task, number: int, iteration: int, right: bool) -> str:
    """A greedy trajectory of one candidate a step."""
    name = f"eval.{iteration}.{task.id}"
    store.begin(name, task.id, "eval", iteration, number)
    answer = number * 7 if right else number * 7 + 1
    moves = [candidates(task.files[0], number, 0)[0]] if right else []
    moves.append(
        Candidate(index=0, action=action("I answer.", f"final_answer({answer})"), observation=answered(answer))
    )
    for index, move in enumerate(moves):
        step = Step(index=index, candidates=(move,), continued_with=0, why="only candidate")
        record_step(store, name, step)
    store.ended(name, End(state="answered", answer=str(answer)))
    store.add_scores(name, {"right": float(right), "tools": float(right), "ran": len(moves), "steps": len(moves)})
    return name


def make_run(folder: Path, *, tasks: int = 6, iterations: int = 1, config: Config | None = None) -> Store:
    """A finished run with every kind of record; the caller closes it."""
    store = Store.create(folder, config or Config(name="toy", iterations=iterations))
    evaluated = [make_task(store, number, "heldout") for number in range(1, tasks + 1)]
    for iteration in range(iterations + 1):
        rights = [number % (iteration + 2) != 0 or number == 3 for number in range(1, tasks + 1)]
        for number, (task, right) in enumerate(zip(evaluated, rights, strict=True), 1):
            evaluate(store, task, number, iteration, right)
        metrics = {"AnsAcc": wilson(sum(rights), tasks), "ToolAcc": wilson(sum(rights), tasks)}
        store.add_metrics(iteration, "heldout", {**metrics, "CodeExec": wilson(2 * tasks - 1, 2 * tasks)})
        store.finish_stage(iteration, "eval", 3.2, {"answered": tasks})
    for iteration in range(1, iterations + 1):
        _learn(store, iteration, tasks)
    store.set_state("done")
    return store


def _learn(store: Store, iteration: int, tasks: int) -> None:
    names = []
    for number in range(1, tasks + 1):
        task = make_task(store, number, "explore", iteration)
        dropped = number % 4 == 3
        store.add_check(task.id, not dropped, "nothing can be read" if dropped else "the file shows it", {"score": 0.5})
        if not dropped:
            names.append(explore(store, task, number, iteration))
    purpose: Purpose = "explore"
    store.finish_stage(iteration, "synth", 1.5, {})
    store.finish_stage(iteration, purpose, 12.5, {"answered": len(names)})
    store.add_pairs(
        iteration,
        [Pair(trajectory=name, step=0, chosen=0, rejected=2) for name in names],
        {"identical": 2 * len(names), "tied": len(names)},
    )
    store.set_adapter(iteration, f"adapters/{iteration}")
