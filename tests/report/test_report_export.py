"""Every trajectory as a page: complete, linked, careful with what is there already."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runs import action, make_run, picture, record_step
from sport.config import Config
from sport.errors import RunError
from sport.report import export
from sport.store import Store
from sport.types import Candidate, End, Key, Observation, Step, Task

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'><b>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("exported")
    with make_run(place / "run", tasks=6, iterations=2) as store:
        return export(store, place / "all").parent


def test_one_page_for_every_trajectory(folder: Path) -> None:
    pages = sorted((folder / "trajectories").iterdir())
    assert len(pages) == 3 * 6 + 2 * 5
    assert [page.name for page in pages][:2] == ["000001.html", "000002.html"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "filter.js", "index.html", "pictures", "report.html", "sport-report.json", "style.css", "trajectories",
    ]  # fmt: skip


def test_every_link_leads_somewhere(folder: Path) -> None:
    seen = 0
    for page in (folder / "index.html", *(folder / "trajectories").iterdir()):
        for target in re.findall(r'(?:href|src)="([^"]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), target
            seen += 1
    assert seen > 28 * 5


def test_the_index_says_what_each_one_is(folder: Path) -> None:
    index = (folder / "index.html").read_text(encoding="utf-8")
    assert index.count('<tr class="trajectory"') == 28
    assert index.count('data-tags="explore in-explore right') == 10
    assert 'class="badge good">gained' in index
    assert "worked it out wrongly" in index
    assert '<option value="in-heldout">heldout</option>' in index


def test_pictures_lie_beside_the_pages_as_they_are(folder: Path) -> None:
    pictures = sorted(path.read_bytes() for path in (folder / "pictures").iterdir())
    assert pictures == sorted(picture(number) for number in range(1, 7))


def test_what_a_model_writes_is_escaped_and_names_no_file(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        file = store.put(f"../../{EVIL}.svg", b"<svg onload='alert(1)'/>", "image/svg+xml")
        task = Task(id=EVIL, query=EVIL, files=(file, store.put("../../up.png", picture(1))))
        store.add_task(task, Key(task_id=EVIL, answer=EVIL, family=EVIL), split=EVIL, iteration=0, ordinal=0)
        store.begin(f"../../{EVIL}", EVIL, "eval", 0, 0)
        only = Candidate(index=0, action=action(EVIL, EVIL), observation=Observation(outcome="ok", stdout="\ud800"))
        record_step(store, f"../../{EVIL}", Step(index=0, candidates=(only,), continued_with=0))
        store.ended(f"../../{EVIL}", End(state="answered", answer="3"))
        index = export(store, tmp_path / "all")
    for page in (index, index.parent / "trajectories" / "000001.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "onerror=alert(1)>" not in text
    assert [path.suffix for path in (index.parent / "pictures").iterdir()] == [".png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "run"]


def test_an_earlier_export_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    with make_run(tmp_path / "long", tasks=6) as store:
        export(store, tmp_path / "all")
    (tmp_path / "all" / "notes.txt").write_text("mine", encoding="utf-8")
    with Store.create(tmp_path / "short", Config(name="short")) as store:
        index = export(store, tmp_path / "all")
    assert "short" in index.read_text(encoding="utf-8")
    assert list((tmp_path / "all" / "trajectories").iterdir()) == []
    assert (tmp_path / "all" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with Store.create(tmp_path / "run", Config()) as store:
        for place in (tmp_path, tmp_path / "thesis.txt", store.folder):
            before = sorted(path.name for path in tmp_path.rglob("*"))
            with pytest.raises(RunError, match="not empty, and not an earlier export"):
                export(store, place)
            assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_an_unwritable_place_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with Store.create(tmp_path / "run", Config()) as store, pytest.raises(RunError, match="cannot be written"):
        export(store, tmp_path / "file" / "below")


def sport(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sport.cli", *arguments]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


def test_the_command(tmp_path: Path) -> None:
    make_run(tmp_path / "run", tasks=2).close()
    done = sport(tmp_path, "report", "run", "--all", "all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "pages: all/index.html\n", "")
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--all", "run"), "not an earlier export"), (("--all", "all", "--out", "page.html"), "give --out or --all")],
)
def test_the_command_refuses(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    Store.create(tmp_path / "run", Config()).close()
    done = sport(tmp_path, "report", "run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
