"""Programs that end their process, or spoil how it reports."""

from hostile.case import ANY, DIED, ERROR, FAILS, OK, Case

ENDS = ("error", "died", "timeout")

CASES = [
    Case("sys_exit", "import sys; sys.exit(3)", ERROR, says="SystemExit: 3"),
    Case("sys_exit_text", "import sys; sys.exit('goodbye')", ERROR, says="goodbye"),
    Case("hard_exit_with_success", "import os; os._exit(0)", DIED, says="status 0"),
    Case("hard_exit_with_a_status", "import os; os._exit(3)", DIED, says="status 3"),
    Case(
        "hard_exit_after_output",
        """
import os
print('last words', flush=True)
os._exit(0)
""",
        DIED,
        says="last words",
    ),
    Case("keyboard_interrupt", "raise KeyboardInterrupt", ERROR, says="KeyboardInterrupt"),
    Case("generator_exit", "raise GeneratorExit", ERROR, says="GeneratorExit"),
    Case("null_pointer", "import ctypes; ctypes.string_at(0)", DIED, says="SIGSEGV"),
    Case("write_to_null", "import ctypes; ctypes.memset(0, 1, 8)", DIED, says="SIGSEGV"),
    Case("abort", "import os; os.abort()", DIED, says="SIGABRT|SIGSEGV"),
    Case("smashed_type", "import ctypes; ctypes.memset(id(int), 0, 200); 1 + 1", FAILS),
    Case(
        "bad_bytecode",
        """
c = (lambda: 0).__code__
(lambda: 0).__class__(c.replace(co_code=b'\\xfe\\xff' * 40), {})()
""",
        ANY,
    ),
    Case(
        "recursion",
        """
def f(): return f()
f()
""",
        ERROR,
        says="RecursionError",
    ),
    Case(
        "recursion_limit_raised",
        """
import sys
sys.setrecursionlimit(10 ** 9)
def f(): return f()
f()
""",
        ENDS,
    ),
    Case(
        "recursion_in_c",
        """
import sys
sys.setrecursionlimit(10 ** 9)
x = []
for _ in range(10 ** 6): x = [x]
repr(x)
""",
        ENDS,
    ),
    Case("parentheses", "eval('(' * 100_000 + ')' * 100_000)", FAILS),
    Case("nested_minus", "eval('-' * 1_000_000 + '1')", FAILS),
    Case("deep_json", "import json; json.loads('[' * 100_000)", ERROR, says="RecursionError"),
    Case(
        "str_of_the_exception_raises",
        """
class E(Exception):
 def __str__(self): raise ValueError
raise E
""",
        ERROR,
        says="E",
    ),
    Case(
        "str_of_the_exception_exits",
        """
class E(Exception):
 def __str__(self): raise SystemExit
raise E
""",
        ERROR,
    ),
    Case(
        "exception_without_str",
        """
class E(Exception): __str__ = None
raise E
""",
        ERROR,
        says="E",
    ),
    Case(
        "metaclass_hides_the_name",
        """
class M(type):
 def __getattribute__(c, n): raise BaseException('hidden')
class E(BaseException, metaclass=M): pass
raise E
""",
        ERROR,
    ),
    Case(
        "exception_chain_in_a_circle",
        """
a, b = ValueError('a'), ValueError('b')
a.__cause__ = b
b.__cause__ = a
raise a
""",
        ERROR,
        says="a",
    ),
    Case(
        "exception_group_of_10000",
        "raise ExceptionGroup('many', [ValueError(i) for i in range(10_000)])",
        ERROR,
        says="many",
    ),
    Case(
        "exception_of_100_mb", "raise ValueError('x' * 100_000_000)", FAILS, never="x{200000}", settings={"wall_s": 6.0}
    ),
    Case(
        "traceback_cut_off",
        """
try:
 1 / 0
except ZeroDivisionError as e: raise e.with_traceback(None) from None
""",
        ERROR,
        says="ZeroDivisionError",
    ),
    Case(
        "syntax_error",
        """
def f(:
 pass
""",
        ERROR,
        says="SyntaxError",
    ),
    Case("syntax_error_by_hand", "raise SyntaxError('mine', ('<step 1>', 'ten', None, b'x'))", ERROR),
    Case(
        "excepthook",
        """
import sys
sys.excepthook = lambda *a: print('hooked')
1 / 0
""",
        ERROR,
        says="ZeroDivisionError",
    ),
    Case("null_in_the_code", "x = 1\0", ("error", "refused")),
    Case("surrogate_in_the_code", "x = '\ud800'", ("ok", "error", "refused")),
    Case("empty_code", "", OK),
    Case("only_a_comment", "# nothing", OK),
    Case("code_of_2_mb", "#" * 2_000_000, ("ok", "refused")),
    Case("code_of_100000_lines", "x = 1\n" * 100_000, OK, settings={"wall_s": 8.0}),
    Case(
        "atexit_that_kills",
        """
import atexit, os
atexit.register(os._exit, 0)
""",
        OK,
    ),
    Case(
        "thread_that_exits_the_process",
        """
import threading, os, time
threading.Thread(target=lambda: (time.sleep(0.1), os._exit(0))).start()
time.sleep(60)
""",
        DIED,
    ),
    Case(
        "builtins_deleted",
        """
import builtins
for n in list(vars(builtins)):
 if n != 'delattr': delattr(builtins, n)
""",
        ANY,
    ),
    Case(
        "garbage_collector_as_a_weapon",
        """
import gc
for o in gc.get_objects():
 if isinstance(o, dict) and o is not globals():
  try: o.clear()
  except BaseException: pass
""",
        ANY,
    ),
    Case(
        "every_object_of_the_runner_patched",
        """
import gc, types
for o in gc.get_objects():
 if isinstance(o, types.FunctionType):
  try: o.__code__ = (lambda *a, **k: None).__code__
  except BaseException: pass
""",
        ANY,
    ),
    Case(
        "crash_in_a_thread_of_c",
        """
import ctypes, threading
threading.Thread(target=ctypes.string_at, args=(0,)).start()
import time; time.sleep(60)
""",
        DIED,
    ),
]
