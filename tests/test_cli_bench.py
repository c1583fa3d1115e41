"""``sport compare`` and ``sport score`` on runs and files of a few tasks, and every message for bad input."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from typer.testing import CliRunner

from sport.bench import gta
from sport.bench.compare import compare
from sport.bench.marking import load
from sport.cli import app
from sport.errors import InputError, RunError
from sport.stats import paired_bootstrap, paired_ratios, sign_test
from sport.store import Store

GTA = Path(__file__).parent / "data" / "gta"
ITEMS = gta.load(GTA)


def aliases(item: gta.Item) -> str:
    return " ".join(group[0] for group in item.reference["whitelist"])


RIGHT = {item.id: aliases(item) for item in ITEMS if isinstance(item.reference, dict)}


def written(folder: Path, answers: object, name: str = "answers.json") -> Path:
    path = folder / name
    path.write_text(answers if isinstance(answers, str) else json.dumps(answers))
    return path


def score(*arguments: object):
    return CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=True)


def marked(folder: Path, answers: object, name: str) -> Path:
    done = score("gta", written(folder, answers), "--data", GTA, "--out", folder / name)
    assert done.exit_code == 0, done.exception
    return folder / name


def test_answers_made_elsewhere_are_scored_by_all_rules_and_nothing_else(tmp_path: Path) -> None:
    done = score("gta", written(tmp_path, RIGHT), "--data", GTA, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.exception
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    found = {name: metric for entry in scores["metrics"] for name, metric in entry["metrics"].items()}
    assert set(found) == {f"AnsAcc {rule}, objective" for rule in ("SPORT", "MAT", "mended", "official")}
    assert found["AnsAcc mended, objective"]["value"] == 1 and found["AnsAcc mended, objective"]["n"] == len(RIGHT)
    assert scores["tools"] is None and "all-mpnet-base-v2" in scores["absent"]["AnsAcc official"]
    assert "41 of 60 tasks have an answer" in done.output
    again = CliRunner().invoke(app, ["eval", str(tmp_path / "run")])
    assert isinstance(again.exception, RunError) and "made elsewhere" in str(again.exception)


def test_numbers_of_tasks_and_the_leaderboards_columns_are_understood(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"task_id": n.removeprefix("gta-"), "model_answer": a}) + "\n" for n, a in RIGHT.items())
    assert load(written(tmp_path, rows)) == {name.removeprefix("gta-"): text for name, text in RIGHT.items()}
    one, two = marked(tmp_path, rows, "one"), marked(tmp_path, RIGHT, "two")
    assert (
        json.loads((one / "scores.json").read_text())["tasks"] == json.loads((two / "scores.json").read_text())["tasks"]
    )


def test_a_missing_answer_is_wrong_and_stays_in_the_denominator(tmp_path: Path) -> None:
    few = dict(list(RIGHT.items())[:10])
    scores = json.loads((marked(tmp_path, few, "run") / "scores.json").read_text())
    metric = scores["metrics"][0]["metrics"]["AnsAcc mended, objective"]
    assert (metric["n"], metric["value"]) == (len(RIGHT), 10 / len(RIGHT))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ('{"0": "a", "0": "b"}', "task_id 0 stands there more than once"),
        ('{"id": "0", "answer": 1}\n{"id": 0, "answer": 2}\n', "task_id 0 stands there more than once"),
        ('{"answer": "a"}\n{"answer": "b"}', "answer 1 names no task"),
        ("[3]", "answer 1 names no task"),
        ('{"0": ["a"]}', "the answer to 0 is no text"),
        ("not json", "cannot be read as JSON or JSON lines"),
        ('{"9999": "a"}', "1 of 1 answers are to tasks that"),
    ],
)
def test_a_bad_file_of_answers_has_one_message_and_leaves_nothing(tmp_path: Path, answers: str, words: str) -> None:
    done = score("gta", written(tmp_path, answers), "--data", GTA, "--out", tmp_path / "run")
    assert isinstance(done.exception, InputError) and words in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_gaia_is_scored_by_level_and_other_rules_are_refused(tmp_path: Path) -> None:
    rows = [
        {"task_id": f"q{n}", "Question": "?", "Level": n % 3 + 1, "Final answer": str(n), "file_name": ""}
        for n in range(6)
    ]
    data = written(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "metadata.jsonl")
    answers = written(tmp_path, {"q0": "0", "q1": "1.0", "q2": "9"})
    done = score("gaia", answers, "--data", data, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.exception
    found = json.loads((tmp_path / "run" / "scores.json").read_text())["metrics"][0]["metrics"]
    assert [found[name]["value"] for name in ("AnsAcc", "AnsAcc level 1", "AnsAcc level 3")] == [2 / 6, 0.5, 0.0]
    assert "CodeExec" not in found and "Steps" not in found
    level = score("gaia", answers, "--data", data, "--level", "4", "--out", tmp_path / "x")
    assert isinstance(level.exception, InputError) and "no such level" in str(level.exception)
    assert isinstance(score("world", answers).exception, InputError)


# ------------------------------------------------------------------------------------------ compare


def test_flips_are_named_and_tested(tmp_path: Path) -> None:
    names = list(RIGHT)
    first = marked(tmp_path, {name: RIGHT[name] for name in names[:20]}, "first")
    second = marked(tmp_path, {name: RIGHT[name] for name in names[2:30]}, "second")
    with Store.view(first) as a, Store.view(second) as b:
        found = {one.figure: one for one in compare(a, b)}
    one = found["AnsAcc mended, objective"]
    assert (one.gained, one.lost, one.n) == (tuple(names[20:30]), tuple(names[:2]), len(RIGHT))
    assert one.p == sign_test(10, 2) == pytest.approx(2 * 79 / 4096)
    assert one.change.value == pytest.approx(8 / len(RIGHT)) and one.change.low < 8 / len(RIGHT) < one.change.high
    page = tmp_path / "beside.html"
    done = CliRunner().invoke(app, ["compare", str(first), str(second), "--out", str(page)])
    assert done.exit_code == 0, done.exception
    assert f"lost (2): {names[0]}, {names[1]}" in done.output.replace("\n", " ")
    text = page.read_text()
    assert text.count('class="pair"') == 12 and "wrong → right" in text and "http" not in text.replace("http-equiv", "")


def test_a_run_against_itself_is_no_change(tmp_path: Path) -> None:
    run = marked(tmp_path, RIGHT, "run")
    with Store.view(run) as a, Store.view(run) as b:
        for one in compare(a, b):
            assert (one.change.value, one.p, one.gained, one.lost) == (0, 1.0, (), ())


def test_runs_without_common_tasks_and_gaias_pages_are_refused(tmp_path: Path) -> None:
    rows = [{"task_id": "q", "Question": "?", "Level": 1, "Final answer": "1", "file_name": ""}]
    data = written(tmp_path, json.dumps(rows[0]), "metadata.jsonl")
    score("gaia", written(tmp_path, {"q": "1"}, "a.json"), "--data", data, "--out", tmp_path / "gaia")
    run = marked(tmp_path, RIGHT, "run")
    done = CliRunner().invoke(app, ["compare", str(run), str(tmp_path / "gaia")])
    assert isinstance(done.exception, InputError) and "no task was scored in both" in str(done.exception)
    line = ["compare", str(tmp_path / "gaia"), str(tmp_path / "gaia"), "--out", str(tmp_path / "x.html")]
    done = CliRunner().invoke(app, line)
    assert isinstance(done.exception, RunError) and not (tmp_path / "x.html").exists()


def test_mcnemars_exact_test_by_hand() -> None:
    assert sign_test(0, 0) == 1.0 and sign_test(5, 5) == 1.0
    assert sign_test(1, 9) == sign_test(9, 1) == pytest.approx(2 * (1 + 10) / 1024)
    with pytest.raises(ValueError, match="no counts"):
        sign_test(-1, 0)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemars_exact_test_agrees_with_scipy(better: int, worse: int) -> None:
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_test(better, worse) == pytest.approx(expected)


def test_paired_ratios_of_wholes_of_one_are_the_paired_bootstrap() -> None:
    old, new = [0, 1, 0, 1, 0, 0, 1, 0] * 5, [1, 1, 0, 1, 0, 1, 1, 0] * 5
    ratio = paired_ratios([(v, 1) for v in old], [(v, 1) for v in new])
    plain = paired_bootstrap(old, new)
    assert ratio.value == pytest.approx(plain.value) == 0.25
    assert (ratio.low, ratio.high) == pytest.approx((plain.low, plain.high), abs=0.03)
    with pytest.raises(ValueError, match="nothing was counted"):
        paired_ratios([(0, 0)], [(1, 1)])
    with pytest.raises(ValueError, match="cannot pair"):
        paired_ratios([], [])
