"""Stock lists as spreadsheets."""

from __future__ import annotations

from experts import paper
from experts.base import Plan


def plan(kind: str, slots: dict[str, str]) -> Plan:
    """As any other list, from its own file; its slots are the names as they are written."""
    return paper.plan(kind, {**slots, "file": "file_1.xlsx"})
