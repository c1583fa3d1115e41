"""The error tree is what its drawing says, and a boundary lets through what it should."""

from __future__ import annotations

import re

import pytest

import sport.errors as errors
from sport.errors import ModelError, SandboxError, SportError, TransientModelError, UserError, boundary


def drawn() -> dict[str, str]:
    """Child -> parent, read off the drawing in the module's docstring."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([\s│├└─]*)(\w+Error)\b", line):
            depth, name = len(match.group(1)), match.group(2)
            above = [entry for entry in above if entry[0] < depth]
            if above:
                parents[name] = above[-1][1]
            above.append((depth, name))
    return parents


def test_the_drawing_is_the_tree() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SportError)]
    real = {c.__name__: c.__bases__[0].__name__ for c in classes if c is not SportError}
    assert drawn() == real
    assert len(real) > 10


def test_a_boundary_makes_a_failure() -> None:
    with boundary("critic") as caught:
        raise TransientModelError("no answer")
    assert caught.failure is not None
    assert (caught.failure.kind, caught.failure.message) == ("TransientModelError", "no answer")
    assert caught.failure.where == "critic"


def test_without_an_exception_there_is_no_failure() -> None:
    with boundary("critic") as caught:
        pass
    assert caught.failure is None


@pytest.mark.parametrize("error", [UserError("yours"), ValueError("a bug"), KeyboardInterrupt()])
def test_a_boundary_lets_users_errors_bugs_and_stops_through(error: BaseException) -> None:
    with pytest.raises(type(error)), boundary("here"):
        raise error


def test_a_boundary_with_kinds_takes_only_those() -> None:
    with pytest.raises(SandboxError), boundary("critic", ModelError):
        raise SandboxError("not a model")
