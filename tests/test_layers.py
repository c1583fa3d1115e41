"""Imports go down the floors only, third parties stay behind their fences, and answers stay out of sight.

Imports are read with ``ast``, so lazy ones and those for type checkers count as well.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "sport"

# A room is a file or folder directly below sport/; a few files share one room.
FLOORS = {
    0: {"types", "errors", "events", "seeds", "answers", "crash"},
    1: {"config", "store", "stats", "render", "checkpoint", "dialect", "causes", "wording", "structured", "own"},
    2: {"llm", "tools", "sandbox", "world"},
    3: {"agent", "verify"},
    4: {"synth", "explore", "pairs", "tune", "bench"},
    5: {"kit", "estimate", "hosting", "wire", "loop", "ask", "exam", "t3", "cluster", "report", "doctor"},
    6: {"cli", "progress", "show", "tables"},
}
ROOMS = {
    **{"blobs": "store", "database": "store", "digest": "store", "trees": "store", "given": "ask"},
    "outpost": "cluster",
    **{
        "adapters": "checkpoint",
        "bases": "checkpoint",
        "eyes": "render",
        "wire_synth": "wire",
        "wire_t3": "wire",
        "wire_bench": "wire",
    },
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}

# Steps off the table, each with its reason.
ALLOWED = {
    ("errors", "types"): "boundary() makes a Failure",
    ("events", "types"): "words of the same floor",
    ("answers", "types"): "words of the same floor",
    ("crash", "errors"): "words of the same floor",
    ("store", "config"): "a run keeps its resolved configuration",
    ("sandbox", "tools.base"): "the one callable that a sandbox is handed, and the bytes it takes",
    ("dialect", "wording"): "its templates are prompts",
    ("t3", "loop"): "both do the stages synth and eval, and book what a stage took",
    ("wire", "t3"): "wire fills the form that t3 reads",
    ("cluster", "wire"): "a worker on another machine builds its own parts",
    ("cli", "progress"): "one door draws for the other",
    ("cli", "show"): "one door draws for the other",
    ("cli", "tables"): "one door draws for the other",
    ("wire", "hosting"): "the part of it that fills the tool box",
    **{
        (room, "kit"): "the kit is the form that wire fills and loop reads"
        for room in ("wire", "loop", "ask", "exam", "t3", "cluster")
    },
}

FENCES = {
    "torch": (
        "checkpoint",
        "adapters",
        "tune",
        "llm.local",
        "llm.embed",
        "llm.pipeline",
        "tools.objectlocation",
        "tools.segmentation",
    ),
    "diffusers": ("llm.pipeline",),
    "transformers": (
        "checkpoint",
        "adapters",
        "tune",
        "llm.local",
        "llm.embed",
        "tools.objectlocation",
        "tools.segmentation",
        "tools.speech",
    ),
    "peft": ("checkpoint", "adapters", "tune", "llm.local", "llm.embed"),
    "sentence_transformers": ("checkpoint", "tune", "llm.embed", "llm.similar"),
    "openai": ("llm",),
    "httpx": ("llm", "tools"),
    "httpx2": ("llm", "tools"),
    "mcp": ("tools.mcp",),
    "smolagents": (),
    "requests": ("llm", "tools"),
    "typer": ("cli",),
    "rich": ("cli", "progress", "show", "tables"),
    "ray": ("cluster",),
}
KEY_READERS = ("types", "store", "digest", "causes", "synth", "world", "bench", "verify.rules", "report", "wire")


def modules() -> list[str]:
    """Every module of the package as a dotted name below ``sport``."""
    paths = sorted(SOURCE.rglob("*.py"))
    names = [".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__") for path in paths]
    return [name.rstrip(".") for name in names]


@cache
def tree(module: str) -> ast.Module:
    path = SOURCE.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(module: str) -> Iterator[str]:
    """Dotted names of all modules that ``module`` imports anywhere in its code."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide the floor they go to"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole.removeprefix("sport.") in ALL else str(node.module)


ALL = set(modules())


def room(module: str) -> str:
    first = module.split(".")[0]
    return ROOMS.get(first, first)


