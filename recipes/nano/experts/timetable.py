"""Timetables."""

from __future__ import annotations

from experts.base import Plan, look, one, rows


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """Read the timetable, take times, calculate with hours and minutes."""
    first, a, b = look("timetable"), slots["a"], slots["b"]
    if kind == "takes":
        code = f'import re\nm = re.search(r"{a}\\D*(\\d+):(\\d+)\\s+(\\d+):(\\d+)", text)\nprint(m[0])'
        answer = "final_answer((int(m[3]) - int(m[1])) * 60 + int(m[4]) - int(m[2]))"
        return [first, (f"I take the times for {a}.", code), ("I subtract the times.", answer)]
    if kind == "wait":
        answer = "final_answer((int(b[1]) - int(a[1])) * 60 + int(b[2]) - int(a[2]))"
        return [
            first,
            (f"I take the time for {a}.", f'import re\na = re.search(r"{a}\\D*(\\d+):(\\d+)", text)\nprint(a[0])'),
            (f"I take the time for {b}.", f'b = re.search(r"{b}\\D*(\\d+):(\\d+)", text)\nprint(b[0])'),
            ("I subtract the times.", answer),
        ]
    if kind == "next":
        answer = f'next(n for n, t in rows if t > "{slots["t"]}")'
        return [first, *rows(r"([A-Z][a-z]+)\W*(\d+:\d+)", answer, f"I take the first after {slots['t']}.")]
    code = {
        "leave": f'a = re.search(r"{a}\\D*(\\d+:\\d+)", text)[1]',
        "arrive": f'a = re.search(r"{a}\\s*\\S+\\s+(\\d+:\\d+)", text)[1]',
        "line": f'a = re.search(r"(\\d+)\\s*{a}", text)[1]',
    }[kind]
    return [first, *one(a, code)]
