"""Programs that win, so that what they did to their own process is what the next step stands on."""

from hostile.case import ANY, OK, Case

CASES = [
    Case(
        "fork_stolen_by_a_hook",
        """
import os, time
def steal():
    if libc.syscall(56, 0x8000 | 0x1000000 | 0x200000 | 17, 0, 0, 0, 0) == 0:
        while True: time.sleep(1)
os.register_at_fork(before=steal)
kept = 3
""",
        OK,
        winner=True,
        probe="kept",
        sees="3",
    ),
    Case(
        "fork_answered_by_a_hook",
        """
import os
os.register_at_fork(before=lambda: os._exit(0), after_in_child=lambda: os.execv('/bin/sh', ['sh']))
kept = 3
""",
        OK,
        winner=True,
        probe="kept",
        sees="3",
    ),
    Case(
        "signal_handlers",
        """
import signal
for s in range(1, 32):
 try: signal.signal(s, lambda *a: None)
 except (OSError, ValueError): pass
""",
        OK,
        winner=True,
    ),
    Case(
        "winner_lowers_its_limits",
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))
""",
        ANY,
        winner=True,
    ),
    Case(
        "fork_patched_by_the_winner",
        """
import os
os.fork = os._exit = os.getpid = os.setsid = lambda *a: 1
kept = 3
""",
        ANY,
        winner=True,
        probe="kept",
        sees="3",
    ),
    Case(
        "fork_hooks_of_the_winner",
        """
import os
os.register_at_fork(before=lambda: 1 / 0, after_in_child=lambda: os._exit(7), after_in_parent=lambda: 1 / 0)
kept = 3
""",
        ANY,
        winner=True,
    ),
    Case(
        "fork_hook_that_sleeps",
        """
import os, time
os.register_at_fork(after_in_child=lambda: time.sleep(3600))
kept = 3
""",
        ANY,
        winner=True,
    ),
    Case(
        "winner_with_a_thread",
        """
import threading, time
kept = 3
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
""",
        OK,
        winner=True,
        probe="kept",
        sees="3",
    ),
    Case(
        "winner_whose_thread_writes",
        """
import threading, time
kept = 3
def w():
 while True:
  time.sleep(0.002)
  try: open('thread.txt', 'a').write('x')
  except OSError: pass
threading.Thread(target=w, daemon=True).start()
""",
        ANY,
        winner=True,
        probe="kept",
        sees="3",
    ),
    Case(
        "winner_that_sabotages_the_runner",
        """
import gc
for o in gc.get_objects():
 if type(o).__name__ in ('State', 'Runner'):
  for n in list(vars(o)):
   try: setattr(o, n, None)
   except Exception: pass
kept = 3
""",
        ANY,
        winner=True,
    ),
    Case(
        "winner_that_closes_its_channel_later",
        """
import threading, os
threading.Timer(0.2, lambda: os.closerange(3, 200)).start()
kept = 3
""",
        ANY,
        winner=True,
        may_die=True,
    ),
    Case(
        "winner_with_many_files_open",
        """
kept = [open('note.txt') for _ in range(40)]
len(kept)
""",
        OK,
        winner=True,
        probe="len([f.read() for f in kept])",
        sees="40",
    ),
    Case(
        "winner_with_pipes_and_sockets",
        """
import os, socket
kept = os.pipe(); pair = socket.socketpair(); pair[0].send(b'x'); 1
""",
        ANY,
        winner=True,
        probe="len(kept)",
        sees="2",
    ),
    Case(
        "winner_with_300_mb",
        """
import numpy
big = numpy.ones(38_000_000)
""",
        ("ok", "error"),
        winner=True,
        settings={"memory_mb": 512, "wall_s": 8.0},
    ),
    Case(
        "import_lock_held",
        """
import _imp
_imp.acquire_lock()
kept = 3
""",
        ANY,
        winner=True,
        probe="kept",
        sees="3",
    ),
    Case(
        "lock_held_by_a_dead_thread",
        """
import logging, threading
threading.Thread(target=logging._lock.acquire if hasattr(logging, '_lock') else int).start()
kept = 3
""",
        ANY,
        winner=True,
        probe="kept",
        sees="3",
    ),
    Case(
        "main_module_replaced",
        """
import sys, types
sys.modules['__main__'] = types.ModuleType('mine')
globals().clear()
""",
        ANY,
    ),
    Case(
        "runner_file_of_a_traceback",
        """
import linecache
linecache.cache.clear()
linecache.getlines = None
1 / 0
""",
        ("error",),
        says="ZeroDivisionError",
    ),
    Case(
        "clock_patched",
        """
import time
time.monotonic = time.time = time.process_time = lambda: float('nan')
""",
        ANY,
        winner=True,
    ),
    Case(
        "type_named_like_the_answer",
        """
class Answer(BaseException): pass
raise Answer('mine')
""",
        ("error",),
    ),
]