def may_import(importer: str, imported: str) -> bool:
    """HOUSE's table, row by row."""
    mine, theirs = room(importer), room(imported)
    if mine == theirs or (mine, theirs) in ALLOWED or (mine, imported) in ALLOWED:
        return True
    floor, other = FLOOR_OF[mine], FLOOR_OF[theirs]
    base = imported.endswith(".base")
    match floor:
        case 0 | 1 | 2:
            return other < min(floor, 2)
        case 3:
            return other <= 1 or (other == 2 and base)
        case 4:
            if mine in ("pairs", "tune"):
                return other <= 1
            worlds = theirs == "world" and (mine == "synth" or importer == "bench.world")
            return other <= 1 or (other < 4 and base) or theirs == "agent" or worlds
        case 5:
            return other <= {"report": 1, "doctor": 2}.get(mine, 4)
        case _:
            return other < 6


@pytest.mark.parametrize("module", [name for name in modules() if name])
def test_imports_go_down_only(module: str) -> None:
    assert room(module) in FLOOR_OF, f"{module}: say on which floor it stands (FLOORS)"
    inner = [name.removeprefix("sport.") for name in imports(module) if name.startswith("sport.")]
    bad = [name for name in inner if not may_import(module, name)]
    assert not bad, f"sport.{module} may not import {', '.join('sport.' + name for name in bad)}"


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("types", "errors"),
        ("stats", "config"),
        ("render", "store"),
        ("tools.ocr", "llm.base"),
        ("sandbox.forked", "tools.pool"),
        ("agent.code", "llm.local"),
        ("agent.code", "verify.base"),
        ("explore", "pairs"),
        ("pairs", "agent.base"),
        ("synth.stage", "tools.toolbox"),
        ("bench.gta", "world.make"),
        ("loop", "wire"),
        ("report", "tools.base"),
        ("wire", "cli"),
    ],
)
def test_the_table_refuses(importer: str, imported: str) -> None:
    assert not may_import(importer, imported)


@pytest.mark.parametrize("module", [name for name in modules() if name])
def test_third_parties_stay_behind_their_fences(module: str) -> None:
    for name in {name.split(".")[0] for name in imports(module)} & FENCES.keys():
        inside = any(module == place or module.startswith(place + ".") for place in FENCES[name])
        assert inside, f"sport.{module} imports {name}, which belongs to {', '.join(FENCES[name])} only"


def test_only_scorers_critics_and_the_report_see_a_key() -> None:
    seen = [name for name in modules() if any(_names_key(node) for node in ast.walk(tree(name)))]
    bad = [name for name in seen if not any(name == place or name.startswith(place + ".") for place in KEY_READERS)]
    assert not bad, f"the answer may not be known to {', '.join(bad)}"


def _names_key(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "sport.types" and any(alias.name == "Key" for alias in node.names)
    return (isinstance(node, ast.Attribute) and node.attr == "Key") or (isinstance(node, ast.Name) and node.id == "Key")


def test_print_is_for_the_door() -> None:
    calls = [
        name
        for name in modules()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert set(calls) <= {"cli", "progress"}


def project_files() -> Iterator[Path]:
    """Text files that belong to the project."""
    places = ("src", "tests", "configs", "docs", "examples", "benchmarks", "recipes", ".ci")
    files = [file for place in places for file in (ROOT / place).rglob("*") if file.is_file()]
    files += [file for file in ROOT.iterdir() if file.is_file() and file.name != ".git"]
    for file in files:
        if "__pycache__" not in file.parts and file.suffix not in {".safetensors", ".png", ".pyc", ".db"}:
            yield file


def test_no_path_leads_out_of_the_checkout() -> None:
    homes = re.compile(r"(?<!\w)/(?:home/[A-Za-z_]\w*|Users/[A-Za-z_]\w*|root)/|[.][.]/shared")
    for file in project_files():
        text = file.read_text(encoding="utf-8", errors="replace")
        found = homes.search(text)
        assert found is None, f"{file.relative_to(ROOT)}: {found.group() if found else ''}"
        assert str(ROOT) not in text, (
            f"{file.relative_to(ROOT)} names the directory that the checkout happens to lie in"
        )


def test_importing_sport_is_silent_light_and_leaves_nothing(tmp_path: Path) -> None:
    heavy = ["torch", "transformers", "peft", "typer", "rich", "ray", "openai", "numpy"]
    code = f"import sys, sport; sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    environment = {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
