"""Host: what the layers of this run are worth, in words. Nothing is called active that has not been tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sport.errors import ConfigError

State = Literal["active", "degraded", "disabled", "unavailable"]

ADVICE = {
    "namespaces": (
        "boxes see the host's processes, and Landlock, seccomp and the user id are what is left; to allow them: sysctl "
        "user.max_user_namespaces=65536, kernel.unprivileged_userns_clone=1 (Debian) and "
        "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), in a container --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined, or start as root"
    ),
    "root": "code can find the host's files, though Landlock opens none; in its own, chmod and utime do nothing",
    "disk": "a box can fill the disk up to its largest file times the number of its files; both are checked afterwards",
    "limits": "one step can take all memory, descriptors and threads of the machine",
    "uid": "boxes run as the user that started this; start as root to give each a user of its own",
    "capabilities": "boxes keep the rights of root: do not run code of others",
    "privileges": "programs with the set-user-id bit stay able to give rights, were one executed",
    "dumpable": "processes of one box can read each other's memory",
    "parent": "boxes may outlive a killed sandbox, until somebody ends them",
    "landlock": "the mount namespace alone keeps code from files; Linux 5.13 with landlock in its lsm= list has it",
    "gate": "daemons are swept, not prevented, and only RLIMIT_NPROC ends a fork bomb; Linux 5.5 has user notification",
    "seccomp": "model-written code can make every system call; Linux with CONFIG_SECCOMP_FILTER has it",
}
"""Per layer: what it means that it is missing, and how to get it."""


@dataclass(frozen=True)
class Layer:
    """One layer as it stands; ``str`` of it is what is stored and shown."""

    name: str
    state: State
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


def judge(prepared: Mapping[str, Sequence[str]], results: Mapping[str, str]) -> tuple[Layer, ...]:
    """What was put up, against what the probes got through.

    ``prepared``: per layer "on" or why not, and a reason; ``results``: per layer that was tried what went through.
    """
    return tuple(_judged(name, state, reason, results.get(name)) for name, (state, reason) in prepared.items())


def vector(layers: Sequence[Layer]) -> dict[str, str]:
    """Names and states, to be stored with a run."""
    return {layer.name: str(layer) for layer in layers}


def tier(layers: Sequence[Layer]) -> str:
    """A few words: how strict this is, and what is missing or only there in part."""
    if not layers:
        return "no walls"
    active = sum(layer.state == "active" for layer in layers)
    missing = [layer.name for layer in layers if layer.state in ("disabled", "unavailable")]
    partly = [layer.name for layer in layers if layer.state == "degraded"]
    words = [f"{active} of {len(layers)} walls" if missing or partly else f"all {active} walls"]
    words += [f"without {', '.join(missing)}"] if missing else []
    words += [f"partly {', '.join(partly)}"] if partly else []
    return "; ".join(words)


def check_floor(layers: Sequence[Layer], below_floor: bool) -> None:
    """Seccomp and one of namespaces and Landlock have to be there; ``below_floor`` is the word of who accepts less.

    Raises:
        ConfigError: they are not, and nobody accepted that.
    """
    active = {layer.name for layer in layers if layer.state in ("active", "degraded")}
    if below_floor or ("seccomp" in active and active & {"namespaces", "landlock"}):
        return
    wanted = ["seccomp"] if "seccomp" not in active else ["namespaces", "landlock"]
    said = "\n".join(f"  {layer.name}: {layer}: {advice(layer)}" for layer in layers if layer.name in wanted)
    raise ConfigError(
        "the walls around model-written code are too thin here; at least seccomp and one of namespaces and Landlock"
        f" have to be active:\n{said}\n"
        "  run in a Docker container or on another machine, or accept it by name: --set sandbox.below_floor=true"
    )


def advice(layer: Layer) -> str:
    """What follows from a layer that is not active, and what to do about it."""
    if layer.state == "active":
        return ""
    if layer.state == "disabled":
        return f"{ADVICE[layer.name].split('; ')[0]}; take it off sandbox.without"
    return ADVICE[layer.name]


def _judged(name: str, state: str, reason: str, went_through: str | None) -> Layer:
    if state in ("disabled", "unavailable"):
        return Layer(name, "disabled" if state == "disabled" else "unavailable", reason)
    if went_through is None:
        return Layer(name, "unavailable", "its probe did not run")
    if went_through:
        return Layer(name, "unavailable", f"tried, and not stopped: {went_through}")
    return Layer(name, "degraded" if state == "degraded" else "active", reason)
