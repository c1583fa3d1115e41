"""Names under which tools can be called inside."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable

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
