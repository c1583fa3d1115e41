"""A hostile program as data: what it does, how it may end, and what must be true afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK = ("ok",)
ERROR = ("error",)
DIED = ("died",)
TIMEOUT = ("timeout",)
FAILS = ("error", "died")
STOPPED = ("timeout", "died")
ANY = ("ok", "error", "timeout", "died", "refused")

BREACH = "BREACH"
"""What a program prints when it got what it must not get. No observation may hold it."""


@dataclass(frozen=True)
class Case:
    """One program.

    ``code`` runs in a candidate; ``@CANARY@``, ``@PORT@``, ... in it become this run's places (see ``places.py``).
    ``before`` runs in the state first. ``outcomes``: how it may end. ``says``: a pattern that the observation's text
    must match; ``never``: one that it must not match. ``value``: what the last expression must be. ``probe`` is an
    expression that a later fork of the state must evaluate to one of ``sees`` (parted by bars; None if empty). A
    ``winner`` becomes the state, which must still answer - or, if it ``may_die``, be told to be dead. ``files``: names
    that the observation must carry; none at all if empty. ``settings`` go over those of the run. ``real_tools``: those
    of the project instead of the conformance suite's. ``needs``: layers without which it may
    get further; where one of them is not active it is ``lenient``, and only the witnesses and the host are asked.
    """

    name: str
    code: str
    outcomes: tuple[str, ...] = OK
    says: str = ""
    never: str = ""
    value: str | None = None
    before: str = ""
    probe: str = ""
    sees: str = ""
    winner: bool = False
    may_die: bool = False
    needs: tuple[str, ...] = ()
    lenient: bool = False
    files: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    real_tools: bool = False
    category: str = ""


def attempts(*deeds: str, imports: str = "os") -> str:
    """Code that tries each expression; one that raises nothing has got through.

    >>> print(attempts("os.kill(1, 9)"))
    import os
    attempt(lambda: os.kill(1, 9))
    """
    return "\n".join([f"import {imports}", *(f"attempt(lambda: {deed})" for deed in deeds)])
