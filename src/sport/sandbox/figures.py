"""Inside: figures that a step has drawn and not saved become files. Standard library only, and matplotlib where it is.

As in a notebook, what is open in ``pyplot`` when a step ends is saved - ``figure_1.png``, ``figure_2.png``, ... - and
closed; a name that holds it can still draw on it and save it. A figure that the code has saved itself is not saved
again. ``plt.show()`` does nothing: there is no screen.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

MAX_FIGURES = 8  # of one step
MAX_NAMES = 10_000
_SAVED = "_saved_by_code"


def prepare() -> None:
    """Make matplotlib, where it is loaded, note which figures the code saves and not warn of ``plt.show()``."""
    warnings.filterwarnings("ignore", message="FigureCanvas.* is non-interactive")
    warnings.filterwarnings("ignore", message="More than 20 figures have been opened")
    module = sys.modules.get("matplotlib.figure")
    if module is None or hasattr(module.Figure, _SAVED):
        return
    original = module.Figure.savefig

    def savefig(self: Any, *args: Any, **options: Any) -> Any:
        setattr(self, _SAVED, True)
        return original(self, *args, **options)

    savefig.__doc__ = original.__doc__
    module.Figure.savefig = savefig
    setattr(module.Figure, _SAVED, False)


def save_open() -> list[str]:
    """Save what is open into the current directory, close it, and say what could not be saved."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    notes: list[str] = []
    try:
        numbers = [n for n in pyplot.get_fignums() if not getattr(pyplot.figure(n), _SAVED, False)]
        if len(numbers) > MAX_FIGURES:
            notes.append(f"{len(numbers)} figures are open; the first {MAX_FIGURES} were saved")
        for number in numbers[:MAX_FIGURES]:
            note = _save(pyplot.figure(number), number)
            notes += [note] if note else []
        pyplot.close("all")
    except BaseException as error:  # the code may have changed pyplot itself
        notes.append(f"open figures could not be saved ({type(error).__name__})")
    return notes


def _save(figure: Any, number: int) -> str | None:
    name = next((n for n in map("figure_{}.png".format, range(1, MAX_NAMES)) if not os.path.lexists(n)), None)
    if name is None or not figure.axes:  # plt.figure() alone has drawn nothing
        return None
    try:
        figure.savefig(name)
    except BaseException as error:  # drawing may run code of the step
        if os.path.exists(name):
            os.unlink(name)
        return f"figure {number} could not be saved ({type(error).__name__}: {str(error)[:200]})"
    return None
