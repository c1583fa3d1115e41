"""Puts the page together within its budget of bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sport.blobs import write_atomically
from sport.errors import RunError
from sport.report import figures
from sport.report.choose import Pick, choose
from sport.report.pictures import Gallery
from sport.store import Store
from sport.types import Candidate, Json, Metric, Step

MOST_BYTES = 10_000_000
_RESERVE = 500_000  # for all that is not a trajectory
_CLIP = 3000  # characters of one text
_MOST_CALLS = 12  # tool calls shown of one candidate


def build(store: Store, out: Path) -> Path:
    """Write the report of a run to ``out`` and return it. The run may still be going on.

    The page loads nothing from anywhere, is at most 10 MB, and shows at most 60 trajectories; it says how many it
    leaves out. Whatever a model wrote is escaped, long texts are cut (with a note of how much), pictures are shrunk.

    Raises:
        RunError: ``out`` cannot be written.
    """
    environment = _environment()
    script = _part("filter.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    gallery = Gallery(store.read)
    choice = choose(store)
    budget = [MOST_BYTES - _RESERVE]
    evaluated = _draw(environment, store, gallery, choice.evaluated, budget)
    explored = _draw(environment, store, gallery, choice.explored, budget)
    splits = figures.splits(store)
    stages, total_s = figures.timing(store)
    page = environment.get_template("page.html.jinja").render(
        config=store.config,
        headline=figures.headline(store, splits),
        splits=splits,
        explorations=figures.explorations(store),
        checks=figures.checks(store),
        stages=stages,
        total_s=total_s,
        settings=figures.settings(store),
        repeated_asks=store.repeated_asks(),
        evaluated=evaluated,
        explored=explored,
        shown=len(evaluated) + len(explored),
        total=choice.total,
        iterations=sorted({pick.outline.iteration for pick in (*choice.evaluated, *choice.explored)}),
        style=Markup(_part("style.css") + gallery.css),
        script=Markup(script),
        digest=digest,
    )
    try:
        write_atomically(out, page.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise RunError(f"{out}: the report cannot be written ({error.strerror})") from error
    return out


def _draw(
    environment: jinja2.Environment, store: Store, gallery: Gallery, picks: Iterable[Pick], budget: list[int]
) -> list[Markup]:
    """Each trajectory as HTML, until the budget is spent; what pictures they bring counts too."""
    template = environment.get_template("trajectory.html.jinja")
    drawn = []
    for pick in picks:
        before = gallery.size
        html = template.render(
            pick=pick,
            trajectory=store.trajectory(pick.outline.id),
            key=store.key(pick.outline.task_id),
            scores=pick.scores,
            picture=gallery.picture,
        )
        budget[0] -= len(html.encode("utf-8", errors="backslashreplace")) + gallery.size - before
        if budget[0] < 0:
            break
        drawn.append(Markup(html))
    return drawn


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sport.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clip=clip, percent=percent, interval=interval, span=span, marks=marks, call=call)
    environment.globals["most_calls"] = _MOST_CALLS
    return environment


def clip(text: object, most: int = _CLIP) -> str:
    """A text cut to ``most`` characters, with a note of how many are missing."""
    words = str(text)
    return words if len(words) <= most else f"{words[:most]}\n… {len(words) - most:,} more characters"


def percent(share: float) -> str:
    """A share with one decimal, without its sign."""
    return f"{100 * share:.1f}"


def interval(metric: Metric) -> str:
    """A metric's 95 % interval, in per cent for a share."""
    return f"{metric.show(metric.low)} to {metric.show(metric.high)}"


def span(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def marks(step: Step, candidate: Candidate) -> list[str]:
    """What a step says of one of its candidates: winner, tied, went on, same as another."""
    found = []
    if step.verdict and step.verdict.best == candidate.index:
        found.append("winner")
    if step.verdict and candidate.index in step.verdict.tied:
        found.append("tied")
    if step.continued_with == candidate.index:
        found.append("went on")
    if candidate.same_as is not None:
        found.append(f"same as {candidate.same_as}")
    return found


def call(name: str, arguments: dict[str, Json]) -> str:
    """A tool call on one line; files by name."""
    told: list[Any] = [
        f"{key}={value['name']}" if isinstance(value, dict) and "name" in value else f"{key}={value!r}"
        for key, value in arguments.items()
    ]
    return clip(f"{name}({', '.join(told)})", 200)


def _part(name: str) -> str:
    return (resources.files("sport.report") / "templates" / name).read_text(encoding="utf-8")
