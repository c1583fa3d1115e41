"""One trajectory as HTML, and the words that all templates share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2

from sport.report.choose import Pick
from sport.report.mistakes import why_wrong
from sport.report.pictures import Picture
from sport.store import Store
from sport.types import Candidate, File, Json, Key, Metric, Step, Trajectory

_CLIP = 3000  # characters of one text
_MOST_CALLS = 12  # tool calls shown of one candidate


@dataclass(frozen=True)
class Shown:
    """A trajectory to draw with all that is known of it. ``cause`` is None unless its answer is wrong."""

    pick: Pick
    trajectory: Trajectory
    key: Key | None
    cause: str | None
    split: str


def look(store: Store, pick: Pick) -> Shown:
    """Read a trajectory, its key, and why it is wrong if it is."""
    trajectory, key = store.trajectory(pick.outline.id), store.key(pick.outline.task_id)
    cause = why_wrong(trajectory, key, pick.right) if pick.outline.end is not None else None
    return Shown(pick, trajectory, key, cause, store.split_of(pick.outline.task_id) or "")


def draw(
    environment: jinja2.Environment, shown: Shown, picture: Callable[[File], Picture | None], *, opened: bool = False
) -> str:
    """A trajectory as one ``<details>``, closed unless ``opened``."""
    template = environment.get_template("trajectory.html.jinja")
    return template.render(
        pick=shown.pick,
        trajectory=shown.trajectory,
        key=shown.key,
        scores=shown.pick.scores,
        cause=shown.cause,
        split=shown.split,
        picture=picture,
        opened=opened,
    )


def environment() -> jinja2.Environment:
    """Templates with everything escaped, and an undefined variable as an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("sport.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        clip=clip, percent=percent, interval=interval, span=span, marks=marks, call=call, tag=tag, after=after
    )
    made.globals["most_calls"] = _MOST_CALLS
    return made


def part(name: str) -> str:
    """A style or a script that lies beside the templates."""
    return (resources.files("sport.report") / "templates" / name).read_text(encoding="utf-8")


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


def after(iteration: int) -> str:
    """When an evaluation was made."""
    return "start" if iteration == 0 else f"iteration {iteration}"


def tag(words: str) -> str:
    """Words as one word that a filter can look for."""
    return "-".join(words.replace(",", " ").split())


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
