"""A picture or a list together with a fact from the corpus."""

from __future__ import annotations

from experts.base import Plan, decimal, look, search, two

THING = {"label": "label", "menu": "menu", "timetable": "timetable", "chart": "chart", "paper": "list"}


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """Read, search, take both values, calculate."""
    first = look(THING[slots["base"]], slots["file"])
    return [first, *{"timetable": _travel, "label": _limit}.get(slots["base"], _rate)(kind, slots)]


def _limit(kind: str, slots: dict[str, str]) -> Plan:
    a = slots["a"]
    answer = "int(b / a)" if kind == "fit" else f"a * {slots['k']} * 100 / b"
    fact = decimal(r"limit of \w+ is", "b", "found")
    return [search(f"daily limit of {a}"), *two((a, "the limit"), (decimal(a.capitalize()), fact), answer)]


def _rate(kind: str, slots: dict[str, str]) -> Plan:
    """Prices times what a crown buys, or litres times what one weighs.

    The best article comes first in what is found, so that no name has to be copied.
    """
    a = slots["a"]
    if kind == "weight":
        fact = decimal("weighs", "b", "found")
        return [search(f"litre of {a}"), *two((a, "the weight"), (decimal(a.capitalize()), fact), "a * b")]
    c = slots["c"]
    rate = decimal("buys", "c", "found")
    take = (f"I take {a}.", f"import re\n{decimal(a.capitalize())}\nprint(a)")
    if kind == "money":
        return [search(f"crown in {c}"), take, ("I take the rate.", f"{rate}\nfinal_answer(a * c)")]
    if kind == "worth":
        row = f'm = re.search(r"{a.capitalize()}\\D*(\\d+)\\D+(\\d+)", text)\na = int(m[1]) * int(m[2])'
        take = (f"I multiply number and price of {a}.", f"import re\n{row}\nprint(a)")
        return [take, search(f"crown in {c}"), ("I take the rate.", f"{rate}\nfinal_answer(a * c)")]
    b = slots["b"]
    sums = f"import re\n{decimal(a.capitalize())}\n{decimal(b.capitalize(), 'b')}\nprint(a + b)"
    last = ("I take the rate.", f"{rate}\nfinal_answer((a + b) * c)")
    return [search(f"crown in {c}"), (f"I add {a} and {b}.", sums), last]


def _travel(kind: str, slots: dict[str, str]) -> Plan:
    """From a time to a town to a fact; or from a town to two times."""
    if kind == "museum":
        a = slots["a"]
        times = (_clock("a", a, "text"), _clock("b", "opens", "found"))
        return [
            search(f"museum of {a}"),
            (f"I take both times for {a}.", f"import re\n{times[0]}\n{times[1]}\nprint(a[0], b[0])"),
            ("I subtract the times.", "final_answer((int(b[1]) - int(a[1])) * 60 + int(b[2]) - int(a[2]))"),
        ]
    words = 'town + " people"' if kind == "people" else f'"road from {slots["h"]} to " + town'
    fact = 'town + r" has (\\d+)"' if kind == "people" else 'town + r" is (\\d+)"'
    town = f'town = re.search(r"([A-Z][a-z]+)\\W*{slots["t"]}", text)[1]'
    return [
        (f"I find the town at {slots['t']}.", f"import re\n{town}\nprint(town)"),
        ("I search for it.", f"found = search({words})\nprint(found)"),
        ("I take the number.", f"final_answer(int(re.search({fact}, found)[1]))"),
    ]


def _clock(variable: str, name: str, text: str) -> str:
    return f'{variable} = re.search(r"{name}\\D*(\\d+):(\\d+)", {text})'
