"""Programs that want files of others, or leave files that fool whoever reads them."""

from hostile.case import ANY, OK, Case, attempts

CASES = [
    Case("read_a_host_file", attempts("open('@CANARY@').read()"), OK, says="refused"),
    Case(
        "read_a_host_file_by_descriptor_of_a_folder",
        attempts(
            "open(os.open('@CANARYDIR@', os.O_PATH | os.O_DIRECTORY), 'rb')",
            "os.open('canary.txt', os.O_RDONLY, dir_fd=os.open('@CANARYDIR@', os.O_PATH))",
        ),
        OK,
        says="refused",
    ),
    Case(
        "read_the_password_files",
        attempts("open('/etc/shadow').read()", "open('/etc/gshadow').read()", "os.listdir('/home')[0]"),
        OK,
        says="refused",
    ),
    Case("read_the_store", attempts("os.listdir('@CANARYDIR@')", "os.listdir('@SOURCE@')"), OK, says="refused"),
    Case("write_a_host_file", attempts("open('@CANARY@', 'w').write('mine')"), OK, says="refused"),
    Case("append_to_a_host_file", attempts("os.open('@CANARY@', os.O_WRONLY | os.O_APPEND)"), OK, says="refused"),
    Case("truncate_a_host_file", attempts("os.truncate('@CANARY@', 0)"), OK, says="refused"),
    Case("delete_a_host_file", attempts("os.unlink('@CANARY@')"), OK, says="refused"),
    Case(
        "rename_a_host_file",
        attempts("os.rename('@CANARY@', '@CANARYDIR@/other')", "os.rename('@CANARY@', 'mine')"),
        OK,
        says="refused",
    ),
    Case(
        "new_file_beside_a_host_file",
        attempts(
            "open('@CANARYDIR@/new', 'w').write('mine')",
            "os.mkdir('@CANARYDIR@/folder')",
            "os.symlink('x', '@CANARYDIR@/link')",
        ),
        OK,
        says="refused",
    ),
    # Without a root of its own, a box is told that these were done; they were not.
    Case("mode_of_a_host_file", "import os\nos.chmod('@CANARY@', 0)", ANY),
    Case("mode_of_a_host_folder", "import os\nos.chmod('@CANARYDIR@', 0)", ANY),
    Case("times_of_a_host_file", "import os\nos.utime('@CANARY@', (1, 1))", ANY),
    Case("attributes_of_a_host_file", attempts("os.setxattr('@CANARY@', 'user.x', b'1')"), OK, says="refused"),
    Case("owner_of_a_host_file", attempts("os.chown('@CANARY@', os.getuid(), os.getgid())"), OK, says="refused"),
    Case("hard_link_to_a_host_file", attempts("os.link('@CANARY@', 'mine')"), OK, says="refused"),
    Case(
        "listing_of_the_root",
        """
import os
print(os.listdir('/'))
print(os.path.exists('@CANARY@'))
""",
        ANY,
        never="True$",
    ),
    Case(
        "program_in_a_library",
        attempts(
            "open(os.path.join(os.path.dirname(numpy.__file__), 'x.pth'), 'w')",
            "open(os.path.join(os.path.dirname(os.__file__), 'x.pth'), 'w')",
            "open(os.__file__, 'a')",
            "open('/usr/x', 'w')",
            "open('/etc/x', 'w')",
            "open('/x', 'w')",
            "open(sys.executable, 'ab')",
            imports="os, sys, numpy",
        ),
        OK,
        says="refused",
    ),
    Case(
        "bytecode_of_a_library",
        attempts("open(os.__cached__, 'r+b')", "os.mkdir(os.path.dirname(os.__file__) + '/__pycache__/x')"),
        OK,
        says="refused",
    ),
    Case("chown", attempts("os.chown('note.txt', 0, 0)"), ANY, never="BREACH", settings={}),
    Case(
        "mknod",
        attempts("os.mknod('disk', 0o60666, os.makedev(8, 0))", "os.mknod('zero', 0o20666, os.makedev(1, 5))"),
        OK,
        says="refused",
    ),
    Case(
        "set_user_id_bit",
        """
import os
open('suid', 'w').write('#!/bin/sh')
try: os.chmod('suid', 0o6777)
except OSError: pass
""",
        OK,
    ),
    Case(
        "directories_of_the_siblings",
        """
import os
up = os.path.dirname(os.path.abspath('.'))
for name in os.listdir(up) + [str(i) for i in range(20)]:
    other = os.path.join(up, name)
    if other == os.path.abspath('.') or not os.path.isdir(other): continue
    for inner in os.listdir(other):
        path = os.path.join(other, inner)
        if os.path.isfile(path):
            print('BREACH', open(path).read()); open(path, 'w').write('mine')
    open(os.path.join(other, 'new'), 'w').close(); print('BREACH wrote')
""",
        ANY,
    ),
    Case(
        "directories_of_other_boxes",
        """
import os, glob
print([p for p in glob.glob(os.path.abspath('.') + '/../../*/*') if 'note' in p or p.endswith('BREACH')])
print(len(glob.glob('/dev/shm/sport-*/*/*/*')) and 'BREACH')
""",
        ANY,
    ),
    Case(
        "input_changed",
        """
import os
for deed in (lambda: open('input.txt', 'w').write('mine'), lambda: os.chmod('input.txt', 0o666), lambda: open('input.txt', 'a').write('mine')):
 try: deed()
 except OSError as e: print('refused', e)
""",
        OK,
        probe="open('input.txt').read()",
        sees="'given'",
    ),
    Case(
        "input_replaced",
        """
import os
open('x', 'w').write('mine')
os.replace('x', 'input.txt')
""",
        ANY,
        probe="open('input.txt').read()",
        sees="'given'",
    ),
    Case(
        "temporary_folder_is_private",
        """
import tempfile, os
d = tempfile.mkdtemp(); open(d + '/x', 'w').write('1'); print(d)
""",
        OK,
    ),
    Case(
        "magic_links_of_proc",
        """
import os
for p in ('/proc/self/root', '/proc/self/cwd/../../../..', '/proc/thread-self/root', '/dev/fd/0/..'):
 attempt(lambda: open(p + '@CANARY@').read())
""",
        OK,
        says="refused",
    ),
]
