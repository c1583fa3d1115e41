"""Two runs side by side: the tasks whose answers flipped, each with both trajectories, as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from sport.errors import RunError
from sport.report.choose import Pick
from sport.report.drawing import draw, environment, look, part
from sport.report.page import MOST_BYTES, write
from sport.report.pictures import Gallery
from sport.store import Store

MOST = 40  # tasks on one page


@dataclass(frozen=True)
class Line:
    """One figure in words: of the first run, of the second, the change with its interval, and the p of the test."""

    figure: str
    before: str
    after: str
    change: str
    p: str


def build(before: Store, after: Store, lines: Sequence[Line], flips: Sequence[tuple[str, str]], out: Path) -> Path:
    """Write the page to ``out`` and return it. ``flips`` are (task, "gained" or "lost"), the most telling ones first.

    At most 40 tasks and 10 MB are shown; the page says how many there are. Of repeats the first is shown.

    Raises:
        RunError: ``out`` cannot be written; or the runs are about GAIA, whose content may not be published.
    """
    if "gaia" in (before.config.bench.kind, after.config.bench.kind):
        raise RunError(f"{after.folder}: holds items of GAIA, which may not be published: no page of them is written")
    templates, galleries = environment(), (Gallery(before.read), Gallery(after.read))
    known = [_first(store) for store in (before, after)]
    rows, size = [], 0
    for task, change in flips[:MOST]:
        sides = []
        for store, gallery, picks in zip((before, after), galleries, known, strict=True):
            sides.append(Markup(draw(templates, look(store, picks[task]), gallery.picture, opened=True)))
        size += sum(len(side.encode("utf-8", errors="backslashreplace")) for side in sides)
        if size + sum(gallery.size for gallery in galleries) > MOST_BYTES:
            break
        rows.append((task, change, *sides))
    page = templates.get_template("versus.html.jinja").render(
        names=[f"{store.config.name} ({store.folder.name})" for store in (before, after)],
        lines=lines,
        rows=rows,
        total=len(flips),
        style=Markup(part("style.css") + "\n".join(gallery.css for gallery in galleries)),
    )
    write(out, page)
    return out


def _first(store: Store) -> dict[str, Pick]:
    """Each task's trajectory of the first repeat; of a run that teaches, of its last evaluation."""
    scores, found = store.scores("eval"), {}
    for outline in store.outlines("eval"):
        if store.config.bench.kind == "none" or outline.task_id not in found:
            found[outline.task_id] = Pick(outline, scores.get(outline.id, {}))
    return found
