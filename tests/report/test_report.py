"""The page: complete, self-contained, bounded, and deaf to what a model writes into it."""

from __future__ import annotations

import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from runs import action, answered, broke, explore, make_run, make_task, picture, record_step
from sport.config import Config
from sport.errors import RunError
from sport.report import build
from sport.store import Store
from sport.types import Candidate, End, Key, Observation, Step, Task, Verdict

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'><b>"


class Tags(HTMLParser):
    """Start tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def count(self, name: str) -> int:
        return sum(tag == name for tag, _ in self.seen)

    def classed(self, name: str) -> int:
        return sum(name in (attrs.get("class") or "").split() for _, attrs in self.seen)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("toy")
    with make_run(folder / "run", tasks=6, iterations=2) as store:
        return build(store, folder / "report.html").read_text(encoding="utf-8")


def test_it_is_well_formed_and_loads_nothing(page: str) -> None:
    tags = Tags(page)
    assert tags.open == []
    assert tags.count("script") == 1
    assert not [a for _, attrs in tags.seen for a in attrs if a in ("src", "href") or a.startswith("on")]
    assert set(re.findall(r"url\(([a-z]+:)", page)) == {"data:"}
    assert "default-src 'none'" in page


def test_figures_with_their_intervals(page: str) -> None:
    words = re.sub(r"<[^>]+>|\s+", " ", page)
    for wanted in (
        "Metrics on heldout",
        "AnsAcc",
        "CodeExec",
        "n = 6",
        "gain, in points",
        "precision",
        "chosen",
        "wrongly",
    ):
        assert wanted in words, wanted
    assert Tags(page).count("polyline") == 3


def test_every_step_shows_its_candidates_and_marks_the_winner(page: str) -> None:
    tags = Tags(page)
    explored = 2 * 5  # two iterations, one of six queries dropped in each
    assert tags.classed("trajectory") == explored + 2 * 6
    assert tags.classed("winner") == 2 * explored
    assert tags.classed("tied") == explored
    assert tags.classed("same") == 2 * explored
    assert page.count("★ winner") == 2 * explored
    for part in ("I read the label first.", "text = ocr(&#39;label-1.png&#39;)", "NameError", "Candidate 0 looked"):
        assert part in page


def test_a_change_between_iterations_is_marked(page: str) -> None:
    assert "wrong → right" in page
    assert page.count('data-tags="eval right gained answered"') >= 1


def test_one_picture_is_inlined_once(page: str) -> None:
    rules = re.findall(r"\.(p-[0-9a-f]{16})\{background-image", page)
    assert len(rules) == len(set(rules)) == 6  # explored and evaluated tasks show the same six
    assert page.count(rules[0]) > 2


def test_what_a_model_writes_is_escaped(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        file = store.put(f"{EVIL}.png", picture(1))
        task = Task(id="t", query=EVIL, files=(file,))
        store.add_task(task, Key(task_id="t", answer=EVIL, family=EVIL), split="explore", iteration=1, ordinal=0)
        store.add_check("t", True, EVIL, {})
        store.begin("x", "t", "explore", 1, 0)
        seen = Observation(outcome="ok", stdout=EVIL, value=EVIL, answered=True, answer=EVIL, files=(file,))
        tried = (
            Candidate(index=0, action=action(EVIL, EVIL), observation=seen),
            Candidate(index=1, action=action(EVIL, EVIL), observation=broke(EVIL)),
            Candidate(index=2, action=action("", "").model_copy(update={"raw": EVIL, "code": None, "problem": EVIL})),
        )
        verdict = Verdict(best=0, reason=EVIL, critic=EVIL)
        record_step(store, "x", Step(index=0, candidates=tried, verdict=verdict, why=EVIL))
        store.ended("x", End(state="failed", answer=EVIL, reason=EVIL))
        store.finish_stage(1, "explore", 1.0, {EVIL: EVIL})
        page = build(store, tmp_path / "report.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert (tags.count("script"), tags.count("img"), tags.open) == (1, 0, [])
    assert page.count("&lt;script&gt;") > 10


def test_awkward_texts_do_not_stop_it(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        task = make_task(store, 1, "explore", 1)
        store.begin("x", task.id, "explore", 1, 0)
        only = Candidate(index=0, action=action("\x00\u202e", "y"), observation=answered("\ud800"))
        record_step(store, "x", Step(index=0, candidates=(only,), continued_with=0, why="only candidate"))
        assert "\\ud800" in build(store, tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config(name="fresh")) as store:
        build(store, tmp_path / "empty.html")
        task = make_task(store, 1, "explore", 1)
        store.begin("x", task.id, "explore", 1, 0)
        with Store.view(store.folder) as reader:
            page = build(reader, tmp_path / "begun.html").read_text(encoding="utf-8")
    assert "unfinished" in page
    assert Tags(page).open == []


def bomb() -> bytes:
    """A PNG that claims 50,000 x 50,000 pixels, as a model's code may write one."""
    head = b"IHDR" + (50_000).to_bytes(4) * 2 + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + head + zlib.crc32(head).to_bytes(4)


def test_a_picture_that_claims_any_size_is_named_not_drawn(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        task = Task(id="t", query="?", files=(store.put("huge.png", bomb()),))
        store.add_task(task, None, split="explore", iteration=1, ordinal=0)
        store.begin("x", "t", "explore", 1, 0)
        page = build(store, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "huge.png" in page
    assert "background-image" not in page


def test_a_damaged_picture_is_named_not_drawn(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        task = Task(id="t", query="?", files=(store.put("broken.png", b"\x89PNG\r\n\x1a\nnothing"),))
        store.add_task(task, None, split="explore", iteration=1, ordinal=0)
        store.begin("x", "t", "explore", 1, 0)
        page = build(store, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "broken.png" in page
    assert "background-image" not in page


def test_three_hundred_long_trajectories_stay_within_the_budget(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        for number in range(1, 301):
            task = make_task(store, 1, "explore", number)
            store.begin(f"x{number}", task.id, "explore", 1, number)
            tried = tuple(
                Candidate(
                    index=i,
                    action=action("<" * 9_000, "<" * 9_000),
                    observation=Observation(outcome="ok", stdout="<" * 12_000, value="&" * 9_000),
                )
                for i in range(5)
            )
            record_step(store, f"x{number}", Step(index=0, candidates=tried, verdict=Verdict(best=0)))
        out = build(store, tmp_path / "report.html")
    page = out.read_text(encoding="utf-8")
    assert out.stat().st_size <= 10_000_000
    shown = Tags(page).classed("trajectory")
    assert 10 < shown <= 60
    assert f"{shown} of 300 are shown; {300 - shown} are left out" in page


def test_at_most_sixty_are_shown(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store:
        for iteration in (1, 2):
            for number in range(1, 41):
                explore(store, make_task(store, number, "explore", iteration), number, iteration)
        page = build(store, tmp_path / "report.html").read_text(encoding="utf-8")
    assert Tags(page).classed("trajectory") == 60
    assert page.count('data-iteration="2"') == 30


def test_an_unwritable_place_is_one_clear_message(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", Config()) as store, pytest.raises(RunError, match="cannot be written"):
        build(store, tmp_path / "nowhere" / "report.html")
