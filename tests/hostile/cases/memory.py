"""Programs that take more than there is: memory, disk, descriptors."""

from hostile.case import ANY, ERROR, FAILS, OK, Case

ENDS = ("ok", "error", "died")

CASES = [
    Case(
        "list_bomb",
        """
x = []
while True: x.append(bytearray(10 ** 7))
""",
        FAILS,
        says="MemoryError|died",
        settings={"wall_s": 6.0},
    ),
    Case(
        "list_bomb_that_catches",
        """
x = []
while True:
 try: x.append(bytearray(10 ** 6))
 except MemoryError: break
len(x) < 5000
""",
        ("ok", "died", "timeout"),
    ),
    Case(
        "dict_bomb_of_small_things",
        """
d = {}
while True: d[len(d)] = [len(d)]
""",
        ("error", "died", "timeout"),
    ),
    Case("array_of_745_gib", "import numpy; numpy.ones(10 ** 11)", ERROR, says="Unable to allocate|MemoryError"),
    Case("string_of_a_terabyte", "'x' * 10 ** 12", ERROR, says="MemoryError"),
    Case(
        "zlib_bomb",
        """
import zlib
c = zlib.compressobj(9)
z = b''.join(c.compress(bytes(1 << 20)) for _ in range(1500)) + c.flush()
len(zlib.decompress(z))
""",
        ("error", "died", "timeout"),
    ),
    Case(
        "picture_bomb",
        """
import io, struct, zlib, PIL.Image
PIL.Image.MAX_IMAGE_PIXELS = None
def chunk(t, d): return struct.pack('>I', len(d)) + t + d + struct.pack('>I', zlib.crc32(t + d))
png = b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 40000, 40000, 8, 2, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(bytes(10 ** 6))) + chunk(b'IEND', b'')
PIL.Image.open(io.BytesIO(png)).load()
""",
        FAILS,
    ),
    Case(
        "anonymous_shared_memory",
        """
import mmap
m = mmap.mmap(-1, 4 << 30)
for i in range(0, 4 << 30, 4096): m[i] = 1
""",
        FAILS,
    ),
    Case(
        "private_memory_without_reserve",
        """
import mmap
m = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
""",
        FAILS,
    ),
    Case(
        "memory_held_by_threads",
        """
import threading, time
kept = []
def eat():
 while True: kept.append(bytearray(10 ** 6))
for _ in range(8): threading.Thread(target=eat, daemon=True).start()
time.sleep(60)
""",
        ANY,
    ),
    Case(
        "stack_of_a_gigabyte",
        """
import threading
threading.stack_size(1 << 30)
for _ in range(64): threading.Thread(target=lambda: None).start()
""",
        ANY,
    ),
    Case(
        "memory_locked",
        """
import ctypes
libc = ctypes.CDLL(None)
libc.mlockall(7)
x = []
while True: x.append(bytearray(10 ** 7))
""",
        FAILS,
    ),
    Case(
        "tmp_bomb",
        """
import tempfile
kept = []
while True:
 f = tempfile.NamedTemporaryFile(); f.write(bytes(1 << 20)); f.flush(); kept.append(f)
""",
        ("error", "died", "timeout"),
    ),
    Case(
        "tmp_bomb_outside_the_directory",
        """
import os
n = 0
while n < 3000:
 with open('/tmp/bomb%d' % n, 'wb') as f: f.write(bytes(1 << 20))
 n += 1
print('BREACH')
""",
        ("error", "died", "timeout"),
    ),
    Case(
        "shared_memory_bomb",
        """
n = 0
while n < 3000:
 with open('/dev/shm/bomb%d' % n, 'wb') as f: f.write(bytes(1 << 20))
 n += 1
print('BREACH')
""",
        ("error", "died", "timeout"),
    ),
    Case(
        "disk_that_is_full",
        """
n = 0
while n < 170:
 with open('.fill%d' % n, 'wb') as f: f.write(bytes(1 << 20))
 n += 1
""",
        ("error",),
        says="No space left",
        needs=("disk",),
        settings={"wall_s": 6.0},
    ),
    Case(
        "files_that_fill_the_disk",
        """
n = 0
while n < 700:
 with open('.fill%d' % (n % 350), 'ab') as f: f.write(bytes(1 << 20))
 n += 1
print('BREACH')
""",
        ("error", "died", "timeout"),
        settings={"wall_s": 6.0},
    ),
    Case(
        "one_huge_file",
        """
f = open('big', 'wb')
for _ in range(8192): f.write(bytes(1 << 20))
""",
        ("error", "died", "timeout"),
    ),
    Case(
        "one_sparse_file",
        "f = open('big', 'wb'); f.truncate(1 << 40); f.seek((1 << 40) - 1); f.write(b'x'); f.close()",
        ENDS,
    ),
    Case(
        "deleted_file_that_grows",
        """
import os
f = open('big', 'wb'); os.unlink('big')
for _ in range(8192): f.write(bytes(1 << 20))
""",
        ("error", "died", "timeout"),
    ),
    Case("files_5000", "for i in range(5000): open(str(i), 'w').close()", ("error", "died")),
    Case(
        "folders_5000",
        """
import os
for i in range(5000): os.mkdir(str(i))
""",
        ("error", "died"),
    ),
    Case(
        "folders_in_one_another",
        """
import os
for i in range(1500): os.mkdir('d'); os.chdir('d')
""",
        ENDS,
    ),
    Case(
        "hidden_files_5000",
        """
import os
os.mkdir('.hidden')
for i in range(5000): open('.hidden/%d' % i, 'w').close()
""",
        ("error", "died"),
    ),
    Case(
        "descriptors",
        """
kept = []
while True: kept.append(open('note.txt'))
""",
        ERROR,
        says="Too many open files",
    ),
    Case(
        "pipes",
        """
import os
kept = []
while True: kept.append(os.pipe())
""",
        ERROR,
        says="Too many open files",
    ),
    Case(
        "memfd",
        """
import os
fd = os.memfd_create('m')
for _ in range(2048): os.write(fd, bytes(1 << 20))
print('BREACH')
""",
        FAILS,
    ),
    Case(
        "pipe_buffers",
        """
import os, fcntl
kept = []
while True:
 r, w = os.pipe(); kept.append((r, w))
 fcntl.fcntl(w, 1031, 1 << 20); os.set_blocking(w, False); os.write(w, bytes(1 << 20))
""",
        FAILS,
    ),
    Case(
        "figures_60_left_open",
        """
import matplotlib.pyplot as plt
for i in range(60): plt.figure(figsize=(2, 2))
len(plt.get_fignums())
""",
        ("ok", "error", "timeout"),
        settings={"wall_s": 8.0},
    ),
    Case(
        "interned_strings",
        """
import sys
x = [sys.intern(str(i) * 50) for i in range(10 ** 8)]
""",
        ("error", "died", "timeout"),
    ),
    Case("memory_freed_again", "x = bytearray(10 ** 8); del x; 'fine'", OK, value="'fine'"),
]
