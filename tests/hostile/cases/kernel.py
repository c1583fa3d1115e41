"""Programs that want more privileges, or ask the kernel for what no step needs."""

from hostile.case import ANY, OK, Case, attempts

INT80 = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
page.write(b'{code}')
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
answer = ctypes.CFUNCTYPE(ctypes.c_long)(address)()
print('BREACH' if answer > 0 else 'refused', answer)
"""

CASES = [
    Case(
        "kernel_log", attempts("open('/dev/kmsg')", "syscall(103, 3, 0, 0)", "open('/proc/kmsg')"), OK, says="refused"
    ),
    Case("become_root", attempts("os.setuid(0)", "os.setresuid(0, 0, 0)", "open('/etc/shadow')"), OK, says="refused"),
    Case(
        "uid_is_not_root_and_holds_nothing",
        """
h = ctypes.create_string_buffer(b'\\x22\\x05\\x08\\x20' + bytes(4))
d = ctypes.create_string_buffer(24)
syscall(125, h, d)
import os
0 in [*os.getresuid(), *os.getresgid(), *os.getgroups()], d.raw.count(0)
""",
        OK,
        value="(False, 24)",
    ),
    Case(
        "no_capabilities",
        """
h = ctypes.create_string_buffer(b'\\x22\\x05\\x08\\x20' + bytes(4))
d = ctypes.create_string_buffer(24)
syscall(125, h, d)
d.raw.count(0)
""",
        OK,
        value="24",
    ),
    Case("not_dumpable", "libc.prctl(3, 0, 0, 0, 0)", OK, value="0"),
    Case("no_new_privileges", "libc.prctl(39, 0, 0, 0, 0)", OK, value="1"),
    Case("groups_dropped", attempts("os.setgroups([0])", "os.setgid(0)"), OK, says="refused"),
    Case(
        "capset",
        """
b = ctypes.create_string_buffer(b'\\x22\\x05\\x08\\x20' + bytes(4))
d = ctypes.create_string_buffer(b'\\xff' * 24)
attempt(lambda: syscall(126, b, d))
""",
        OK,
        says="refused",
    ),
    Case(
        "limits_raised",
        attempts(
            "resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)",
            "resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))",
            "resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)",
            imports="resource",
        ),
        OK,
        says="refused",
    ),
    Case(
        "limits_of_parent",
        attempts("resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))", imports="os, resource"),
        OK,
        says="refused",
    ),
    Case("affinity_of_parent", attempts("os.sched_setaffinity(os.getppid(), {0})"), OK, says="refused"),
    Case("priority_of_parent", attempts("os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)"), OK, says="refused"),
    Case(
        "oom_score_of_parent",
        attempts("open('/proc/%d/oom_score_adj' % os.getppid(), 'w').write('1000')"),
        OK,
        says="refused",
    ),
    Case("dumpable_again", "attempt(lambda: require(libc.prctl(4, 1, 0, 0, 0)))", OK, says="refused"),
    Case(
        "death_signal_cleared",
        """
libc.prctl(1, 0, 0, 0, 0)
while True: pass
""",
        ("timeout", "died", "error"),
    ),
    Case("subreaper", "attempt(lambda: require(libc.prctl(36, 1, 0, 0, 0)))", ANY),
    Case("unshare_user", "attempt(lambda: require(libc.unshare(0x10000000)))", OK, says="refused"),
    Case("unshare_all", "attempt(lambda: require(libc.unshare(0x7e020000)))", OK, says="refused"),
    Case(
        "setns",
        """
attempt(lambda: require(libc.setns(0, 0)))
attempt(lambda: require(libc.setns(os_open(), 0)))
""",
        ANY,
        never="BREACH",
        before="""
import os
def os_open(): return os.open('/proc/self/ns/net', os.O_RDONLY)
""",
    ),
    Case("mount", "attempt(lambda: require(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)))", OK, says="refused"),
    Case("umount", "attempt(lambda: require(libc.umount2(b'/proc', 2)))", OK, says="refused"),
    Case(
        "new_mount_api",
        """
