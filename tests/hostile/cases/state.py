"""Programs that change what a sibling, a witness or the next step stands on."""

from hostile.case import ANY, OK, Case

CASES = [
    Case(
        "builtins_overwritten",
        """
import builtins
builtins.len = builtins.repr = builtins.isinstance = builtins.print = builtins.open = None
""",
        OK,
        winner=True,
        probe="len('four')",
        sees="4",
    ),
    Case(
        "builtins_overwritten_by_type",
        """
import builtins
builtins.int = str
builtins.Exception = KeyError
builtins.__import__ = None
""",
        OK,
        winner=True,
        probe="int('4')",
        sees="4",
    ),
    Case(
        "modules_poisoned",
        """
import sys
for n in list(sys.modules): sys.modules[n] = None
""",
        ANY,
    ),
    Case(
        "modules_poisoned_in_part",
        """
import sys, json
sys.modules['json'] = sys.modules['random'] = 'poison'
json.dumps = None
""",
        ("ok", "died"),
        probe="__import__('json').dumps([1])",
        sees="'[1]'",
    ),
    Case(
        "trace_left_on",
        """
import sys, threading
def t(*a): raise ValueError('traced')
threading.settrace(t); sys.settrace(t); sys.setprofile(None)
""",
        ANY,
        winner=True,
        probe="sum([1, 2])",
        sees="3",
    ),
    Case(
        "profile_left_on",
        """
import sys
def t(*a): raise ValueError('profiled')
sys.setprofile(t)
""",
        ANY,
        winner=True,
        probe="sum([1, 2])",
        sees="3",
    ),
    Case(
        "audit_hook",
        """
import sys
def hook(*a): raise RuntimeError('audited')
sys.addaudithook(hook)
""",
        ANY,
    ),
    Case(
        "audit_hook_that_exits",
        """
import sys, os
exit = os._exit
sys.addaudithook(lambda *a: exit(0))
open('x', 'w')
""",
        ("died",),
    ),
    Case(
        "import_hook",
        """
import sys
class F:
 def find_spec(self, *a): raise SystemExit
sys.meta_path.insert(0, F())
sys.path_hooks[:] = []
sys.path[:] = []
""",
        OK,
        probe="__import__('wave').__name__",
        sees="'wave'",
    ),
    Case(
        "environment",
        """
import os
os.environ.clear()
os.environ['LEAK'] = '1'
os.putenv('LEAK', '2')
""",
        OK,
        probe="__import__('os').environ.get('LEAK')",
        sees="",
    ),
    Case(
        "time_zone",
        """
import os, time
os.environ['TZ'] = 'Asia/Tokyo'
time.tzset()
""",
        OK,
        probe="__import__('time').localtime(0).tm_hour",
        sees="0",
    ),
    Case(
        "locale",
        """
import locale
for n in ('C', 'C.UTF-8', 'POSIX', ''):
 try: locale.setlocale(locale.LC_ALL, n)
 except locale.Error: pass
""",
        OK,
    ),
    Case(
        "current_directory",
        """
import os
os.mkdir('d'); os.chdir('d'); os.chdir('/')
""",
        OK,
        probe="open('note.txt').read()",
        sees="'ours'",
    ),
    Case(
        "directory_that_is_gone",
        """
import os
os.mkdir('d'); os.chdir('d'); os.rmdir('../d')
""",
        OK,
        winner=True,
        probe="__import__('os').getcwd()",
        sees="'.'",
    ),
    Case(
        "append_and_rebind",
        "numbers.append(4); table['x'] = 1; x = 99; text += '!'",
        OK,
        probe="x, numbers, table, text",
        sees="(1, [1, 2, 3], {'a': 1}, 'state')",
    ),
    Case(
        "library_patched",
        """
import json, random, os
json.JSONEncoder.default = random.random = os.getcwd = None
os.path.join = lambda *a: '/'
""",
        ("ok", "died"),
        probe="__import__('os').path.join('a', 'b')",
        sees="'a/b'",
    ),
    Case(
        "numpy_patched",
        """
import numpy
numpy.sum = None; numpy.seterr(all='raise'); numpy.set_printoptions(precision=1)
""",
        OK,
        probe="str(__import__('numpy').array([1.23456])), __import__('numpy').geterr()['over']",
        sees="('[1.23456]', 'warn')",
    ),
    Case(
        "random_seeds",
        """
import random, numpy
random.seed(1); numpy.random.seed(1); random.random()
""",
        OK,
        probe="__import__('random').random()",
        sees="0.8444218515250481",
    ),
    Case(
        "shared_offset",
        "handle.read(); handle.seek(0, 2); import os; os.lseek(handle.fileno(), 0, 2)",
        OK,
        probe="handle.tell(), handle.read()",
        sees="(2, 'rs')",
    ),
    Case(
        "append_to_an_open_file",
        "log.write('mine'); log.flush()",
        OK,
        probe="open('note.txt').read(), handle.read()",
        sees="('ours', 'rs')",
    ),
    Case(
        "truncate_an_open_file",
        """
import os
os.truncate('note.txt', 0); os.ftruncate(log.fileno(), 0)
""",
        OK,
        probe="handle.read()",
        sees="'rs'",
    ),
    Case(
        "delete_an_open_file",
        """
import os
os.unlink('note.txt')
""",
        OK,
        probe="handle.read(), open('note.txt').read()",
        sees="('rs', 'ours')",
    ),
    Case(
        "close_an_open_file",
        """
import os
os.close(handle.fileno()); log.close()
""",
        OK,
        probe="handle.read(), log.closed",
        sees="('rs', False)",
    ),
    Case(
        "open_file_of_a_deleted_name",
        """
import os
log.write('mine'); log.flush()
""",
        OK,
        before="""
import os
gone = open('gone.txt', 'w+'); gone.write('ours'); gone.flush(); os.unlink('gone.txt')
""",
        probe="1",
        sees="1",
    ),
    Case(
        "shared_memory_map",
        "attempt_write()",
        ANY,
        before="""
import mmap
def attempt_write():
    shared[0:4] = b'mine'
try:
    f = open('note.txt', 'r+b'); shared = mmap.mmap(f.fileno(), 4)
except OSError as e: shared = None
""",
        probe="open('note.txt').read(), shared and shared[0:4]",
        sees="('ours', None)|('ours', b'ours')",
    ),
    Case(
        "shared_anonymous_map",
        """
try: shared[0:4] = b'mine'
except TypeError: pass
""",
        ANY,
        before="""
import mmap
try:
    shared = mmap.mmap(-1, 4096); shared[0:4] = b'ours'
except OSError: shared = None
""",
        probe="shared and shared[0:4]",
        sees="None|b'ours'",
    ),
    Case(
        "recursion_limit",
        """
import sys
sys.setrecursionlimit(60)
""",
        ANY,
        probe="__import__('sys').getrecursionlimit()",
        sees="1000",
    ),
    Case(
        "switch_interval_and_collector",
        """
import gc, sys
gc.disable(); gc.set_threshold(0); sys.setswitchinterval(100)
""",
        OK,
        probe="__import__('gc').isenabled()",
        sees="True",
    ),
    Case(
        "umask_and_limits",
        """
import os, resource
os.umask(0o777)
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
""",
        ANY,
        probe="open('bigger.txt', 'w').write('x' * 100)",
        sees="100",
    ),
]
