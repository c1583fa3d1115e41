"""What a controller is told of the place where its code runs, and that it is told."""

from __future__ import annotations

from sport.config import SandboxSection
from sport.dialect import Dialect
from sport.sandbox.names import told
from sport.types import Task


def test_packages_are_told_by_the_names_that_code_imports() -> None:
    limits = SandboxSection(libraries=("numpy", "PIL.Image", "matplotlib.pyplot", "matplotlib"), wall_s=2.5)
    assert told(limits) == (
        "The code may import numpy, PIL, matplotlib and the standard library. A step may take 2.5 seconds, files of the"
        " task are read-only, and there is no network."
    )
    assert told(SandboxSection(libraries=())).startswith("The code may import the standard library. A step may take 10")


def test_the_system_prompt_tells_it() -> None:
    words = told(SandboxSection())
    opening = Dialect("react-1", (), limits=words).opening(Task(id="t", query="How many?"))
    assert opening[0].role == "system" and words in opening[0].text
