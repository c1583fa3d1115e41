"""Programs that leave files which fool whoever reads or collects them."""

from hostile.case import ANY, OK, Case

CASES = [
    Case(
        "link_as_output",
        """
import os
os.symlink('@CANARY@', 'result.txt')
os.symlink('/etc/passwd', 'passwd.txt')
""",
        OK,
        files=(),
    ),
    Case(
        "link_to_a_folder_as_output",
        """
import os
os.symlink('/etc', 'folder')
os.symlink('@CANARYDIR@', 'other')
""",
        OK,
        files=(),
    ),
    Case(
        "link_in_place_of_a_file",
        """
import os
os.unlink('note.txt')
os.symlink('@CANARY@', 'note.txt')
""",
        OK,
        files=(),
    ),
    Case(
        "fifo_as_output",
        """
import os
os.mkfifo('result.txt')
""",
        ("ok", "error"),
        files=(),
    ),
    Case(
        "socket_as_output",
        """
import socket
try:
 s = socket.socket(socket.AF_UNIX); s.bind('result.sock')
except OSError: pass
""",
        OK,
        files=(),
    ),
    Case(
        "output_that_is_swapped_for_a_link",
        """
import os, threading
def swap():
    while True:
        try:
            with open('tmp', 'w') as f: f.write('mine')
            os.replace('tmp', 'result.txt'); os.symlink('@CANARY@', 'l'); os.replace('l', 'result.txt')
        except OSError: pass
for _ in range(3): threading.Thread(target=swap, daemon=True).start()
""",
        ("ok", "died", "error"),
    ),
    Case(
        "leading_out_in_a_tools_path",
        """
for p in ('../../../etc/passwd', '@CANARY@', '../work/../../x', 'a/../../b', '\\0', '/proc/self/environ'):
 attempt(lambda: size(p))
""",
        OK,
        says="refused",
    ),
    Case(
        "link_in_a_tools_path",
        """
import os
os.symlink('@CANARY@', 'l'); os.symlink('@CANARYDIR@', 'd')
attempt(lambda: size('l'))
attempt(lambda: size('d/canary.txt'))
""",
        OK,
        says="refused",
    ),
    Case(
        "fifo_in_a_tools_path",
        """
import os
try: os.mkfifo('p')
except OSError: pass
attempt(lambda: size('p'))
""",
        OK,
        says="refused",
    ),
    Case(
        "device_in_a_tools_path",
        """
attempt(lambda: size('/dev/zero'))
attempt(lambda: size('/dev/stdin'))
""",
        OK,
        says="refused",
    ),
    Case(
        "directory_deleted",
        """
import os, shutil
shutil.rmtree(os.getcwd())
""",
        ("ok", "error"),
        winner=True,
    ),
    Case(
        "directory_renamed",
        """
import os
os.rename(os.getcwd(), os.getcwd() + '-mine')
""",
        ANY,
    ),
    Case(
        "directory_replaced_by_a_link",
        """
import os, shutil
d = os.getcwd()
shutil.rmtree(d, ignore_errors=True)
os.rmdir(d)
os.symlink('@CANARYDIR@', d)
""",
        ANY,
    ),
    Case(
        "directory_closed_to_its_owner",
        """
import os
os.mkdir('d'); open('d/f', 'w').close(); os.chmod('d', 0); os.chmod('.', 0)
""",
        ANY,
    ),
    Case(
        "module_that_shadows_the_library",
        """
for n in ('random', 'json', 'numpy', 'os', 'traceback', 'colorsys'):
 open(n + '.py', 'w').write('print("BREACH")\\nraise SystemExit')
import json, random, colorsys, traceback
""",
        OK,
        probe="__import__('colorsys').__name__",
        sees="'colorsys'",
    ),
    Case(
        "module_that_shadows_for_the_winner",
        """
for n in ('wave', 'colorsys', 'sitecustomize', 'usercustomize'):
 open(n + '.py', 'w').write('print("BREACH")')
""",
        OK,
        winner=True,
        probe="hasattr(__import__('wave'), 'Wave_read')",
        sees="True",
    ),
    Case(
        "names_that_are_no_names",
        """
import os
for n in (b'\\xff\\xfe', b'a\\nb', b'x' * 255, b'-rf', b' ', b'\\x1b[31m', b'<|im_end|>', '\\u202etxt.exe'.encode()):
 open(n, 'w').close()
""",
        OK,
        never="\x1b",
    ),
]
