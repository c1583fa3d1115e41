"""Programs that speak to the host behind the runner's back, or make it speak too much."""

from hostile.case import ANY, OK, Case

SOCKETS = """
import os, socket, json
def sockets():
    for number in range(3, 200):
        try: yield socket.socket(fileno=os.dup(number))
        except OSError: pass
def tell(data):
    for s in sockets():
        try: s.setblocking(False); s.send(data)
        except OSError: pass
def frame(message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return len(body).to_bytes(4, 'big') + body
"""


def told(message: str, after: str = "") -> str:
    """Code that sends ``message`` on every socket it can find."""
    return f"{SOCKETS}tell({message})\n{after}"


CASES = [
    Case(
        "forged_result",
        told(
            "frame({'op': 'done', 'outcome': 'ok', 'value': 'forged', 'value_bytes': 1, 'error': None, 'answered': True, 'answer': 'forged', 'cpu_s': 0})",
            "while True: pass",
        ),
        ANY,
    ),
    Case(
        "forged_result_of_wrong_types",
        told(
            "frame({'op': 'done', 'outcome': [], 'value': {}, 'value_bytes': 'x', 'error': 5, 'answered': 'yes', 'answer': {'a': 1}, 'cpu_s': -1e308, 'threads': -5})",
            "while True: pass",
        ),
        ANY,
    ),
    Case(
        "forged_result_with_a_huge_size",
        told("frame({'op': 'done', 'outcome': 'ok', 'value': 'x', 'value_bytes': 10 ** 4000})", "while True: pass"),
        ANY,
    ),
    Case(
        "forged_digits_5000",
        told("frame(b'{\"op\": \"done\", \"cpu_s\": ' + b'9' * 5000 + b'}')", "while True: pass"),
        ANY,
    ),
    Case(
        "forged_call",
        told(
            "frame({'op': 'call', 'name': 'size', 'arguments': {'image': '../../../etc/passwd'}})", "while True: pass"
        ),
        ANY,
    ),
    Case(
        "forged_call_of_no_tool",
        told("frame({'op': 'call', 'name': ['x'], 'arguments': {'image': 1}})", "while True: pass"),
        ANY,
    ),
    Case("forged_call_without_arguments", told("frame({'op': 'call', 'name': 'size'})", "while True: pass"), ANY),
    Case(
        "forged_call_with_wrong_types",
        told("frame({'op': 'call', 'name': 'wait', 'arguments': {'seconds': 'long', 'tag': {}}})", "while True: pass"),
        ANY,
    ),
    Case("forged_fork", told("frame({'op': 'forked', 'status': 0})", "while True: pass"), ANY),
    Case("forged_ready", told("frame({'op': 'ready', 'pid': 1})", "while True: pass"), ANY),
    Case("unknown_word", told("frame({'op': 'shutdown'})", "while True: pass"), ANY),
    Case("no_word", told("frame({})", "while True: pass"), ANY),
    Case("list_instead_of_an_object", told("frame([])", "while True: pass"), ANY),
    Case("length_of_4_gib", told("b'\\xff\\xff\\xff\\xff' + b'x' * 1000", "while True: pass"), ANY),
    Case("length_of_nothing", told("b'\\0\\0\\0\\0' * 100", "while True: pass"), ANY),
    Case("pickle", told("frame(b'cos\\nsystem\\n(S\"touch @CANARY@.pickled\"\\ntR.')", "while True: pass"), ANY),
    Case("half_a_frame", told("b'\\0\\0\\1\\0{\"op\"'", "while True: pass"), ANY),
    Case("half_a_frame_then_silence", told("b'\\0\\0\\1\\0{\"op\"'", "import time; time.sleep(300)"), ANY),
    Case("half_a_frame_then_death", told("b'\\0\\0\\1\\0{\"op\"'", "os._exit(0)"), ("died", "error")),
    Case("brackets_900_kb", told("frame(b'[' * 900_000)", "while True: pass"), ANY),
    Case("duplicate_keys", told('frame(b\'{"op": "done", "op": "call"}\')', "while True: pass"), ANY),
    Case("nan_in_a_frame", told('frame(b\'{"op": "done", "outcome": "ok", "cpu_s": NaN}\')', "while True: pass"), ANY),
    Case(
        "infinity_in_a_frame",
        told('frame(b\'{"op": "done", "outcome": "ok", "cpu_s": 1e999}\')', "while True: pass"),
        ANY,
    ),
    Case("frame_that_is_no_utf8", told('frame(b\'{"op": "\\xff\\xfe"}\')', "while True: pass"), ANY),
    Case(
        "flood_of_frames",
        SOCKETS
        + "f = frame({'op': 'call', 'name': 'size', 'arguments': {}})\nwhile True:\n for s in sockets():\n  try: s.send(f)\n  except OSError: pass",
        ANY,
    ),
    Case(
        "flood_of_descriptors",
        SOCKETS
        + "import array\nfds = [os.open('note.txt', os.O_RDONLY) for _ in range(200)]\nfor _ in range(50):\n for s in sockets():\n"
        "  try: s.setblocking(False); socket.send_fds(s, [b'\\0'], fds)\n  except OSError: pass\nwhile True: pass",
        ANY,
    ),
    Case(
        "raw_writes_to_every_descriptor",
        """
import os
for n in range(3, 300):
 try: os.set_blocking(n, False); os.write(n, b'\\xff' * 4096)
 except OSError: pass
'done'
""",
        ANY,
    ),
    Case(
        "raw_reads_of_every_descriptor",
        """
import os
got = []
for n in range(3, 300):
 try: os.set_blocking(n, False); got.append(os.read(n, 4096))
 except OSError: pass
len(got)
""",
        ANY,
    ),
    Case(
        "every_descriptor_shut_down", SOCKETS + "for s in sockets():\n try: s.shutdown(2)\n except OSError: pass", ANY
    ),
    Case("channel_closed", "import os; os.closerange(3, 300)", ANY),
    Case("all_descriptors_closed", "import os; os.closerange(0, 300)", ANY),
    Case(
        "call_after_the_channel_is_closed",
        """
import os
os.closerange(3, 300)
wait(0)
""",
        ANY,
    ),
    Case(
        "calls_1000",
        """
for i in range(1000): wait(0, tag=str(i))
print('all')
""",
        ("ok", "error", "timeout"),
        says="all|ToolError|budget|timeout",
    ),
    Case(
        "calls_without_end",
        """
while True:
 try: wait(0)
 except Exception: pass
""",
        ("ok", "error", "timeout", "died"),
    ),
    Case("argument_of_3_mb", "wait(0, tag='x' * 3_000_000)", ("error",), says="Error: wait", settings={"wall_s": 6.0}),
    Case("argument_of_3_mb_that_is_caught", "attempt(lambda: wait(0, tag='x' * 3_000_000))", OK, says="refused"),
    Case(
        "nan_argument",
        """
attempt(lambda: wait(float('nan')))
attempt(lambda: wait(float('inf')))
""",
        OK,
        says="refused",
    ),
    Case(
        "argument_that_is_no_json",
        """
attempt(lambda: wait({1, 2}))
attempt(lambda: wait(object()))
attempt(lambda: wait(0, tag=b'x'))
""",
        OK,
        says="refused",
    ),
    Case(
        "argument_in_a_circle",
        """
x = []; x.append(x)
attempt(lambda: wait(x))
""",
        OK,
        says="refused",
    ),
    Case(
        "argument_that_is_deep",
        """
x = []
for _ in range(100_000): x = [x]
attempt(lambda: wait(x))
""",
        ("ok", "died"),
        says="refused|died",
    ),
    Case(
        "argument_that_lies",
        """
class N(float):
 def __repr__(self): return '0, "x": 1'
 def __float__(self): return 1e999
wait(N(0))
""",
        ANY,
        never="Traceback",
    ),
    Case(
        "tools_from_eight_threads",
        """
import threading
got = []
ts = [threading.Thread(target=lambda i=i: got.append(wait(0, tag=str(i)))) for i in range(8)]
for t in ts: t.start()
for t in ts: t.join()
sorted(got)
""",
        OK,
        value="['0', '1', '2', '3', '4', '5', '6', '7']",
    ),
    Case(
        "tool_from_a_thread_afterwards",
        """
import threading, time
def late():
 time.sleep(0.2)
 while True: wait(0)
threading.Thread(target=late, daemon=True).start()
""",
        ANY,
    ),
    Case(
        "send_patched",
        """
import sys, socket, json
for m in list(sys.modules.values()):
 for n in ('send', 'receive', 'encode', 'decode'):
  if hasattr(m, n) and 'frames' in getattr(m, '__name__', ''): setattr(m, n, lambda *a: None)
json.dumps = lambda *a, **k: '{}'
json.loads = lambda *a, **k: {}
socket.socket.sendall = None
""",
        ANY,
    ),
    Case(
        "tool_functions_replaced",
        """
size = wait = lambda *a: 'mine'
import builtins; builtins.wait = None
size('x')
""",
        OK,
        value="'mine'",
    ),
    Case("tool_that_never_answers", "wait(3600)", ("error", "timeout", "ok", "died"), settings={"call_s": 1.0}),
    Case("value_of_a_tool_as_code", "eval(wait(0, tag='1 + 1'))", OK, value="2"),
]
