"""Bar charts."""

from __future__ import annotations

from experts.base import Plan, look, one, rows, shapes, two, whole

ROWS = r"([A-Z][a-z]+)\W*(\d+)"


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """Read the chart, take values, calculate."""
    first, a, b = look("chart"), slots.get("a") or "", slots.get("b") or ""
    if " " in a or kind == "side":
        return [first, *shapes(kind, slots)]
    if kind == "all":
        return [first, *rows(ROWS, "sum(int(r[1]) for r in rows)", "I add all bars.")]
    if kind in ("most", "least"):
        pick = "max" if kind == "most" else "min"
        return [first, *rows(ROWS, f"{pick}(rows, key=lambda r: int(r[1]))[0]", f"I take the {kind}.")]
    if kind == "one":
        return [first, *one(a, whole(a))]
    return [first, *two((a, b), (whole(a), whole(b, "b")), "a - b" if kind == "more" else "a + b")]
