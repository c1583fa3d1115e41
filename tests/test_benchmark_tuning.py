"""The benchmark of tuning compares like with like: all contenders take the same step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

KEYS = (
    "tree_s", "trl_s", "pairs_s", "group_s", "speedup_vs_trl", "speedup_vs_pairs", "speedup_vs_group",
    "peak_tree_bytes", "peak_trl_bytes", "grad_rel_err", "shape", "versions", "machine", "date", "tokens_per_second",
    "matmul_share", "trl_settings", "speedup_vs_trl_epoch_of_three",
)  # fmt: skip


@pytest.mark.slow
def test_all_contenders_have_one_gradient(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    from contenders import ours, problem

    shape = problem.SHAPES["tiny"]
    made = problem.build(shape, "cpu")
    assert len(ours._rows(made, made.trees)[0]) == shape.tree_tokens
    found = {name: getattr(ours, name)(problem.build(shape, "cpu"), 1) for name in ("tree", "group", "pairs")}
    whole = found["tree"].gradient
    assert whole is not None and np.linalg.norm(whole) > 1e-3
    for name, one in found.items():
        assert np.linalg.norm(whole - one.gradient) <= 1e-5 * np.linalg.norm(whole), name


def test_operations_are_counted_as_they_are(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trunk of three, a leaf of two after two of its tokens, and a trunk of two."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    from contenders import limit

    from sport.tune.table import Table

    table = Table(((0, 3), (3, 5), (5, 7)), ((3, 5, 0, 2),))
    assert limit.looks(table) == int(table.allowed().sum()) == 6 + (3 + 4) + 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TRL's own
def test_trl_has_it_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    from contenders import ours, peer, problem

    shape = problem.SHAPES["tiny"]
    tree, trl = ours.tree(problem.build(shape, "cpu"), 1), peer.once(problem.build(shape, "cpu"), 2, False)
    assert tree.gradient is not None and trl.gradient is not None
    assert np.linalg.norm(tree.gradient - trl.gradient) <= 1e-5 * np.linalg.norm(trl.gradient)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_program_runs_from_start_to_end(root: Path, tmp_path: Path) -> None:
    """All contenders, TRL among them, at the tiniest shape: every figure that is promised, and a gradient in common."""
    command = [sys.executable, str(root / "benchmarks" / "tuning.py"), "--shape", "tiny", "--repeats", "1"]
    done = subprocess.run([*command, "--json", str(tmp_path / "out.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert not set(KEYS) - found.keys()
    assert 0 < found["grad_rel_err"] <= 1e-5  # of 0, one vector would have been compared with itself
    assert found["grad_rel_err"] == max(found[f"grad_rel_err_{name}"] for name in ("trl", "pairs", "group"))
    for name in ("trl", "pairs", "group"):
        assert found[f"speedup_vs_{name}"] == pytest.approx(found[f"{name}_s"] / found["tree_s"])
    assert found["shape"]["name"] == "tiny" and found["tree_tokens"] < found["pair_tokens"]
    assert 0 < found["matmul_share"] < 1
    assert "TRL DPOTrainer" in done.stdout and "gradients differ by" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_curve_is_a_picture(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(root / "benchmarks" / "tuning.py"), "--shape", "tiny", "--over", "1", "2"]
    out = ["--curve", str(tmp_path / "cost.png"), "--json", str(tmp_path / "cost.json")]
    done = subprocess.run([*command, *out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "cost.json").read_text())
    assert found["tree over steps"].keys() == {"1"} and found["pairs over n"].keys() == {"2"}
    assert all(seconds > 0 for seconds in found["group over steps"].values())
