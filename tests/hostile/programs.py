"""Random honest programs of several steps, for properties that must hold of any of them."""

from __future__ import annotations

import random

Lines = list[str]

SETUP = (
    "import collections, json, math, os, random, re",
    "n, items, table, words = {0}, [{0}, {1}], {{'a': {1}}}, ['one', 'two']",
    "def grow(v, by=1): return v + by",
)

DEEDS = (
    "n = grow(n, {0}) * {1} % 1009",
    "items.append(random.randint(0, {1})); items.sort(reverse=bool({0} % 2)); print(items)",
    "table[random.choice('abcdef')] = n + {0}; print(sorted(table.items()), len(table))",
    "words = [w[::-1] + str({0}) for w in words][:4]; print(words, hash(tuple(words)))",
    "open('f{2}.txt', 'a').write(f'{{n}} {{{0}}}\\n'); print(os.path.getsize('f{2}.txt'))",
    "print(sorted(os.listdir('.')), [open(p).read() for p in sorted(os.listdir('.')) if p.endswith('.txt')])",
    "import numpy as np\na = np.random.rand({2} + 2, 2) @ np.random.default_rng().random((2, 2))\n"
    "print(a.round(6).tolist())",
    "print({{w for w in words}} | {{str(i) for i in items}})",
    "print(wait(0, tag=str(n)), random.random())",
    "table['tool'] = wait(0, tag='t' * {2})",
    "items = [i for i in items if i % ({2} + 2)] or [n]",
    "n += sum(len(w) for w in words) + max(items)",
    "class Point:\n    def __init__(self, v): self.v = v\n    def __repr__(self): return f'Point({{self.v}})'\n"
    "points = [Point(i) for i in items[:3]]",
    "print(points if 'points' in globals() else object())",
    "counted = collections.Counter(' '.join(words)); print(counted.most_common(3))",
    "handle = open('h.txt', 'w+'); handle.write('abc' * {2}); handle.seek({2})",
    "print(handle.read(2) if 'handle' in globals() else 'no handle')",
    "gen = (i * i for i in range(50)); print(next(gen), next(gen))",
    "print(math.sqrt(n), round(math.pi, {2}))",
    "try:\n    print(items[{0}])\nexcept IndexError as e:\n    print('caught', e)",
    "os.makedirs('d{2}', exist_ok=True); open('d{2}/x', 'w').write(str(n))",
    "print(json.dumps({{'n': n, 'items': items}}, sort_keys=True))",
    "print(re.sub('[aeiou]', '*', ' '.join(words)), file=__import__('sys').stderr)",
)

ENDS = (
    "n",
    "items[-1]",
    "sorted(table)",
    "1 / (n % 3 - 1)",
    "None",
    "table['missing']",
    "{{'n': n}}",
    "words",
    "len(items)",
)


def program(seed: int, steps: int = 4) -> list[str]:
    """The steps of one program: code that never asks for time, addresses or real randomness."""
    rng = random.Random(seed)

    def filled(line: str) -> str:
        return line.format(rng.randint(1, 99), rng.randint(1, 99), rng.randint(0, 4))

    made = ["\n".join(filled(line) for line in SETUP)]
    for _ in range(steps):
        made.append(
            "\n".join(filled(rng.choice(DEEDS)) for _ in range(rng.randint(2, 5))) + "\n" + filled(rng.choice(ENDS))
        )
    return made
