"""What is too close to a benchmark or to a query that is there; seeds; prompts. No item may be near what we ship."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from sport.errors import ConfigError, InputError
from sport.seeds import derive
from sport.synth import near, seeds
from sport.synth.near import Excluded, Known, grams, jaccard
from sport.synth.prompts import NAMES, prompts
from sport.synth.replies import Unusable, as_json, as_program
from sport.synth.tasks import _Ideas as Ideas
from sport.world.families import ALL, UNSEEN

ROOT = Path(__file__).resolve().parents[2]
GTA = str(ROOT / "tests" / "data" / "gta")


def test_no_shipped_seed_is_close_to_an_item_of_gta() -> None:
    items = near.read([GTA])
    excluded = Excluded(items, 0.3)  # stricter than a run is
    assert len(excluded) >= 60
    assert excluded.close(items[0][1][0]) is not None
    assert [seed.query for seed in seeds.load() if excluded.close(seed.query)] == []


def test_no_query_of_the_embedded_world_is_close_to_an_item_of_gta() -> None:
    excluded = Excluded(near.read([GTA]), 0.5)
    queries = set()
    for name, family in ALL.items():
        rng = Random(derive("near", name))
        for split in ("unseen",) if name in UNSEEN else ("explore", "heldout"):
            piece = family.paint(split, rng)
            queries |= {family.ask(piece, split, rng).query for _ in range(40)}
    assert len(queries) > 300
    assert [query for query in queries if excluded.close(query)] == []


def test_the_shipped_seeds_are_many_and_varied() -> None:
    shipped = seeds.load()
    assert len(shipped) >= 120
    known, like = Known(0.25), []
    for seed in shipped:
        like += [known.like(seed.query)] if known.like(seed.query) else []
        known.add(seed.query)
    assert like == []
    kinds = Counter(kind for seed in shipped for kind in seed.files)
    assert set(kinds) == {"image", "csv", "xlsx", "docx", "pptx", "pdf", "json", "html", "txt"}
    assert min(kinds.values()) >= 6
    numbers = Counter(len(seed.files) for seed in shipped)
    assert numbers[0] >= 10 and numbers[1] >= 60 and numbers[2] >= 15 and numbers[3] >= 4
    assert sum(len(set(seed.files)) > 1 for seed in shipped) >= 15
    assert len({" ".join(seed.query.lower().split()[:2]) for seed in shipped}) >= 80  # how they begin


def test_seeds_of_a_users_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("What is on the first page?\n\nAnd what is on the last?\n")
    assert [seed.query for seed in seeds.load(str(tmp_path / "mine.txt"))] == [
        "What is on the first page?", "And what is on the last?",
    ]  # fmt: skip
    (tmp_path / "mine.jsonl").write_text('{"query": "What is in it?", "files": ["pdf"], "by": "me"}\n"And in this?"\n')
    assert [seed.files for seed in seeds.load(str(tmp_path / "mine.jsonl"))] == [("pdf",), ()]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"query": "What is in it?"', r"line 2: not JSON"),
        ('{"query": 3}', r"line 2: query: Input should be a valid string"),
        ('{"files": []}', r"line 2: query: Field required"),
        ('{"query": "What is in it?", "files": ["exe"]}', r"line 2: files\.0: Input should be 'image'"),
    ],
)
def test_a_broken_seed_is_named_by_its_line(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "mine.jsonl").write_text(f'{{"query": "A good one to begin with"}}\n{line}\n')
    with pytest.raises(InputError, match=rf"mine\.jsonl: {why}.*expected"):
        seeds.load(str(tmp_path / "mine.jsonl"))


def test_a_file_without_seeds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("\n")
    with pytest.raises(InputError, match="holds no seed query"):
        seeds.load(str(tmp_path / "mine.txt"))


# -------------------------------------------------------------------------------------------- closeness

ITEM = "How many spoons lie beside the blue plate on the wooden table?"


@pytest.mark.parametrize(
    ("query", "close"),
    [
        (ITEM, True),
        (ITEM.upper().replace("?", " !"), True),
        (f"Please look at the picture and tell me exactly: {ITEM} Then draw a chart of it.", True),
        ("How many spoons lie beside the blue plate on the shelf by the window?", True),
        ("How many forks lie in the red bowl?", False),
        ("What lies beside the blue plate?", False),
        ("", False),
    ],
)
def test_what_is_close_to_an_item(query: str, close: bool) -> None:
    excluded = Excluded([("mine", ["Something else altogether is asked in this one.", ITEM])], 0.5)
    found = excluded.close(query)
    assert (found is not None) is close
    if found:
        assert (found.source, found.item) == ("mine", 1)


def test_shares_by_hand() -> None:
    excluded = Excluded([("mine", ["a b c d e f g"])], 0.3)  # three runs of five words
    assert excluded.close("a b c d e f x y z") == near.Close("mine", 0, pytest.approx(2 / 3))
    assert jaccard(grams("a b c d", 3), grams("b c d e", 3)) == pytest.approx(1 / 3)
    assert jaccard(frozenset(), frozenset()) == 0
    assert grams("one two", 5) == {("one", "two")}


def test_questions_are_found_in_the_formats_of_benchmarks(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    question = "Which of them is the largest of all?"
    (tmp_path / "a.jsonl").write_text(json.dumps({"Question": question, "Final answer": "the first of them all"}))
    (tmp_path / "b.json").write_text(json.dumps({"0": {"dialogs": [{"role": "user", "content": question}]}}))
    (tmp_path / "c.json").write_text(json.dumps([question, "short"]))
    (tmp_path / "d.txt").write_text(question + "\n")
    pandas.DataFrame({"Question": [question], "Level": [1]}).to_parquet(tmp_path / "e.parquet")
    for name in ("a.jsonl", "b.json", "c.json", "d.txt", "e.parquet"):
        assert near.read([str(tmp_path / name)]) == [(str(tmp_path / name), [question])]
    (tmp_path / "deep").mkdir()
    with pytest.raises(InputError, match="deep: no question found"):
        near.read([str(tmp_path / "deep")])
    (tmp_path / "deep" / "x.json").write_text("{")
    with pytest.raises(InputError, match=r"x\.json: cannot be read"):
        near.read([str(tmp_path / "deep")])


def test_the_most_similar_query_is_named() -> None:
    known = Known(0.5)
    for text in ("one two three four five six", "one two three four five nine", "one two three four five six"):
        known.add(text)
    assert known.like("One two three, four five six.") == ("one two three four five six", 1.0)
    assert known.like("seven eight nine ten eleven") is None


# ---------------------------------------------------------------------------------- prompts and replies


def test_a_users_own_prompt_takes_the_place_of_ours_and_has_its_own_version(tmp_path: Path) -> None:
    ours = prompts()
    assert set(ours) == set(NAMES)
    (tmp_path / "queries.jinja").write_text("{# version 7 #}Write {{ n }} of them.")
    mine = prompts(str(tmp_path))
    assert mine["queries"].version.startswith("queries-7-")
    assert mine["queries"].render({"n": 3}) == "Write 3 of them."
    assert mine["check"].version == ours["check"].version
    (tmp_path / "judge.jinja").write_text("")
    with pytest.raises(ConfigError, match=r"judge\.jinja: not a prompt of synthesis; known are queries"):
        prompts(str(tmp_path))


def test_a_prompt_that_names_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "queries.jinja").write_text("Write {{ number }}.")
    with pytest.raises(ConfigError, match="number"):
        prompts(str(tmp_path))["queries"].render({"n": 3})


@pytest.mark.parametrize(
    "text",
    [
        '{"tasks": [{"query": "What is it?", "files": ["PNG", ".pdf"]}]}',
        'Sure:\n```json\n{"tasks": [{"query": "What is it?", "files": ["photo", "pdf"]}]}\n```\nAnything else?',
        '<think>{"tasks": []}</think> {"tasks": [{"query": "What is it?", "files": ["image", "pdf"], "more": 1}]} ok',
    ],
)
async def test_json_is_found_among_words(text: str) -> None:
    assert (await as_json(Ideas)(text)).tasks[0].files == ("image", "pdf")


@pytest.mark.parametrize("text", ["", "```py\n```", "```py\nx = (\n```", "Here is your program."])
def test_what_is_no_program_is_refused(text: str) -> None:
    with pytest.raises(Unusable):
        as_program(text)


def test_the_last_block_is_the_program() -> None:
    assert as_program("First\n```py\n1\n```\nor better\n```python\nx = '\\d'\n```\n") == "x = '\\d'\n"
    assert as_program("x = 1") == "x = 1"
