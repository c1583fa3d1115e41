"""What a good controller would write for a question of the embedded world: the warm start's supervision.

It reads the key, which is allowed here and nowhere in the run: these trajectories come from the split ``warm``.
"""

from __future__ import annotations

from sport.types import Key

LOOK = {
    "label": ("I read the label first.", 'text = ocr("image_1.png")\nprint(text)'),
    "document": ("I read the list first.", 'text = inspect_file_as_text("file_1.xlsx")\nprint(text)'),
}
END = {"left": ("min", 'box"][0'), "top": ("min", 'box"][1'), "right": ("max", 'box"][2'), "bottom": ("max", 'box"][3')}


def write(thought: str, code: str) -> str:
    """An action in the papers' form."""
    return f"Thought: {thought}\nCode:\n```py\n{code}\n```"


def solve(key: Key) -> list[str]:
    """The actions, in order."""
    family, kind = str(key.facts["kind"]).split(".")
    slots = dict(key.facts["slots"])
    return [write(*step) for step in (_scene(kind, slots) if family == "scene" else _text(family, kind, slots))]


def _scene(kind: str, slots: dict[str, str]) -> list[tuple[str, str]]:
    a, b = slots.get("a"), slots.get("b")
    if kind == "side":
        pick, edge = END[slots["side"]]
        look = ("I locate the shapes.", 'spots = locate("image_1.png", "shapes")\nprint(len(spots))')
        answer = f'best = {pick}(spots, key=lambda s: s["{edge}])\nfinal_answer(best["label"])'
        return [look, (f"I take the one at the {slots['side']}.", answer)]
    if kind == "count":
        return [
            (f"I count the {a}s.", f'a = count("image_1.png", "{a}")\nprint(a)'),
            ("That is the answer.", "final_answer(a)"),
        ]
    sign, end = ("-", "I subtract.") if kind == "more" else ("+", "I add.")
    return [
        (f"I count the {a}s.", f'a = count("image_1.png", "{a}")\nprint(a)'),
        (f"I count the {b}s.", f'b = count("image_1.png", "{b}")\nprint(b)'),
        (end, f"final_answer(a {sign} b)"),
    ]


def _text(family: str, kind: str, slots: dict[str, str | int]) -> list[tuple[str, str]]:
    a, b, k = slots["a"], slots.get("b"), slots.get("k")
    gap = r"\D*" if family == "label" else r" \| "
    first = f'import re\na = int(re.search(r"{a}{gap}(\\d+)", text)[1])'
    second = f'\nb = int(re.search(r"{b}{gap}(\\d+)", text)[1])'
    small = str(a).lower()
    if kind == "worth":
        code = f'import re\nm = re.search(r"{a} \\| (\\d+) \\| (\\d+)", text)\nfinal_answer(int(m[1]) * int(m[2]))'
        return [LOOK[family], (f"I multiply number and price of {small}.", code)]
    thought, code = {
        "one": (f"I take {small}.", f"{first}\nfinal_answer(a)"),
        "number": (f"I take {small}.", f"{first}\nfinal_answer(a)"),
        "times": (f"I take {small} {k} times.", f"{first}\nfinal_answer(a * {k})"),
        "more": (f"I subtract {str(b).lower()} from {small}.", f"{first}{second}\nfinal_answer(a - b)"),
        "sum": (f"I add {small} and {str(b).lower()}.", f"{first}{second}\nfinal_answer(a + b)"),
    }[kind]
    return [LOOK[family], (thought, code)]
