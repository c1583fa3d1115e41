"""All programs, each under a name of its own."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

from hostile.case import Case
from hostile.cases import (
    attack,
    crash,
    files,
    kernel,
    libraries,
    memory,
    mustwork,
    network,
    output,
    outputs,
    processes,
    rpc,
    state,
    time,
    toolfiles,
    winner,
)

MODULES: tuple[ModuleType, ...] = (
    time, crash, memory, processes, attack, kernel, files, outputs, network, output, rpc, toolfiles, state, winner,
    mustwork, libraries,
)  # fmt: skip


def _all() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for module in MODULES:
        category = module.__name__.rpartition(".")[2]
        for case in module.CASES:
            name = f"{category}.{case.name}"
            assert name not in cases, f"{name} stands twice in the catalogue"
            cases[name] = replace(case, name=name, category=category)
    return cases


CATALOGUE = _all()

SAMPLE = (
    "time.endless_loop_that_catches_all",
    "time.timer_left_armed",
    "crash.hard_exit_with_success",
    "crash.null_pointer",
    "memory.list_bomb",
    "processes.one_fork",
    "processes.thread_that_keeps_writing",
    "attack.kill_parent",
    "attack.any_environ",
    "kernel.uid_is_not_root_and_holds_nothing",
    "files.write_a_host_file",
    "outputs.link_as_output",
    "network.tcp_to_the_host",
    "network.unix_socket_of_the_host",
    "output.terminal_escapes",
    "output.chat_tokens_in_output",
    "rpc.length_of_4_gib",
    "rpc.flood_of_descriptors",
    "state.builtins_overwritten",
    "state.shared_offset",
    "winner.fork_patched_by_the_winner",
    "mustwork.asynchronous",
    "libraries.pandas",
)
"""What `make test` runs: at least one of every kind of wall."""
