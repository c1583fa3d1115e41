"""GAIA's scorer by hand and by property; its loader on made-up items in its format."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sport.bench import gaia
from sport.bench.gaia_score import right
from sport.errors import InputError


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("17", "17", True),
        ("17.0", "17", True),
        ("$1,700%", "1700", True),
        ("17 apples", "17", False),
        ("seventeen", "17", False),
        ("", "17", False),
        ("a,b", "a, b", True),
        ("A;b", "a, B", True),
        ("b, a", "a, b", False),
        ("a, b, c", "a, b", False),
        ("St Paul, x", "St. Paul, x", False),  # in lists punctuation stays
        ("3, $4", "3, 4", True),
        ("3, four", "3, 4", False),
        ("St Paul", "St. Paul!", True),
        ("st.paul", "St. Paul", True),
        ("Saint Paul", "St. Paul", False),
        (None, "17", False),
        (None, "None", False),
    ],
)
def test_the_scorer(answer: str | None, truth: str, expected: bool) -> None:
    assert right(answer, truth) is expected


@given(st.text(st.characters(categories=("Lu", "Ll"), max_codepoint=127), min_size=1, max_size=20), st.integers(0, 5))
def test_case_white_space_and_punctuation_of_words_do_not_matter(word: str, at: int) -> None:
    assert right(f" {word[:at]} {word[at:].upper()}.", word) or word.lower() in ("inf", "nan", "infinity")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_equals_itself_however_it_is_dressed(number: float) -> None:
    assert right(f"${number}%", str(number))


def row(number: int, **change: object) -> dict:
    question = {"task_id": f"made-up-{number}", "Question": f"What is {number} + 1?", "Level": number % 3 + 1}
    rest = {"Final answer": str(number + 1), "file_name": "", "file_path": "", "Annotator Metadata": {}}
    return {**question, **rest, **change}


def write(folder: Path, rows: list[dict], split: str = "validation") -> Path:
    place = folder / "2023" / split
    place.mkdir(parents=True)
    (place / "metadata.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return folder


def test_json_lines_and_parquet_are_read_alike(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = [row(1), row(2, Level="2", file_name="a.txt")]
    one = write(tmp_path / "lines", rows) / "2023" / "validation"
    two = tmp_path / "parquet" / "2023" / "validation"
    two.mkdir(parents=True)
    frame = pandas.DataFrame(rows).astype({"Level": str}).drop(columns="Annotator Metadata")
    frame.to_parquet(two / "metadata.parquet")
    for folder in (one, two):
        (folder / "a.txt").write_text("x")
    found = [gaia.load(tmp_path / name) for name in ("lines", "parquet")]
    assert [(q.id, q.query, q.level, q.truth) for q in found[0]] == [
        ("made-up-1", "What is 1 + 1?", 2, "2"),
        ("made-up-2", "What is 2 + 1?", 2, "3"),
    ]
    assert [q.id for q in found[0]] == [q.id for q in found[1]]
    assert found[1][1].file == two / "a.txt" and found[1][0].file is None


def test_a_level_is_chosen_and_the_test_split_has_no_truth(tmp_path: Path) -> None:
    data = write(tmp_path, [row(n, **{"Final answer": "?"}) for n in range(6)], "test")
    assert [q.level for q in gaia.load(data, "test", 3)] == [3, 3]
    assert {q.truth for q in gaia.load(data, "test")} == {None}


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([row(1)], {"level": 4}, "--level 4: no such level; GAIA has 1, 2, 3"),
        ([row(1)], {"level": 1}, "no question of level 1"),
        ([row(1)], {"split": "dev"}, "--split dev: no such split"),
        ([row(1), row(1)], {}, "made-up-1 stands there more than once"),
        ([row(1, Level=7)], {}, "question 1: level '7'"),
        ([{"id": 1}], {}, "question 1 has no 'task_id'"),
        ([row(1, file_name="gone.xlsx")], {}, "1 of 1 attached files are missing"),
        ([row(1, file_name="../../x")], {}, "leads out"),
        ([], {}, "holds no question"),
    ],
)
def test_bad_input_has_one_message(tmp_path: Path, rows: list[dict], options: dict, words: str) -> None:
    with pytest.raises(InputError) as caught:
        gaia.load(write(tmp_path, rows), **options)
    assert words in str(caught.value)


def test_a_folder_without_metadata_and_a_file_that_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no 2023/validation/metadata"):
        gaia.load(tmp_path)
    (tmp_path / "metadata.jsonl").write_text("no json")
    with pytest.raises(InputError, match="JSON lines"):
        gaia.load(tmp_path)
    (tmp_path / "metadata.jsonl").unlink()
    (tmp_path / "metadata.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="parquet"):
        gaia.load(tmp_path)


WORDS = st.lists(st.text(alphabet="abcXYZ", min_size=1, max_size=5), min_size=2, max_size=5)


@given(WORDS, st.randoms(use_true_random=False))
def test_lists_are_right_in_their_order_alone(words: list[str], random) -> None:
    shuffled = random.sample(words, len(words))
    same = [word.lower() for word in shuffled] == [word.lower() for word in words]
    assert right(", ".join(shuffled), ",".join(words)) is same
    assert right(";  ".join(word.swapcase() for word in words), ", ".join(words))
    assert not right(", ".join([*words, "d"]), ", ".join(words))


@given(st.lists(st.integers(-999, 999), min_size=2, max_size=4))
def test_numbers_in_lists_are_compared_as_numbers(numbers: list[int]) -> None:
    assert right("; ".join(f"${n}.0%" for n in numbers), ", ".join(map(str, numbers)))
    assert not right("; ".join(str(n + 1) for n in numbers), ", ".join(map(str, numbers)))
