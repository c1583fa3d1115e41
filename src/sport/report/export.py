"""Every trajectory of a run as a page of its own, with an index to filter: a folder without a limit of size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from sport.blobs import write_atomically
from sport.errors import RunError
from sport.report.choose import Pick, every
from sport.report.drawing import Shown, draw, environment, look, part
from sport.report.page import build, write
from sport.report.pictures import Shelf
from sport.store import Store

MARK = "sport-report.json"  # says that a folder is an export, and may be written anew
_PAGES, _PICTURES = "trajectories", "pictures"


@dataclass(frozen=True)
class Row:
    """A line of the index: what is said of a trajectory without its steps."""

    page: str
    pick: Pick
    query: str
    split: str
    family: str
    key: str | None
    cause: str | None
    steps: int


def export(store: Store, folder: Path) -> Path:
    """Write the report and a page for every trajectory into ``folder``; returns its index.

    The folder holds ``index.html``, ``report.html``, ``trajectories/`` and ``pictures/`` (as they are in the run, where
    they are pictures that can be shown), all linked relatively: it can be moved and served. An earlier export there is
    replaced. Long texts are cut as in the report; the run itself is never changed.

    Raises:
        RunError: the folder holds something else, or cannot be written; or the run is about GAIA, whose questions and
            answers may not be published.
    """
    if store.config.bench.kind == "gaia":
        raise RunError(
            f"{store.folder}: holds questions and answers of GAIA, which may not be published; read them in "
            f"{store.folder / 'report.html'}, and pass on scores.json and row.md"
        )
    _claim(folder, store.config.name)
    build(store, folder / "report.html")
    templates, shelf = environment(), Shelf(store.read, folder / _PICTURES, f"../{_PICTURES}")
    picks = every(store)
    rows = [_page(store, templates, shelf, folder, picks, place) for place in range(len(picks))]
    index = templates.get_template("index.html.jinja").render(
        config=store.config,
        rows=rows,
        splits=sorted({row.split for row in rows}),
        causes=sorted({row.cause for row in rows if row.cause}),
        iterations=sorted({row.pick.outline.iteration for row in rows}),
    )
    write(folder / "index.html", index)
    return folder / "index.html"


def _page(
    store: Store, templates: jinja2.Environment, shelf: Shelf, folder: Path, picks: list[Pick], place: int
) -> Row:
    shown = look(store, picks[place])
    name = _name(place)
    page = templates.get_template("one.html.jinja").render(
        config=store.config,
        body=Markup(draw(templates, shown, shelf.picture, opened=True)),
        name=shown.trajectory.id,
        place=place + 1,
        total=len(picks),
        previous=_name(place - 1) if place > 0 else None,
        following=_name(place + 1) if place + 1 < len(picks) else None,
    )
    try:
        (folder / _PAGES / name).write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise RunError(f"{folder / _PAGES / name}: cannot be written ({error.strerror})") from error
    return _row(f"{_PAGES}/{name}", shown)


def _row(page: str, shown: Shown) -> Row:
    key, tree = shown.key, shown.trajectory
    wanted = None if key is None else f"spoilt: {key.defect}" if key.defect else key.answer
    family = key.family if key is not None else ""
    return Row(page, shown.pick, tree.task.query, shown.split, family, wanted, shown.cause, len(tree.steps))


def _name(place: int) -> str:
    return f"{place + 1:06d}.html"


def _claim(folder: Path, run: str) -> None:
    """Make the folder ours, without the pages and pictures of an earlier export."""
    try:
        if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARK).is_file())):
            raise RunError(f"{folder}: not empty, and not an earlier export; name another directory with --all")
        for name in (_PAGES, _PICTURES):
            (folder / name).mkdir(parents=True, exist_ok=True)
        write_atomically(folder / MARK, (json.dumps({"run": run, "made_by": "sport report --all"}) + "\n").encode())
        for page in (folder / _PAGES).glob("[0-9]*.html"):
            page.unlink()
        write_atomically(folder / "style.css", part("style.css").encode())
        write_atomically(folder / "filter.js", part("filter.js").encode())
    except OSError as error:
        raise RunError(f"{folder}: the pages cannot be written ({error.strerror})") from error
