"""Lists of goods with number and price, as CSV, PDF, text or spreadsheet."""

from __future__ import annotations

from experts.base import Plan, look, one, rows, shapes, two, whole

ROWS = r"([A-Z][a-z]+)\W+(\d+)\D+(\d+)"
ALL = {
    "all": ("I add all numbers.", "sum(int(r[1]) for r in rows)"),
    "value": ("I add number times price.", "sum(int(r[1]) * int(r[2]) for r in rows)"),
    "most": ("I take the greatest number.", "max(rows, key=lambda r: int(r[1]))[0]"),
}


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """Read the list, take the numbers, calculate."""
    first = look("list", slots["file"])
    a, b = (slots.get("a") or ""), (slots.get("b") or "")
    if kind in ("count", "side") or " " in a:
        return [first, *shapes(kind, slots)]
    if kind in ALL:
        thought, code = ALL[kind]
        return [first, *rows(ROWS, code, thought)]
    if kind == "number":
        return [first, *one(a.lower(), whole(a.capitalize()))]
    if kind == "worth":
        code = f'm = re.search(r"{a.capitalize()}\\D*(\\d+)\\D+(\\d+)", text)'
        return [first, *one(a.lower(), code, "int(m[1]) * int(m[2])")]
    sign = "-" if kind == "more" else "+"
    codes = (whole(a.capitalize()), whole(b.capitalize(), "b"))
    return [first, *two((a.lower(), b.lower()), codes, f"a {sign} b")]
