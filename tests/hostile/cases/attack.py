"""Programs that attack: other processes, the kernel, the host's secrets, the runner itself."""

from hostile.case import ANY, OK, Case, attempts

READ_ALL = """
import glob
got = []
for path in glob.glob('/proc/[0-9]*/{what}') + ['/proc/self/{what}', '/proc/1/{what}', '/proc/%d/{what}' % __import__('os').getppid()]:
    try: got.append(open(path, 'rb').read(1 << 20))
    except OSError: pass
print(b'|'.join(got).decode('utf-8', 'replace')[:60000])
"""

CASES = [
    Case("kill_parent", attempts("os.kill(os.getppid(), 9)"), OK, says="refused"),
    Case("kill_group", attempts("os.killpg(0, 0)", "os.kill(0, 0)"), OK, says="refused"),
    Case(
        "kill_group_for_good",
        """
import os
os.killpg(0, 9)
""",
        ANY,
    ),
    Case(
        "kill_all",
        """
import os
os.kill(-1, 9)
print('BREACH')
""",
        ANY,
        says="Error|died|SIG",
    ),
    Case("kill_init", attempts("os.kill(1, 9)"), OK, says="refused"),
    Case(
        "kill_every_number",
        attempts("[os.kill(p, 9) for p in range(2, 40000) if p != os.getpid()]"),
        ANY,
        never="BREACH",
    ),
    Case(
        "kill_by_descriptor",
        attempts("signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 9)", imports="os, signal"),
        OK,
        says="refused",
    ),
    Case(
        "kill_by_tgkill",
        """
import os
attempt(lambda: syscall(234, os.getppid(), os.getppid(), 9))
""",
        OK,
        says="refused",
    ),
    Case(
        "kill_by_queue",
        """
import os
attempt(lambda: syscall(129, os.getppid(), 9, ctypes.create_string_buffer(128)))
""",
        OK,
        says="refused",
    ),
    Case(
        "signal_through_an_owned_pipe",
        """
import fcntl, os
r, w = os.pipe()
try:
 fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid()); fcntl.fcntl(r, 10, 9)
 fcntl.fcntl(r, fcntl.F_SETFL, fcntl.fcntl(r, fcntl.F_GETFL) | os.O_ASYNC); os.write(w, b'x')
except OSError as e: print('refused', e)
""",
        OK,
    ),
    Case(
        "ptrace_parent",
        """
import os
attempt(lambda: syscall(101, 16, os.getppid(), 0, 0))
""",
        OK,
        says="refused",
    ),
    Case("ptrace_me", "attempt(lambda: syscall(101, 0, 0, 0, 0))", OK, says="refused"),
    Case(
        "process_vm_readv",
        """
import os
attempt(lambda: syscall(310, os.getppid(), 0, 0, 0, 0, 0))
""",
        OK,
        says="refused",
    ),
    Case(
        "process_vm_writev",
        """
import os
attempt(lambda: syscall(311, os.getppid(), 0, 0, 0, 0, 0))
""",
        OK,
        says="refused",
    ),
    Case(
        "pidfd_getfd",
        """
import os
attempt(lambda: syscall(438, syscall(434, os.getppid(), 0), 0, 0))
""",
        OK,
        says="refused",
    ),
    Case(
        "kcmp",
        """
import os
attempt(lambda: syscall(312, os.getppid(), os.getpid(), 0, 0, 0))
""",
        OK,
        says="refused",
    ),
    Case("parents_memory", attempts("open('/proc/%d/mem' % os.getppid(), 'r+b')"), OK, says="refused"),
    Case(
        "own_memory_by_file",
        "open('/proc/self/mem', 'r+b').seek(id(int)); open('/proc/self/mem', 'r+b').write(bytes(200))",
        ANY,
    ),
    Case("any_environ", READ_ALL.format(what="environ"), ANY, never="SPORT_SECRET"),
    Case("any_command_line", READ_ALL.format(what="cmdline"), ANY, never="hostile.runner"),
    Case("root_of_init", attempts("os.listdir('/proc/1/root')", "open('/proc/1/root@CANARY@')"), OK, says="refused"),
    Case(
        "root_of_parent",
        attempts(
            "open('/proc/%d/root@CANARY@' % os.getppid())", "open('/proc/%d/cwd/../../..@CANARY@' % os.getppid())"
        ),
        OK,
        says="refused",
    ),
    Case(
        "descriptors_of_parent",
        attempts("os.readlink('/proc/%d/fd/0' % os.getppid())", "os.listdir('/proc/%d/fd' % os.getppid())"),
        OK,
        says="refused",
    ),
    Case(
        "secrets_in_the_environment",
        """
import os
print(dict(os.environ))
print(ctypes.string_at(ctypes.c_char_p.in_dll(libc, 'environ').value or b''))
""",
        ANY,
        never="SPORT_SECRET|API_KEY|TOKEN",
    ),
    Case(
        "shared_memory_of_system_v",
        """
attempt(lambda: require(libc.shmget(7777, 4096, 0o1666)))
attempt(lambda: require(libc.semget(7777, 1, 0o1666)))
attempt(lambda: require(libc.msgget(7777, 0o1666)))
""",
        OK,
        says="refused",
    ),
    Case(
        "message_queue_of_posix", "attempt(lambda: require(libc.mq_open(b'/x', 66, 0o600, None)))", ANY, never="BREACH"
    ),
    Case(
        "terminal_injection",
        """
import fcntl
attempt(lambda: fcntl.ioctl(0, 0x5412, b'x'))
""",
        OK,
        says="refused",
    ),
    Case(
        "frame_walking",
        """
import sys
frame, seen = sys._getframe(), []
while frame:
    seen.append(frame)
    for name, value in list(frame.f_locals.items()):
        if hasattr(value, '_control'): print('control found'); value._control.send(b'\\xff' * 64)
        if hasattr(value, 'module') and hasattr(value, 'run'): value.run = lambda *a: {'outcome': 'ok', 'value': 'forged'}
    frame = frame.f_back
len(seen)
""",
        ANY,
    ),
    Case(
        "objects_of_the_runner",
        """
import gc
for o in gc.get_objects():
    if type(o).__name__ in ('State', 'Runner'):
        for name in list(vars(o)):
            try: setattr(o, name, None)
            except Exception: pass
""",
        ANY,
    ),
    Case(
        "inside_module_imported_again",
        """
import sys
sys.path[:0] = ['/work', '/src', '@SOURCE@']
try:
 import sport.sandbox.inside as i; print('loaded', i.__file__)
except Exception as e: print('refused', e)
""",
        ANY,
    ),
]
