"""Inside: why a machine refuses a layer, as far as it says so itself."""

from __future__ import annotations

_SWITCHES = (
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=0 forbids them"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=0 forbids them"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor forbids them to programs without a profile (kernel.apparmor_restrict_unprivileged_userns=1)",
    ),
)


def said(error: OSError) -> str:
    """The words of an error without its number."""
    return error.strerror or str(error)


def no_namespaces(error: OSError) -> str:
    """What the error said, and the switch that is set against namespaces, where one is."""
    return ": ".join([said(error), *(words for path, value, words in _SWITCHES if _is(path, value))])


def _is(path: str, value: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() == value
    except OSError:  # this kernel has no such switch
        return False
