"""Assembles filters for seccomp: lists of instructions of the classic packet filter, over one call's number and words.

Every filter made here begins by killing a process that calls by a foreign architecture's numbers (``int 0x80``, x32).
Only the lower 32 bits of arguments are looked at, which is where all flags lie that the filters ask about; a rule that
refuses does so whatever the upper bits say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000
KILL, NOTIFY, ALLOW = 0x80000000, 0x7FC00000, 0x7FFF0000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # where they lie in struct seccomp_data

_LOAD, _RETURN, _AND = 0x20, 0x06, 0x54
_EQUAL, _GREATER_EQUAL, _ANY_BIT = 0x15, 0x35, 0x45

Code = list[tuple[int, int, int, int]]
"""Instructions: code, jump if true, jump if false, operand."""


def refuse(error: int) -> int:
    """The verdict that makes a call fail with ``error`` without being made."""
    return 0x00050000 | error


def start() -> Code:
    """Kill foreign architectures; the number of the call is loaded afterwards."""
    return [
        (_LOAD, 0, 0, ARCHITECTURE),
        (_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, NUMBER),
        (_GREATER_EQUAL, 0, 1, X32_BIT),
        (_RETURN, 0, 0, KILL),
    ]


def verdict(result: int) -> Code:
    """End here."""
    return [(_RETURN, 0, 0, result)]


def for_call(number: int, body: Code) -> Code:
    """``body`` for the call with that number; it must end in a verdict. The number stays loaded for other calls."""
    return [(_EQUAL, 0, len(body), number), *body]


def for_calls(numbers: Iterable[int], result: int) -> Code:
    """One verdict for several calls."""
    return [step for number in sorted(numbers) for step in for_call(number, verdict(result))]


def from_number(number: int, result: int) -> Code:
    """One verdict for all calls from that number on: those that were not there when the tables were written."""
    return [(_GREATER_EQUAL, 0, 1, number), *verdict(result)]


def argument(index: int) -> Code:
    """Load the lower half of an argument, 0 to 5."""
    return [(_LOAD, 0, 0, ARGUMENTS + 8 * index)]


def upper(index: int) -> Code:
    """Load the upper half of an argument."""
    return [(_LOAD, 0, 0, ARGUMENTS + 8 * index + 4)]


def masked(bits: int) -> Code:
    """Keep only these bits of what is loaded."""
    return [(_AND, 0, 0, bits)]


def if_equal(value: int, result: int) -> Code:
    """A verdict where what is loaded equals ``value``."""
    return [(_EQUAL, 0, 1, value), *verdict(result)]


def if_any(bits: int, result: int) -> Code:
    """A verdict where what is loaded has any of ``bits``."""
    return [(_ANY_BIT, 0, 1, bits), *verdict(result)]


def assemble(code: Code) -> bytes:
    """The filter as the kernel reads it, eight bytes an instruction. Raises ValueError beyond 4,096 of them."""
    if len(code) > 4096:
        raise ValueError(f"a filter of {len(code)} instructions; the kernel takes 4096")
    return b"".join(struct.pack("<HBBI", *step) for step in code)
