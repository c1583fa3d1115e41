"""Nutrition labels."""

from __future__ import annotations

from experts.base import Plan, look, one, two, whole


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """Read the label, take the values, calculate."""
    a, b = slots["a"], slots.get("b") or ""
    small = a.lower()
    if kind in ("more", "sum"):
        sign = "-" if kind == "more" else "+"
        return [look("label"), *two((small, b.lower()), (whole(a), whole(b, "b")), f"a {sign} b")]
    return [look("label"), *one(small, whole(a), "a" if kind == "one" else f"a * {slots['k']}")]
