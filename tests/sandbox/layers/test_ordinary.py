"""The same walls, started by an ordinary user: root runs their tests again as somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hostile import cage

HERE = Path(__file__).resolve().parent


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.skipif(os.geteuid() != 0, reason="these tests run as an ordinary user already")
@pytest.mark.skipif(shutil.which("setpriv") is None or not cage.namespaces(), reason="no way to become another user")
def test_as_an_ordinary_user() -> None:
    user = [f"--reuid={cage.ORDINARY}", f"--regid={cage.ORDINARY}", "--clear-groups", "--bounding-set=-all"]
    with tempfile.TemporaryDirectory() as temporary:
        os.chown(temporary, cage.ORDINARY, cage.ORDINARY)
        pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={temporary}/tests"]
        words = cage.command(["setpriv", *user, *pytest_, str(HERE)])
        done = subprocess.run(
            words, env=cage.environment(), cwd=HERE.parents[2], capture_output=True, text=True, timeout=400
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
