"""Places where a run can be told to die, so that tests can show what is there afterwards.

``CRASH_AT=after_commit`` kills the process with SIGKILL when it first comes to that place, ``CRASH_AT=after_commit:7``
when it comes there for the seventh time. Unset, as it always is but in tests, a place costs a look at the environment.
"""

from __future__ import annotations

import os
import signal

from sport.errors import ConfigError

VARIABLE = "CRASH_AT"

POINTS = (
    "before_run_appears",  # the tables are made, under another name
    "after_run_appears",
    "before_blob_fsync",  # a file is written, under a temporary name
    "after_blob_fsync",
    "after_blob_rename",  # it has its name, its directory is not synced
    "before_commit",  # rows are written, not committed
    "after_commit",
    "after_check",  # a task's check is kept, the task is not
    "after_begin",  # a trajectory is there without a step
    "after_asked",  # an intent without an answer
    "after_sampled",
    "after_observed",
    "after_decided",
    "after_ended",
    "after_adapter",  # tuning has left an adapter that no iteration names yet
    "after_stage",  # a stage has done its work and has no mark
    "after_stage_mark",
)
"""All places, in about the order in which a run comes to them."""


def here(place: str) -> None:
    """Die if the environment says so. The places still to pass are counted down in the environment itself.

    Raises:
        ConfigError: it names a place that does not exist.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    name, _, left = wanted.partition(":")
    if name not in POINTS or not (left or "1").isdigit():
        raise ConfigError(f"{VARIABLE}={wanted}: no such place; expected one of {', '.join(POINTS)}, or PLACE:TIMES")
    if name != place:
        return
    if int(left or 1) <= 1:
        os.kill(os.getpid(), signal.SIGKILL)
    os.environ[VARIABLE] = f"{name}:{int(left) - 1}"
