"""Receipts."""

from __future__ import annotations

from experts.base import Plan, look, one, rows, shapes, two, whole

ROWS = r"(\d+)\D+(\d+\.\d+)"
BILL = "sum(int(n) * float(p) for n, p in rows)"


def _row(name: str) -> str:
    return f'm = re.search(r"{name.capitalize()}\\D*(\\d+)\\D+([\\d.]+)", text)'


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """Read the receipt, take quantities and prices, calculate."""
    first, a, b = look("receipt"), slots["a"], slots["b"] or ""
    if " " in a:
        return [first, *shapes(kind, slots)]
    if kind == "bill":
        return [first, *rows(ROWS, BILL, "I add all rows.")]
    if kind == "change":
        return [first, *rows(ROWS, f"{slots['k']} - {BILL}", f"I subtract all rows from {slots['k']}.")]
    if kind == "number":
        return [first, *one(a, whole(a.capitalize()))]
    if kind == "both":
        codes = (f"{_row(a)}\na = int(m[1]) * float(m[2])", f"{_row(b)}\nb = int(m[1]) * float(m[2])")
        return [first, *two((a, b), codes, "a + b")]
    return [first, *one(a, _row(a), "float(m[2])" if kind == "price" else "int(m[1]) * float(m[2])")]
