"""The benchmark of tuning compares like with like: all contenders take the same step."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TRL's own
def test_trl_has_it_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    from contenders import ours, peer, problem

    shape = problem.SHAPES["tiny"]
    tree, trl = ours.tree(problem.build(shape, "cpu"), 1), peer.once(problem.build(shape, "cpu"), 2, False)
    assert tree.gradient is not None and trl.gradient is not None
    assert np.linalg.norm(tree.gradient - trl.gradient) <= 1e-5 * np.linalg.norm(trl.gradient)
    assert {name for name in sys.modules if name.startswith("contenders")}
