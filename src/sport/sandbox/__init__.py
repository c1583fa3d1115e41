"""Where model-written code runs: interpreters that can be forked into isolated futures.

``from sport.sandbox import LocalSandbox`` is all that is needed without the rest of sport (examples/sandbox.py). Names
are imported when they are asked for: processes inside load this package too, and must stay small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sport.config import SandboxSection
    from sport.sandbox.base import Entry, Interpreter, Sandbox
    from sport.sandbox.forked import ForkedSandbox
    from sport.sandbox.journal import load, save
    from sport.sandbox.local import LocalSandbox
    from sport.tools.base import ToolOutput

_PLACES = {
    "Entry": "sport.sandbox.base",
    "ForkedSandbox": "sport.sandbox.forked",
    "Interpreter": "sport.sandbox.base",
    "LocalSandbox": "sport.sandbox.local",
    "Sandbox": "sport.sandbox.base",
    "SandboxSection": "sport.config",
    "ToolOutput": "sport.tools.base",
    "load": "sport.sandbox.journal",
    "save": "sport.sandbox.journal",
}
__all__ = [
    "Entry",
    "ForkedSandbox",
    "Interpreter",
    "LocalSandbox",
    "Sandbox",
    "SandboxSection",
    "ToolOutput",
    "load",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
