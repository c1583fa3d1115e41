"""All families, which splits know them, how deep their kinds of questions are, and whose pieces may be mistaken."""

from __future__ import annotations

from collections.abc import Mapping

from sport.world.base import Family
from sport.world.chart import Charts
from sport.world.document import Documents
from sport.world.label import Labels
from sport.world.lookup import Lookups
from sport.world.menu import Menus
from sport.world.paper import Papers
from sport.world.parcel import Parcels
from sport.world.receipt import Receipts
from sport.world.scene import Scenes
from sport.world.scoreboard import Scoreboards
from sport.world.timetable import Timetables
from sport.world.weather import Weather

_FAMILIES: tuple[Family, ...] = (
    Labels(), Scenes(), Documents(), Receipts(), Menus(), Timetables(), Charts(), Papers(), Lookups(),
    Scoreboards(), Weather(), Parcels(),
)  # fmt: skip
ALL: Mapping[str, Family] = {family.name: family for family in _FAMILIES}

SEEN = ("scene", "chart", "label", "receipt", "document", "menu", "timetable", "paper", "lookup")
"""Families that ``warm``, ``explore``, ``dev`` and ``heldout`` may have; their turns are ``synth.families``."""

UNSEEN = ("scoreboard", "weather", "parcel")
"""Families of ``unseen``, which occur nowhere else."""

KIN: tuple[frozenset[str], ...] = (
    frozenset({"scene", "chart", "receipt", "menu", "paper"}),  # all of them show shapes, or write them down
    frozenset({"receipt", "menu", "paper", "document"}),  # all of them show prices
    *(frozenset({"lookup", base}) for base in ("label", "menu", "timetable", "chart", "paper", "document")),
)
"""Families of which one's picture may well answer another's question."""

DEPTHS: Mapping[str, int] = {
    "label.one": 1, "label.times": 2, "label.more": 2, "label.sum": 2,
    "scene.count": 1, "scene.side": 2, "scene.more": 2, "scene.sum": 2,
    "document.number": 1, "document.worth": 2, "document.sum": 2,
    "receipt.number": 1, "receipt.price": 1, "receipt.line": 2, "receipt.both": 3, "receipt.bill": 2,
    "receipt.change": 3, "receipt.count": 1, "receipt.more": 2, "receipt.sum": 2,
    "menu.price": 1, "menu.times": 2, "menu.both": 2, "menu.more": 2, "menu.afford": 2, "menu.cheapest": 2,
    "menu.dearest": 2, "menu.count": 1, "menu.sum": 2, "menu.side": 1,
    "timetable.leave": 1, "timetable.arrive": 1, "timetable.line": 1, "timetable.takes": 2, "timetable.wait": 2,
    "timetable.next": 2,
    "chart.one": 1, "chart.both": 2, "chart.more": 2, "chart.all": 2, "chart.most": 2, "chart.least": 2,
    "chart.count": 1, "chart.sum": 2, "chart.side": 1,
    "paper.number": 1, "paper.worth": 2, "paper.sum": 2, "paper.more": 2, "paper.all": 2, "paper.value": 3,
    "paper.most": 2, "paper.count": 1,
    "lookup.limit": 4, "lookup.fit": 3, "lookup.money": 3, "lookup.moneys": 4, "lookup.people": 3, "lookup.road": 3,
    "lookup.museum": 3, "lookup.weight": 3, "lookup.worth": 4,
    "scoreboard.points": 1, "scoreboard.lead": 2, "scoreboard.match": 2, "scoreboard.best": 2,
    "weather.high": 1, "weather.range": 2, "weather.rain": 2, "weather.warmest": 2,
    "parcel.to": 1, "parcel.postage": 2, "parcel.weight": 2, "parcel.people": 3,
}  # fmt: skip
"""Composition depth by kind: one for each look-up that waits for nothing or for one before, one for each operation."""


def strangers(name: str) -> tuple[Family, ...]:
    """Seen families whose pieces cannot answer a question of this one, whatever they show."""
    kin = frozenset({name}).union(*(group for group in KIN if name in group))
    return tuple(ALL[other] for other in dict.fromkeys(SEEN) if other not in kin)
