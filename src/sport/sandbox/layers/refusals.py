"""What the filter refuses, by name and number of x86-64, in groups that say why.

What stays: memory, files by path and descriptor (the mount namespace, Landlock and the file's own mode decide), time,
waiting, pipes, pairs of sockets, threads. Numbers above the last known one are answered "no such call".
"""

from __future__ import annotations

SIGNALS = {
    "kill": 62, "rt_sigqueueinfo": 129, "tkill": 200, "tgkill": 234, "rt_tgsigqueueinfo": 297,
    "pidfd_send_signal": 424,
}  # fmt: skip
"""To nobody, oneself included: abort() dies all the same, by its next means."""

OTHER_PROCESSES = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "get_robust_list": 274,
    "pidfd_open": 434, "pidfd_getfd": 438, "process_madvise": 440, "process_mrelease": 448, "migrate_pages": 256,
    "move_pages": 279, "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "sched_setaffinity": 203,
    "sched_setattr": 314, "ioprio_set": 251,
}  # fmt: skip

PROGRAMS = {"execve": 59, "execveat": 322, "uselib": 134}

MOUNTS = {
    "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "quotactl": 179,
    "unshare": 272, "setns": 308, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "mount_setattr": 442, "quotactl_fd": 443,
}  # fmt: skip

KERNEL = {
    "modify_ldt": 154, "_sysctl": 156, "adjtimex": 159, "acct": 163, "settimeofday": 164, "reboot": 169,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175,
    "delete_module": 176, "get_kernel_syms": 177, "query_module": 178, "nfsservctl": 180, "syslog": 103, "sysfs": 139,
    "vhangup": 153, "lookup_dcookie": 212, "remap_file_pages": 216, "clock_settime": 227, "mbind": 237,
    "set_mempolicy": 238, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "vmsplice": 278,
    "perf_event_open": 298, "fanotify_init": 300, "fanotify_mark": 301, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "clock_adjtime": 305, "finit_module": 313, "seccomp": 317, "kexec_file_load": 320,
    "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446,
    "set_mempolicy_home_node": 450,
}  # fmt: skip
"""The machine's own settings, and wide or young parts of the kernel that model-written code has no use for."""

IDENTITY = {
    "setuid": 105, "setgid": 106, "setreuid": 113, "setregid": 114, "setgroups": 116, "setresuid": 117,
    "setresgid": 119, "setfsuid": 122, "setfsgid": 123, "capset": 126, "personality": 135,
}  # fmt: skip

NETWORK = {
    "socket": 41, "connect": 42, "accept": 43, "sendmsg": 46, "bind": 49, "listen": 50, "accept4": 288,
    "sendmmsg": 307,
}  # fmt: skip
"""``sendmsg`` would carry descriptors to the host; a pair of sockets is written to without it."""

SHARED = {
    "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66, "shmdt": 67, "msgget": 68,
    "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "semtimedop": 220, "mq_open": 240, "mq_unlink": 241,
    "mq_timedsend": 242, "mq_timedreceive": 243, "mq_notify": 244, "mq_getsetattr": 245, "memfd_create": 319,
    "memfd_secret": 447,
}  # fmt: skip
"""Memory outside the process's own: futures would meet in it, and no directory's limit counts it."""

FILES = {
    "chown": 92, "fchown": 93, "lchown": 94, "mknod": 133, "fchownat": 260, "mknodat": 259, "setxattr": 188,
    "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "sync": 162,
    "syncfs": 306, "io_setup": 206, "io_destroy": 207, "io_getevents": 208, "io_submit": 209, "io_cancel": 210,
    "io_pgetevents": 333,
}  # fmt: skip

MODES = {
    "chmod": 90, "fchmod": 91, "utime": 132, "utimes": 235, "futimesat": 261, "fchmodat": 268, "utimensat": 280,
}  # fmt: skip
"""Where the host's files are in sight: Landlock lets these through. They are answered as done, and do nothing."""

REFUSED = SIGNALS | OTHER_PROCESSES | PROGRAMS | MOUNTS | KERNEL | IDENTITY | NETWORK | SHARED | FILES

MMAP, IOCTL, SENDTO, SOCKETPAIR, FORK, VFORK, FCNTL = 9, 16, 44, 53, 57, 58, 72
CLONE, PRCTL, PRLIMIT, CLONE3 = 56, 157, 302, 435
FIRST_UNKNOWN = 451

AF_UNIX = 1
MAP_SHARED = 1
CLONE_THREAD = 0x10000
NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW flag, time and control groups included

PRCTL_ALLOWED = {
    "PR_GET_PDEATHSIG": 2, "PR_GET_DUMPABLE": 3, "PR_SET_NAME": 15, "PR_GET_NAME": 16, "PR_GET_SECCOMP": 21,
    "PR_CAPBSET_READ": 23, "PR_SET_TIMERSLACK": 29, "PR_GET_TIMERSLACK": 30, "PR_GET_NO_NEW_PRIVS": 39,
    "PR_GET_TID_ADDRESS": 40, "PR_SET_VMA": 0x53564D41,
}  # fmt: skip
FCNTL_REFUSED = {"F_SETOWN": 8, "F_SETSIG": 10, "F_SETOWN_EX": 15, "F_NOTIFY": 1026}
"""A descriptor's events as signals to any process: kill() by another door."""
IOCTL_REFUSED = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C, "FIOSETOWN": 0x8901, "SIOCSPGRP": 0x8902}