attempt(lambda: syscall(430, b'tmpfs', 0))
attempt(lambda: syscall(428, -100, b'/', 1))
""",
        OK,
        says="refused",
    ),
    Case("pivot_root", "attempt(lambda: syscall(155, b'.', b'.'))", OK, says="refused"),
    Case("chroot", attempts("os.chroot('.')"), OK, says="refused"),
    Case("io_uring", "attempt(lambda: syscall(425, 8, ctypes.create_string_buffer(120)))", OK, says="refused"),
    Case("bpf", "attempt(lambda: syscall(321, 0, ctypes.create_string_buffer(128), 128))", OK, says="refused"),
    Case(
        "keyctl",
        """
attempt(lambda: syscall(250, 0, -3, 1))
attempt(lambda: syscall(248, b'user', b'x', b'y', 1, -3))
""",
        OK,
        says="refused",
    ),
    Case("userfaultfd", "attempt(lambda: syscall(323, 1))", OK, says="refused"),
    Case(
        "perf_event_open",
        """
b = ctypes.create_string_buffer(128)
attempt(lambda: syscall(298, b, 0, -1, -1, 0))
""",
        OK,
        says="refused",
    ),
    Case(
        "open_by_handle_at",
        "attempt(lambda: syscall(304, -100, ctypes.create_string_buffer(64), 0))",
        OK,
        says="refused",
    ),
    Case("fanotify", "attempt(lambda: syscall(300, 0, 0))", OK, says="refused"),
    Case("seccomp_on_top", "attempt(lambda: syscall(317, 1, 8, ctypes.create_string_buffer(16)))", OK, says="refused"),
    Case(
        "modules",
        """
attempt(lambda: syscall(175, 0, 0, b''))
attempt(lambda: syscall(313, 0, b'', 0))
attempt(lambda: syscall(246, 0, 0, 0, 0))
""",
        OK,
        says="refused",
    ),
    Case("reboot", "attempt(lambda: syscall(169, 0xfee1dead, 672274793, 0, 0))", OK, says="refused"),
    Case(
        "clock",
        """
import time
attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
attempt(lambda: syscall(164, ctypes.create_string_buffer(16), 0))
""",
        OK,
        says="refused",
    ),
    Case(
        "host_name",
        """
import socket
attempt(lambda: socket.sethostname('mine'))
""",
        OK,
        says="refused",
    ),
    Case(
        "swap_quota_acct",
        """
attempt(lambda: syscall(167, b'x', 0))
attempt(lambda: syscall(163, b'x'))
attempt(lambda: syscall(179, 0x800002, b'/', 0, 0))
""",
        OK,
        says="refused",
    ),
    Case(
        "ports",
        """
attempt(lambda: syscall(172, 3))
attempt(lambda: syscall(173, 0, 1, 1))
""",
        OK,
        says="refused",
    ),
    Case(
        "kernel_settings",
        attempts(
            "open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/true')",
            "open('/proc/sysrq-trigger', 'w').write('h')",
            "open('/sys/kernel/uevent_helper', 'w').write('x')",
            "open('/proc/sys/vm/overcommit_memory', 'w').write('1')",
        ),
        OK,
        says="refused",
    ),
    Case(
        "raw_devices",
        attempts(
            "open('/dev/mem', 'rb')", "open('/dev/vda', 'rb')", "open('/dev/sda', 'rb')", "open('/dev/port', 'rb')"
        ),
        OK,
        says="refused",
    ),
    Case(
        "foreign_architecture",
        INT80.format(code="\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3"),
        ("died", "error", "ok"),
        says="died|SIGSYS|refused|SIGSEGV|Error",
    ),
    Case("x32_calls", "attempt(lambda: syscall(0x40000000 | 39))", ("ok", "died"), says="refused|died"),
    Case("personality", "attempt(lambda: require(libc.personality(0x0040000)))", ANY),
    Case(
        "core_dump",
        """
import os, resource
try: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
except (OSError, ValueError): pass
os.abort()
""",
        ("died",),
    ),
]
