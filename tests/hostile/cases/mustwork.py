"""Programs that are not hostile at all: what honest code must be able to do."""

from hostile.case import OK, Case

SLOW = {"wall_s": 20.0}

CASES = [
    Case(
        "generators",
        """
def g():
    got = yield 1
    yield from [got, 3]
i = g()
[next(i), i.send(2), next(i)]
""",
        OK,
        value="[1, 2, 3]",
    ),
    Case(
        "match",
        """
def f(v):
    match v:
        case {'kind': 'a', 'n': int(n)} if n > 1: return n
        case [1, *rest]: return rest
        case _: return None
f({'kind': 'a', 'n': 5}), f([1, 2])
""",
        OK,
        value="(5, [2])",
    ),
    Case("walrus", "[y for n in range(6) if (y := n * n) > 8]", OK, value="[9, 16, 25]"),
    Case(
        "globals",
        """
count = 0
def up():
    global count
    count += 1
up(); up(); count
""",
        OK,
        value="2",
    ),
    Case(
        "nonlocals",
        """
def outer():
    n = 1
    def inner():
        nonlocal n
        n += 1
        return n
    return inner()
outer()
""",
        OK,
        value="2",
    ),
    Case(
        "asynchronous",
        """
import asyncio
async def f(n):
    await asyncio.sleep(0.01)
    return n
async def main(): return await asyncio.gather(*(f(n) for n in range(3)))
asyncio.run(main())
""",
        OK,
        value="[0, 1, 2]",
    ),
    Case(
        "asynchronous_generators",
        """
import asyncio
async def g():
    for n in range(3): yield n
async def main(): return [n async for n in g()]
asyncio.run(main())
""",
        OK,
        value="[0, 1, 2]",
    ),
    Case(
        "exec_and_eval",
        """
exec('a = 5\\ndef f(): return a')
eval('f() + 1')
""",
        OK,
        value="6",
    ),
    Case(
        "classes",
        """
class A:
    def __init__(self, n): self.n = n
    def __repr__(self): return f'A({self.n})'
    @property
    def double(self): return 2 * self.n
class B(A): pass
B(4), B(4).double
""",
        OK,
        value="(A(4), 8)",
    ),
    Case(
        "dataclasses",
        """
from dataclasses import dataclass, field
@dataclass(frozen=True, order=True)
class P:
    x: int
    y: list = field(default_factory=list)
P(1), P(1) < P(2)
""",
        OK,
        value="(P(x=1, y=[]), True)",
    ),
    Case(
        "enumerations_and_typing",
        """
from enum import Enum
from typing import NamedTuple
class C(Enum):
    RED = 1
class N(NamedTuple):
    a: int
C(1).name, N(2)
""",
        OK,
        value="('RED', N(a=2))",
    ),
    Case(
        "threads_that_end",
        """
import threading
got = []
ts = [threading.Thread(target=got.append, args=(i,)) for i in range(4)]
for t in ts: t.start()
for t in ts: t.join()
sorted(got)
""",
        OK,
        value="[0, 1, 2, 3]",
        winner=True,
    ),
    Case(
        "thread_pool",
        """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool: got = list(pool.map(lambda n: n * n, range(5)))
got
""",
        OK,
        value="[0, 1, 4, 9, 16]",
        winner=True,
    ),
    Case(
        "exception_groups",
        """
try:
    raise ExceptionGroup('g', [ValueError(1), KeyError(2)])
except* ValueError as e: print(len(e.exceptions))
except* KeyError: print('key')
""",
        OK,
        says="1\nkey",
    ),
    Case(
        "context_managers",
        """
from contextlib import contextmanager, ExitStack
@contextmanager
def c(): yield 3
with ExitStack() as s: n = s.enter_context(c())
n
""",
        OK,
        value="3",
    ),
    Case(
        "decorators_and_closures",
        """
import functools
@functools.lru_cache
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
fib(80)
""",
        OK,
        value="23416728348467685",
    ),
    Case(
        "pickles",
        """
import pickle
class A:
    def __init__(self): self.x = 1
pickle.loads(pickle.dumps(A())).x
""",
        OK,
        value="1",
    ),
    Case(
        "inspection_of_ones_own_code",
        """
import inspect
def f(a, b=2):
    return a + b
str(inspect.signature(f)), inspect.getsource(f).splitlines()[1].strip()
""",
        OK,
        value="('(a, b=2)', 'return a + b')",
    ),
    Case("variables_of_earlier_steps", "numbers + [x], text", OK, value="([1, 2, 3, 1], 'state')"),
    Case("asking_for_memory_in_reason", "b = bytearray(50_000_000); len(b)", OK, value="50000000"),
    Case(
        "socketpair",
        """
import socket
a, b = socket.socketpair(); a.send(b'x'); b.recv(1)
""",
        OK,
        value="b'x'",
    ),
    Case(
        "clock_and_sleep",
        """
import time
t = time.monotonic(); time.sleep(0.05); time.monotonic() - t > 0.04
""",
        OK,
        value="True",
    ),
]
