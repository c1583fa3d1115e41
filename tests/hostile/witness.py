"""The state that every program finds, and the questions by which a later fork of it proves that it is unharmed."""

STATE = """
import ctypes, os
x, numbers, table, text = 1, [1, 2, 3], {'a': 1}, 'state'
with open('note.txt', 'w') as f: f.write('ours')
handle = open('note.txt'); handle.seek(2)
log = open('note.txt', 'a')
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def require(answer):
    if answer is None or (isinstance(answer, int) and answer < 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
def syscall(*arguments):
    return require(libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]))
def attempt(deed):
    try: got = deed()
    except Exception as e: print('refused', type(e).__name__, e)
    else: print('BREACH', got)
"""

WITNESS = """
import builtins, gc, hashlib, json, locale, os, random, resource, signal, sys, threading, time
def digest(thing): return hashlib.sha256(repr(thing).encode()).hexdigest()[:12]
umask = os.umask(0o22); os.umask(umask)
seen = {
    'variables': (x, numbers, table, text, sorted(n for n in globals() if not n.startswith('_'))),
    'offset': handle.tell(),
    'rest': handle.read(),
    'note': (open('note.txt').read(), open('input.txt').read()),
    'files': sorted(os.listdir('.')),
    'builtins': digest(sorted((n, type(v).__name__, getattr(v, '__name__', '')) for n, v in vars(builtins).items())),
    'modules': digest(sorted(n for n, m in sys.modules.items() if m is not None)),
    'path': sys.path,
    'hooks': (sys.gettrace(), sys.getprofile(), threading.active_count(), len(sys.meta_path)),
    'handlers': [str(signal.getsignal(s)) for s in range(1, 32)],
    'timers': [signal.getitimer(w) for w in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)],
    'environment': digest(sorted(os.environ.items())),
    'zone': (time.tzname, time.localtime(0).tm_hour),
    'locale': locale.setlocale(locale.LC_ALL),
    'random': random.random(),
    'settings': (sys.getrecursionlimit(), gc.isenabled(), umask, os.getcwd(), sys.getswitchinterval()),
    'limits': [resource.getrlimit(w) for w in range(16) if w not in (resource.RLIMIT_AS,)],
    'streams': (sys.stdout is sys.__stdout__, sys.stdin.read(), sys.stdout.closed),
    'descriptors': sum(1 for n in range(3, 64) if not isinstance(_stat(n), OSError)),
    'works': json.loads(json.dumps([1, 2])),
}
print(json.dumps(seen, default=str))
"""
WITNESS = "def _stat(n):\n    import os\n    try: return os.fstat(n)\n    except OSError as e: return e\n" + WITNESS
