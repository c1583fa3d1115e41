"""Puts the page together within its budget of bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from sport.blobs import write_atomically
from sport.causes import CAUSES
from sport.errors import RunError
from sport.report import bias as leanings
from sport.report import checking, exploring, figures
from sport.report.choose import Pick, choose
from sport.report.drawing import draw, environment, look, part
from sport.report.mistakes import graded
from sport.report.pictures import Gallery
from sport.store import Store

MOST_BYTES = 10_000_000
_RESERVE = 500_000  # for all that is not a trajectory


def build(store: Store, out: Path) -> Path:
    """Write the report of a run to ``out`` and return it. The run may still be going on.

    The page loads nothing from anywhere, is at most 10 MB, and shows at most 60 trajectories; it says how many it
    leaves out. Whatever a model wrote is escaped, long texts are cut (with a note of how much), pictures are shrunk.

    Raises:
        RunError: ``out`` cannot be written.
    """
    templates, gallery, told = environment(), Gallery(store.read), graded(store)
    choice = choose(store, {one.trajectory: one.cause for one in told})
    budget, causes = [MOST_BYTES - _RESERVE], set[str]()
    evaluated = _draw(templates, store, gallery, choice.evaluated, budget, causes)
    explored = _draw(templates, store, gallery, choice.explored, budget, causes)
    splits, explorations = figures.splits(store, told), exploring.explorations(store)
    stages, total_s = figures.timing(store)
    script = part("filter.js")
    page = templates.get_template("page.html.jinja").render(
        config=store.config,
        headline=figures.headline(store, splits),
        splits=splits,
        explorations=explorations,
        tools=_tools(explorations),
        bias=leanings.bias(store),
        reviews=leanings.reviews(store),
        dropped=exploring.dropped(explorations),
        checks=checking.checks(store),
        stages=stages,
        total_s=total_s,
        settings=figures.settings(store),
        habits=figures.habits(store),
        repeated_asks=store.repeated_asks(),
        spenders=store.spenders(),
        evaluated=evaluated,
        explored=explored,
        shown=len(evaluated) + len(explored),
        total=choice.total,
        causes=[cause for cause in CAUSES if cause in causes],
        iterations=sorted({pick.outline.iteration for pick in (*choice.evaluated, *choice.explored)}),
        style=Markup(part("style.css") + gallery.css),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
    write(out, page)
    return out


def write(out: Path, page: str) -> None:
    """Write a page whole or not at all. Raises RunError when it cannot be written."""
    try:
        write_atomically(out, page.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise RunError(f"{out}: the report cannot be written ({error.strerror})") from error


def _draw(
    templates: jinja2.Environment,
    store: Store,
    gallery: Gallery,
    picks: Iterable[Pick],
    budget: list[int],
    causes: set[str],
) -> list[Markup]:
    """Each trajectory as HTML, until the budget is spent; what pictures they bring counts too."""
    drawn = []
    for pick in picks:
        before = gallery.size
        shown = look(store, pick)
        html = draw(templates, shown, gallery.picture)
        budget[0] -= len(html.encode("utf-8", errors="backslashreplace")) + gallery.size - before
        if budget[0] < 0:
            break
        drawn.append(Markup(html))
        causes |= {shown.cause} if shown.cause else set()
    return drawn


def _tools(explorations: Sequence[exploring.Exploration]) -> list[str]:
    """Every tool that some chosen or rejected candidate called."""
    return sorted({tool for one in explorations for side in one.sides or () for tool in side.tools})
