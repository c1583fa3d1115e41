"""Names of tools and packages inside, and what a model is told of the place where its code runs."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable

from sport.config import SandboxSection
from sport.errors import ConfigError

TAKEN = frozenset({"final_answer", "ToolError", *dir(builtins)})


def check_names(names: Iterable[str]) -> None:
    """Raises ConfigError when tools cannot be functions inside under these names, and says why."""
    seen: set[str] = set()
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigError(
                f"tool {name!r}: the code calls a tool as a function; name it like one, such as 'my_tool'"
            )
        if name in TAKEN:
            raise ConfigError(
                f"tool {name!r}: the code would lose the {name} that Python or the sandbox has; rename it"
            )
        if name in seen:
            raise ConfigError(f"tool {name!r}: two tools of one name")
        seen.add(name)


def told(limits: SandboxSection) -> str:
    """What a controller should know before it writes code, for the system prompt of a dialect that has a place for it.

    >>> told(SandboxSection(libraries=("numpy", "PIL.Image"), wall_s=5.0))  # doctest: +ELLIPSIS
    'The code may import numpy, PIL and the standard library. A step may take 5 seconds, ...'
    """
    packages = ", ".join(dict.fromkeys(name.partition(".")[0] for name in limits.libraries))
    imports = f"{packages} and the standard library" if packages else "the standard library"
    return (
        f"The code may import {imports}. A step may take {limits.wall_s:g} seconds, files of the task are read-only,"
        " and there is no network."
    )
