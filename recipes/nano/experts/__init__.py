"""What a good controller would write for a question of the embedded world: the warm start's supervision.

It reads the key, which is allowed here and nowhere in the run: these trajectories come from the split ``warm``. Values
flow through the interpreter; no digit is retyped that was read from a file or an article.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experts import chart, document, label, lookup, menu, paper, receipt, scene, timetable, unseen
from experts.base import Plan, write
from sport.types import Key

PLANS: Mapping[str, Callable[[str, Mapping[str, str]], Plan]] = {
    "label": label.plan,
    "scene": scene.plan,
    "document": document.plan,
    "receipt": receipt.plan,
    "menu": menu.plan,
    "timetable": timetable.plan,
    "chart": chart.plan,
    "paper": paper.plan,
    "lookup": lookup.plan,
    "scoreboard": unseen.scoreboard,
    "weather": unseen.weather,
    "parcel": unseen.parcel,
}


def solve(key: Key) -> list[str]:
    """The actions, in order."""
    family, kind = str(key.facts["kind"]).split(".")
    return [write(*step) for step in PLANS[family](kind, dict(key.facts["slots"]))]
