"""GTA's figures (arXiv 2407.08713, as OpenCompass computes them) and the two of T3 and SPORT: pure functions.

Step by step, over reference turns: InstAcc, ToolAcc, ArgAcc, SummAcc. End to end: AnsAcc, AnsAcc with image generation,
and the F1 of tool choice per category (P, O, L, C). Figures that need sentence similarity are absent without it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from sport.bench.gta_answers import RULES
from sport.bench.moves import Move
from sport.types import Json

VERSION = "gta-1"
Similarity = Callable[[str, str], float]
"""Cosine of two texts by all-mpnet-base-v2."""

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "P": ("OCR", "ImageDescription", "RegionAttributeDescription", "TextToBbox"),
    "O": ("DrawBox", "AddText", "GoogleSearch"),
    "L": ("Calculator", "Solver", "Plot", "MathOCR", "CountGivenObject"),
    "C": ("TextToImage", "ImageStylization"),
}
MAKES_IMAGES = ("DrawBox", "AddText", "Plot", "TextToImage", "ImageStylization")
_SMOOTH = 1e-5

Scores = dict[str, float]


def answer_scores(answer: str | None, reference: Json, similarity: Similarity | None) -> Scores:
    """An answer against one ``gt_answer``, under every rule that applies; absent is "not scored".

    Objective references (a dict) give 0 or 1 under ``official``, ``mended``, ``MAT`` and ``SPORT``; subjective ones (a
    list) the highest cosine, clipped at 0, as ``subjective``, where there is a similarity; None gives nothing.
    """
    if isinstance(reference, Mapping):
        return {name: float(rule(answer, reference)) for name, rule in RULES.items()}
    if isinstance(reference, Sequence) and not isinstance(reference, str) and similarity is not None:
        best = max((similarity(answer, text) for text in reference), default=0.0) if answer else 0.0
        return {"subjective": max(0.0, best)}
    return {}


def image_score(calls: Sequence[Move], wanted: Sequence[Move], similarity: Similarity) -> float:
    """A task of image generation: 1, times the cosine of the JSON arguments for each reference call that makes images.

    0 when one of those tools was never called; of several calls of a tool the last one counts.
    """
    last = {call.name: call for call in calls}
    score = 1.0
    for need in wanted:
        if need.name in MAKES_IMAGES:
            if need.name not in last:
                return 0.0
            score *= similarity(json.dumps(last[need.name].arguments), json.dumps(need.arguments))
    return score


def step_scores(
    predicted: Sequence[Move], wanted: Sequence[Move], reference: Json, similarity: Similarity | None
) -> Scores:
    """Counts of one task, step by step: ``predicted[i]`` was asked for after the first i turns of the reference.

    ``inst`` counts turns of the right kind without an error, over all assistant turns; ``inst_of`` is what GTA divides
    by: tool steps, and 1 for a task with a reference answer. So a perfect agent may come to more than 1 in a data set
    with answers that nobody scores. ``tool`` counts equal tool names and ``arg`` equal arguments, each over ``tools``.
    """
    both = list(zip(predicted, wanted, strict=True))
    named = [(p, w) for p, w in both if w.kind == "tool" and p.kind == "tool" and p.name == w.name]
    answers = [answer_scores(p.text, reference, similarity) for p, w in both if p.kind == w.kind == "answer"]
    tools = sum(w.kind == "tool" for _, w in both)
    counts = {
        "inst": float(sum(p.kind == w.kind and p.error is None for p, w in both)),
        "inst_of": float(tools + bool(reference)),
        "tool": float(len(named)),
        "arg": float(sum(p.arguments == w.arguments and p.error is None for p, w in named)),
        "tools": float(tools),
    }
    blank = answer_scores(None, reference, similarity)
    return counts | {f"summ {name}": sum(found[name] for found in answers) for name in blank}


def category_counts(calls: Sequence[Move], wanted: Sequence[Move]) -> Scores:
    """``hit``, ``called`` and ``wanted`` per category of one task: a reference call is a hit if its tool was called."""
    made, asked = Counter(call.name for call in calls), Counter(need.name for need in wanted)
    counts: Scores = {}
    for category, tools in CATEGORIES.items():
        counts[f"{category} hit"] = float(sum(asked[name] for name in tools if made[name]))
        counts[f"{category} called"] = float(sum(made[name] for name in tools))
        counts[f"{category} wanted"] = float(sum(asked[name] for name in tools))
    return counts


def f1(hits: float, called: float, wanted: float) -> float:
    """F1 of tool choice: recall over reference calls, precision over predicted calls + 1e-5 (so never quite 1)."""
    precision, recall = hits / (called + _SMOOTH), hits / wanted if wanted else 0.0
    return 2 * precision * recall / (precision + recall) if hits else 0.0


def paper_tool_score(called: Sequence[str], wanted: Sequence[str], ran: bool) -> float:
    """ToolAcc as *we* define it, for T3 and SPORT say what it is meant to show and publish no code.

    1 when every tool of the reference was called at least once without an error, under GTA's name or that of our
    equivalent; else 0. Calculator, Solver and Plot are met by any code that ran, for a code agent has Python itself.
    """
    python = {"Calculator", "Solver", "Plot"} if ran else set()
    have = python | set(called) | {theirs for name in called for theirs in EQUIVALENT.get(name, ())}
    return float(set(wanted) <= have)


EQUIVALENT: Mapping[str, tuple[str, ...]] = {
    "ocr": ("OCR",),
    "count": ("CountGivenObject",),
    "locate": ("TextToBbox",),
    "search": ("GoogleSearch",),
    "visualizer": ("ImageDescription", "RegionAttributeDescription", "CountGivenObject", "MathOCR", "OCR"),
    "objectlocation": ("TextToBbox", "CountGivenObject"),
    "ask_search_agent": ("GoogleSearch",),
    "image_generator": ("TextToImage",),
    "image_edit": ("ImageStylization",),
}
"""Tools of ours that stand for some of GTA's."""
