from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)


@pytest.fixture
def troublesome(monkeypatch):
    """Makes ``troublesome`` importable here, and so in the workers, which search where the driver does."""
    monkeypatch.syspath_prepend(HERE)
    yield __import__("troublesome")
    sys.modules.pop("troublesome", None)
