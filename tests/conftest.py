"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("shared", deadline=None)  # machines are shared, and no test is about time
hypothesis.settings.load_profile("shared")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach a model hub, and none may wait for one
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads warn after every fork

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` are skipped, with the reason, where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
