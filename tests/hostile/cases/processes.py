"""Programs that want to be more than one process, or to leave one behind."""

from hostile.case import ANY, FAILS, OK, Case, attempts

STAYS = """
import os, time
n = 0
for _ in range(200):
    try:
        if os.fork() == 0:
            os.setsid()
            time.sleep(300)
            os._exit(0)
        n += 1
    except OSError:
        break
print('BREACH' if n else 'none')
"""

CASES = [
    Case(
        "fork_bomb",
        """
import os
while True: os.fork()
""",
        FAILS,
        never="BREACH",
        needs=("gate",),
    ),
    Case(
        "fork_bomb_that_catches",
        """
import os
while True:
 try: os.fork()
 except OSError: break
""",
        OK,
        needs=("gate",),
    ),
    Case("one_fork", attempts("os.fork()"), OK, says="refused", needs=("gate",)),
    Case("forks_that_sleep", STAYS, OK, says="none", needs=("gate",)),
    Case(
        "fork_storm_of_threads",
        """
import os, threading
def storm():
    while True:
        try: os.fork()
        except OSError: pass
for _ in range(8): threading.Thread(target=storm, daemon=True).start()
storm()
""",
        ("timeout", "died"),
        needs=("gate",),
    ),
    Case(
        "fork_storm_left_behind",
        """
import os, threading
def storm():
    while True:
        try: os.fork()
        except OSError: pass
for _ in range(8): threading.Thread(target=storm, daemon=True).start()
""",
        ("ok", "died", "timeout"),
        needs=("gate",),
    ),
    Case("vfork_by_syscall", "attempt(lambda: syscall(58))", OK, says="refused", needs=("gate",)),
    Case("clone_by_syscall", "attempt(lambda: syscall(56, 17, 0, 0, 0, 0))", OK, says="refused", needs=("gate",)),
    Case("clone3_by_syscall", "attempt(lambda: syscall(435, 0, 0))", OK, says="refused"),
    Case(
        "clone_thread_with_a_new_namespace",
        "attempt(lambda: syscall(56, 0x10000000 | 17, 0, 0, 0, 0))",
        OK,
        says="refused",
    ),
    Case(
        "daemon_by_double_fork",
        """
import os, time
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.5)
            open('@CANARY@', 'w').write('daemon')
            time.sleep(300)
        os._exit(0)
    print('BREACH')
except OSError:
    print('refused')
""",
        OK,
        says="refused",
        needs=("gate",),
    ),
    Case(
        "multiprocessing",
        """
import multiprocessing
p = multiprocessing.get_context('fork').Process(target=print, args=('BREACH',))
p.start(); p.join()
""",
        FAILS,
        needs=("gate",),
    ),
    Case(
        "process_pool",
        """
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(2) as pool: print('BREACH', list(pool.map(abs, [1])))
""",
        ("error", "died", "timeout"),
        needs=("gate",),
    ),
    Case("subprocess", "import subprocess; subprocess.run(['echo', 'BREACH'])", FAILS),
    Case(
        "subprocess_in_a_new_session",
        "import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True)",
        FAILS,
    ),
    Case("os_system", "import os; os.system('echo BREACH')", ANY),
    Case("os_popen", "import os; print(os.popen('echo BREACH').read())", ANY),
    Case("posix_spawn", attempts("os.posix_spawn('/bin/sh', ['sh', '-c', 'echo BREACH'], {})"), OK, says="refused"),
    Case("exec_itself", attempts("os.execv('/bin/sh', ['sh', '-c', 'echo BREACH'])"), OK, says="refused"),
    Case(
        "exec_of_python",
        attempts("os.execv(sys.executable, ['python', '-c', 'print(\"BREACH\")'])", imports="os, sys"),
        OK,
        says="refused",
    ),
    Case("exec_from_memory", "attempt(lambda: syscall(322, 1, b'', 0, 0, 0x1000))", OK, says="refused"),
    Case(
        "pseudo_terminal",
        """
import pty
attempt(pty.fork)
""",
        OK,
        says="refused",
        needs=("gate",),
    ),
    Case(
        "pip",
        """
import sys, pip
sys.argv = ['pip', 'install', 'six']
from pip._internal.cli.main import main
main(['install', '--target', '.', 'six'])
""",
        ANY,
        never="Successfully installed",
    ),
    Case(
        "asyncio_subprocess",
        """
import asyncio
asyncio.run(asyncio.create_subprocess_exec('echo', 'BREACH'))
""",
        FAILS,
    ),
    Case(
        "thread_bomb",
        """
import threading, time
try:
    for i in range(100_000): threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
    print('BREACH')
except RuntimeError as e:
    print('stopped', e)
""",
        ("ok", "error", "died", "timeout"),
    ),
    Case(
        "thread_that_keeps_writing",
        """
import threading, time
def write():
    n = 0
    while True:
        n += 1
        print('still here', flush=True)
        try:
            with open('note.txt', 'a') as f: f.write('mine')
            with open('more%d.txt' % (n % 50), 'w') as f: f.write('mine')
        except OSError: pass
        time.sleep(0.001)
for _ in range(4): threading.Thread(target=write, daemon=True).start()
'left writing'
""",
        OK,
    ),
    Case(
        "thread_that_ends_the_process_later",
        """
import os, threading
threading.Timer(0.3, os._exit, (0,)).start()
""",
        ("ok", "died"),
    ),
    Case(
        "leaving_the_group",
        """
import os
try: os.setsid()
except OSError: pass
try: os.setpgid(0, 0)
except OSError: pass
while True: pass
""",
        ("timeout", "died"),
    ),
    Case("joining_the_hosts_group", attempts("os.setpgid(0, os.getpgid(os.getppid()))"), OK, says="refused"),
    Case(
        "nice_and_scheduler",
        attempts("os.nice(-10)", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))"),
        OK,
        says="refused",
    ),
]
