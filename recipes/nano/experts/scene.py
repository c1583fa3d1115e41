"""Scenes of coloured shapes."""

from __future__ import annotations

from experts.base import Plan

END = {"left": ("min", 'box"][0'), "top": ("min", 'box"][1'), "right": ("max", 'box"][2'), "bottom": ("max", 'box"][3')}


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """Count, or locate and take the outermost."""
    a, b = slots.get("a"), slots.get("b")
    if kind == "side":
        pick, edge = END[slots["side"]]
        answer = f'best = {pick}(spots, key=lambda s: s["{edge}])\nfinal_answer(best["label"])'
        return [
            ("I locate the shapes.", 'spots = locate("image_1.png", "shapes")\nprint(len(spots))'),
            (f"I take the one at the {slots['side']}.", answer),
        ]
    first = (f"I count the {a}s.", f'a = count("image_1.png", "{a}")\nprint(a)')
    if kind == "count":
        return [first, ("That is the answer.", "final_answer(a)")]
    sign, end = ("-", "I subtract.") if kind == "more" else ("+", "I add.")
    return [
        first,
        (f"I count the {b}s.", f'b = count("image_1.png", "{b}")\nprint(b)'),
        (end, f"final_answer(a {sign} b)"),
    ]
