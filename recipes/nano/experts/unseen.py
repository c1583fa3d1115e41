"""Families that only the split ``unseen`` has: never in the warm start, but in the tests of tools and answers."""

from __future__ import annotations

from experts.base import Plan, decimal, look, one, rows, two, whole

BEST = "max(rows, key=lambda r: int(r[1]))[0]"


def scoreboard(kind: str, slots: dict[str, str]) -> Plan:
    """Read the board, take the points, calculate."""
    a, b = slots["a"], slots["b"]
    if kind == "best":
        return [look("board"), *rows(r"([A-Z][a-z]+)\W*(\d+)", BEST, "I take the most.")]
    if kind == "points":
        return [look("board"), *one(a, whole(a))]
    return [look("board"), *two((a, b), (whole(a), whole(b, "b")), "a - b" if kind == "lead" else "a + b")]


def weather(kind: str, slots: dict[str, str]) -> Plan:
    """Read the table, take the numbers of a day, calculate."""
    a, b = slots["a"], slots["b"]
    if kind == "warmest":
        return [look("table"), *rows(r"([A-Z][a-z]+)\W*\d+\W+(\d+)", BEST, "I take the most.")]
    if kind == "rain":
        third = r"\D*\d+\D+\d+\D+(\d+)"
        codes = (f'a = int(re.search(r"{a}{third}", text)[1])', f'b = int(re.search(r"{b}{third}", text)[1])')
        return [look("table"), *two((a, b), codes, "a + b")]
    code = f'm = re.search(r"{a}\\D*(\\d+)\\D+(\\d+)", text)'
    return [look("table"), *one(a, code, "int(m[2])" if kind == "high" else "int(m[2]) - int(m[1])")]


def parcel(kind: str, slots: dict[str, str]) -> Plan:
    """Read the label, take one of its fields, calculate or search."""
    town = 'import re\ntown = re.search(r"To\\W*([A-Z]\\w+)", text)[1]\n'
    if kind == "to":
        return [look("parcel"), ("I take the town.", f"{town}final_answer(town)")]
    if kind == "people":
        return [
            look("parcel"),
            ("I take the town.", f"{town}print(town)"),
            ("I search for it.", 'found = search(town + " people")\nprint(found)'),
            ("I take the number.", 'final_answer(int(re.search(town + r" has (\\d+)", found)[1]))'),
        ]
    return [look("parcel"), *one(kind, decimal(kind.capitalize()), f"a * {slots['k']}")]
