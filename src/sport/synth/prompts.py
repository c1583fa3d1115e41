"""The prompts of synthesis by name: the package's, or a user's own beside them."""

from __future__ import annotations

from pathlib import Path

from sport.errors import ConfigError
from sport.wording import Prompt, prompt

NAMES = ("queries", "contents", "document", "check", "repair", "caption")
SET = "synth-1"


def prompts(folder: str = "") -> dict[str, Prompt]:
    """All prompts by name. A user's folder replaces those that it holds a file ``<name>.jinja`` for.

    Raises:
        ConfigError: no such folder, a file in it that is no prompt of ours, or one that is no template.
    """
    if not folder:
        return {name: prompt(f"{SET}/{name}") for name in NAMES}
    path = Path(folder)
    if not path.is_dir():
        raise ConfigError(f"synth.prompts: {folder}: no such folder")
    strange = sorted(found.name for found in path.glob("*.jinja") if found.stem not in NAMES)
    if strange:
        raise ConfigError(
            f"synth.prompts: {path / strange[0]}: not a prompt of synthesis; known are {', '.join(NAMES)}"
        )
    own = {name: path / f"{name}.jinja" for name in NAMES}
    return {
        name: prompt(f"{SET}/{name}", str(file) if file.exists() else None, "synth.prompts")
        for name, file in own.items()
    }
