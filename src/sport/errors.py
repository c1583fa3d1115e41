"""The error tree. Classify at the boundary, record once, let the rest crash.

SportError
├── UserError            what the person at the keyboard can mend: one message, exit code 2
│   ├── ConfigError      a key, a type, a value of the configuration
│   ├── InputError       a file or a data set handed in
│   ├── CheckpointError  a model directory, tokenizer or adapter
│   └── RunError         a run directory: locked, unwritable, full, of a newer schema
├── ModelError           a language model
│   ├── TransientModelError   worth another try
│   ├── FatalModelError       quota, wrong key, unknown model: stop
│   │   ├── BudgetError       the tokens or the money that the user allowed are spent
│   │   └── UnknownModelError the server has no model of that name, or has forgotten it
│   └── ContentError          an answer that breaks its contract
├── ToolError            a tool said no: an observation for the controller
├── SandboxError         the sandbox itself broke, not the code in it
└── TuningError          a loss that is not finite, a row that does not fit
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sport.types import Failure


class SportError(Exception):
    """Root of everything that this package raises on purpose."""


class UserError(SportError):
    """Something the user can mend. The message names the file or field, what was expected and what to do."""


class ConfigError(UserError):
    """A key, type or value of the configuration."""


class InputError(UserError):
    """A file or data set that was handed in."""


class CheckpointError(UserError):
    """A model directory, tokenizer or adapter that cannot be used."""


class RunError(UserError):
    """A run directory that is locked, unwritable, full, missing or of a newer schema."""


class ModelError(SportError):
    """A language model failed."""


class TransientModelError(ModelError):
    """Worth another try."""


class FatalModelError(ModelError):
    """No further try can help."""


class BudgetError(FatalModelError):
    """A role has spent what the configuration allows it; the run stops and can go on with a larger budget."""


class UnknownModelError(FatalModelError):
    """A server has no model of the name it was asked for; one that was restarted forgets its adapters."""


class ContentError(ModelError):
    """The model answered, but not what its contract says."""


class ToolError(SportError):
    """A tool refused or failed; the code that called it sees an exception."""


class SandboxError(SportError):
    """The sandbox broke; the code inside is not to blame."""


class TuningError(SportError):
    """Tuning cannot go on; the last good checkpoint is kept."""


class Caught:
    """Holds what :func:`boundary` caught; ``failure`` is None when nothing was."""

    failure: Failure | None = None


@contextmanager
def boundary(where: str, *kinds: type[SportError]) -> Iterator[Caught]:
    """Turn the named exceptions (SportErrors; default: any but UserError) into a :class:`Failure`; others pass.

    >>> with boundary("critic", ModelError) as caught:
    ...     raise ModelError("no answer")
    >>> caught.failure.kind
    'ModelError'
    """
    caught = Caught()
    try:
        yield caught
    except SportError as error:
        if not isinstance(error, kinds or SportError) or (not kinds and isinstance(error, UserError)):
            raise
        caught.failure = Failure(kind=type(error).__name__, message=str(error), where=where)
