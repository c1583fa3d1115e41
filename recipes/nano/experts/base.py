"""Steps that several families share. A plan is a list of (thought, code)."""

from __future__ import annotations

Plan = list[tuple[str, str]]


def write(thought: str, code: str) -> str:
    """An action in the papers' form."""
    return f"Thought: {thought}\nCode:\n```py\n{code}\n```"


def look(thing: str, file: str = "image_1.png") -> tuple[str, str]:
    """Read a picture or a document."""
    tool = "ocr" if file.endswith(".png") else "inspect_file_as_text"
    return (f"I read the {thing}.", f'text = {tool}("{file}")\nprint(text)')


def search(words: str) -> tuple[str, str]:
    """Look something up."""
    return (f"I search for {words}.", f'found = search("{words}")\nprint(found)')


def whole(name: str, variable: str = "a", text: str = "text") -> str:
    """Code that takes the whole number after a name."""
    return f'{variable} = int(re.search(r"{name}\\D*(\\d+)", {text})[1])'


def decimal(name: str, variable: str = "a", text: str = "text") -> str:
    """Code that takes the number after a name, with a point or without."""
    return f'{variable} = float(re.search(r"{name}\\D*([\\d.]+)", {text})[1])'


def one(name: str, code: str, answer: str = "a") -> Plan:
    """Take one thing and answer with it, or with what is made of it."""
    return [(f"I take {name}.", f"import re\n{code}\nfinal_answer({answer})")]


def two(names: tuple[str, str], codes: tuple[str, str], answer: str) -> Plan:
    """Take two things, one a step, and answer with what is made of them."""
    return [
        (f"I take {names[0]}.", f"import re\n{codes[0]}\nprint(a)"),
        (f"I take {names[1]}.", f"{codes[1]}\nfinal_answer({answer})"),
    ]


def rows(pattern: str, answer: str, thought: str) -> Plan:
    """Take all rows that a pattern finds, then answer with what is made of them."""
    code = f'import re\nrows = re.findall(r"{pattern}", text)\nprint(len(rows))'
    return [("I take all rows.", code), (thought, f"final_answer({answer})")]


def shapes(kind: str, slots: dict[str, str]) -> Plan:
    """A scene's questions of shapes whose numbers are written down."""
    a, b = slots.get("a", ""), slots.get("b") or ""
    if kind == "side":
        place = "0" if slots["side"] in ("top", "left") else "-1"
        code = f'import re\nnames = re.findall(r"[a-z]+ [a-z]+", text)\nfinal_answer(names[{place}])'
        return [(f"I take the one at the {slots['side']}.", code)]
    if kind == "count":
        return one(a, whole(a))
    return two((a, b), (whole(a), whole(b, "b")), "a - b" if kind == "more" else "a + b")
