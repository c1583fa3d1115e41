"""Programs that do not end, or that end something else."""

from hostile.case import ANY, OK, STOPPED, TIMEOUT, Case

CASES = [
    Case("endless_loop", "while True: pass", TIMEOUT),
    Case(
        "endless_loop_that_catches_all",
        """
while True:
 try:
  while True: pass
 except BaseException: pass
""",
        TIMEOUT,
    ),
    Case("long_sleep", "import time; time.sleep(3600)", TIMEOUT),
    Case("regex_catastrophe", "import re; re.match(r'(a+)+$', 'a' * 64 + 'b')", TIMEOUT),
    Case("power_in_c", "9 ** 10 ** 8", TIMEOUT),
    Case(
        "signals_ignored",
        """
import signal
for s in range(1, 65):
 try: signal.signal(s, signal.SIG_IGN)
 except (OSError, ValueError): pass
while True: pass
""",
        TIMEOUT,
    ),
    Case(
        "signals_blocked_in_a_sleep",
        """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True: time.sleep(100)
""",
        TIMEOUT,
    ),
    Case(
        "endless_repr",
        """
class R:
 def __repr__(self):
  while True: pass
R()
""",
        TIMEOUT,
    ),
    Case(
        "endless_del",
        """
class D:
 def __del__(self):
  while True: pass
d = D()
del d
""",
        TIMEOUT,
    ),
    Case(
        "endless_del_left_behind",
        """
class D:
 def __del__(self):
  while True: pass
d = D(); 'left'
""",
        OK,
        value="'left'",
    ),
    Case(
        "endless_str_of_an_exception",
        """
class E(Exception):
 def __str__(self):
  while True: pass
raise E
""",
        TIMEOUT,
    ),
    Case(
        "endless_exit_of_a_with",
        """
class W:
 def __enter__(self): pass
 def __exit__(self, *a):
  while True: pass
with W(): pass
""",
        TIMEOUT,
    ),
    Case(
        "deadlock",
        """
import threading
lock = threading.Lock()
lock.acquire()
lock.acquire()
""",
        TIMEOUT,
    ),
    Case(
        "wait_for_a_thread_that_never_ends",
        """
import threading, time
t = threading.Thread(target=time.sleep, args=(3600,))
t.start()
t.join()
""",
        TIMEOUT,
    ),
    Case(
        "cpu_limit_before_wall_limit",
        """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
while True: pass
""",
        STOPPED,
        settings={"wall_s": 6.0},
    ),
    Case(
        "timer_left_armed",
        """
import signal
signal.setitimer(signal.ITIMER_REAL, 0.2)
signal.setitimer(signal.ITIMER_PROF, 0.2)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.2)
kept = 7
""",
        OK,
        winner=True,
        probe="__import__('time').sleep(0.5), sum(range(3_000_000)), kept",
        sees="(None, 4499998500000, 7)",
    ),
    Case(
        "alarm_left_armed",
        """
import signal
signal.alarm(1)
""",
        OK,
        winner=True,
        probe="__import__('time').sleep(1.2)",
    ),
    Case(
        "storm_of_timers",
        """
import signal
def bang(*a): raise KeyError('bang')
signal.signal(signal.SIGALRM, bang)
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
while True:
 try: pass
 except KeyError: pass
""",
        ANY,
    ),
    Case(
        "stopping_itself",
        """
import os, signal
os.kill(os.getpid(), signal.SIGSTOP)
""",
        ANY,
    ),
    Case(
        "faulthandler_exit_later",
        """
import faulthandler, time
faulthandler.dump_traceback_later(0.2, exit=True)
time.sleep(60)
""",
        STOPPED,
    ),
    Case(
        "long_division_of_digits",
        """
import sys
sys.set_int_max_str_digits(0)
len(str(7 ** 4_000_000))
""",
        ANY,
    ),
    Case(
        "quadratic_strings",
        """
s = ''
while True: s = s[:1000] + 'x' * 1000
""",
        TIMEOUT,
    ),
]
