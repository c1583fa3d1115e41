"""Menus, price tags and stock boards."""

from __future__ import annotations

from experts.base import Plan, decimal, look, one, rows, shapes, two

ROWS = r"([A-Z][a-z]+)\W*([\d.]+)"


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """Read the menu, take prices, calculate."""
    first, a, b = look("menu"), slots.get("a") or "", slots.get("b") or ""
    if " " in a or kind == "side":
        return [first, *shapes(kind, slots)]
    if kind in ("cheapest", "dearest"):
        pick = "min" if kind == "cheapest" else "max"
        return [first, *rows(ROWS, f"{pick}(rows, key=lambda r: float(r[1]))[0]", f"I take the {kind} one.")]
    if kind in ("both", "more"):
        codes = (decimal(a.capitalize()), decimal(b.capitalize(), "b"))
        return [first, *two((a, b), codes, "a + b" if kind == "both" else "round(a - b, 2)")]
    k = slots.get("k")
    answer = {"price": "a", "times": f"a * {k}", "afford": f"int({k} / a)"}[kind]
    return [first, *one(a, decimal(a.capitalize()), answer)]
