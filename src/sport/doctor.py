"""What this machine has and lacks for a run, and what to do about each lack.

Nothing is guessed from names and versions alone where trying is cheap: libraries are imported (in a process of their
own, so that a broken one cannot take this one down), the sandbox is booted and runs a line of code, and servers that a
configuration names are asked for one token. Not checked: the speed of anything, and checkpoints other than the one
inside the package.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Literal

from sport.config import Config, Endpoint, endpoints, mute_endpoints
from sport.errors import ConfigError, SandboxError
from sport.sandbox.layers.report import Layer, advice
from sport.types import File

State = Literal["ok", "warn", "fail"]
CORE = ("pydantic", "typer", "rich", "openai", "tenacity", "pillow", "numpy", "pandas", "matplotlib", "jinja2")
LOCAL = ("torch", "transformers", "peft")
DISK_MB, MEMORY_MB = 2_000, 4_000  # the demo's own needs, with room


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, and what to do when that is not enough."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(folder: Path, config: Config | None = None) -> Iterable[Check]:
    """All checks, cheap ones first; ``folder`` is where runs would lie. Yields as it goes.

    With a configuration every server that it names is asked, too.
    """
    for check in (python, system, cores, memory, core_packages):
        yield check()
    yield disk(folder)
    yield from local_packages()
    for check in (gpu, ocr_models, fonts, weights):
        yield check()
    yield from sandbox()
    if config is not None:
        for where, settings in endpoints(config).items():
            yield from endpoint(where, settings)
        for where, settings in mute_endpoints(config).items():
            yield from endpoint(where, settings, talks=False)


def endpoint(where: str, settings: Endpoint, *, talks: bool = True) -> Iterable[Check]:
    """Every server of an endpoint: its models, and one token of the one that is configured if it ``talks``."""
    from sport.llm import probe

    try:
        found = asyncio.run(probe.ask(settings, where, os.environ, talks=talks))
    except ConfigError as error:
        yield Check(where, "fail", str(error), "mend the configuration, or export the key")
        return
    for one in found:
        if one.problem is not None:
            yield Check(where, "fail", one.problem, "see docs/ENDPOINTS.md")
        elif one.models is not None and settings.model not in one.models:
            answers = "answers, but" if talks else "may be there, but"
            yield Check(where, "warn", f"{one.url}: {one.text}", f"{settings.model} {answers} is not listed")
        else:
            yield Check(where, "ok", f"{one.url}: {one.text}")


def python() -> Check:
    """The interpreter. An older one than 3.11 does not get here: pip refuses it, and so does ``make``."""
    return Check("Python", "ok", f"{platform.python_version()} ({platform.python_implementation()})")


def system() -> Check:
    """Operating system and processor: the sandbox needs Linux."""
    found = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if platform.system() != "Linux":
        return Check("system", "fail", found, "the sandbox needs Linux: set sandbox.executor=docker (docs/SECURITY.md)")
    return Check("system", "ok", found)


def cores() -> Check:
    """Processor cores that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < 2:
        return Check("cores", "warn", str(count), "a run works on one core, but takes about twice as long")
    return Check("cores", "ok", str(count))


def memory() -> Check:
    """Memory in MB: the machine's, or the container's where that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    cap = _read(Path("/sys/fs/cgroup/memory.max"))
    total = min(total, int(cap) // 2**20) if cap.isdigit() else total
    if total < MEMORY_MB:
        return Check("memory", "warn", f"{total:,} MB", f"the demo wants {MEMORY_MB:,} MB: lower eval.in_flight")
    return Check("memory", "ok", f"{total:,} MB")


def disk(folder: Path) -> Check:
    """Free disk in MB where runs would lie."""
    free = shutil.disk_usage(folder).free // 2**20
    if free < DISK_MB:
        return Check("disk", "warn", f"{free:,} MB free", "make room, or put runs elsewhere with --out")
    return Check("disk", "ok", f"{free:,} MB free")


def core_packages() -> Check:
    """The packages that every command needs."""
    missing = [name for name in CORE if _version(name) is None]
    if missing:
        return Check("core packages", "fail", "missing: " + ", ".join(missing), "pip install sport")
    return Check("core packages", "ok", f"{len(CORE)} of {len(CORE)}")


def local_packages() -> Iterable[Check]:
    """Torch, transformers and peft: imported for real, in a process of their own."""
    for name in LOCAL:
        version = _version(name)
        problem = "not installed" if version is None else _import_problem(name)
        if problem:
            yield Check(name, "fail", problem, "pip install 'sport[local]'")
        else:
            yield Check(name, "ok", str(version))


def gpu() -> Check:
    """A CUDA device, by the driver's own tool. The demo does not need one."""
    tool = shutil.which("nvidia-smi")
    query = ["--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run([tool, *query], capture_output=True, text=True, timeout=30) if tool else None
    if done is None or done.returncode != 0 or not done.stdout.strip():
        return Check("GPU", "ok", "none; the demo needs none, a 7B controller does")
    return Check("GPU", "ok", "; ".join(done.stdout.strip().splitlines()))


def ocr_models() -> Check:
    """RapidOCR's models, which come inside its wheel, and its engine."""
    advice = "pip install 'sport[tools]'"
    folder = _package_folder("rapidocr")
    if folder is None or _package_folder("onnxruntime") is None:
        return Check("ocr", "fail", "rapidocr or onnxruntime is not installed", advice)
    models = sorted(path.name for path in folder.glob("models/*.onnx"))
    if not models:
        return Check("ocr", "fail", "rapidocr is installed without its models", advice + " --force-reinstall")
    return Check("ocr", "ok", f"rapidocr {_version('rapidocr')}, {len(models)} models")


def fonts() -> Check:
    """The fonts that the painter draws with: those of matplotlib's wheel, never the system's."""
    folder = _package_folder("matplotlib")
    found = sorted(folder.glob("mpl-data/fonts/ttf/*.ttf")) if folder else []
    if not found:
        return Check("fonts", "fail", "matplotlib's fonts are missing", "pip install --force-reinstall matplotlib")
    return Check("fonts", "ok", f"{len(found)} from matplotlib")


def weights() -> Check:
    """The embedded controller: its files are there, and its tensors' header can be read."""
    folder = resources.files("sport") / "nano"
    missing = [name for name in ("config.json", "model.safetensors", "tokenizer.json") if not (folder / name).is_file()]
    advice = "install sport again, or set controller.checkpoint to a directory of yours"
    if missing:
        return Check("embedded controller", "fail", "missing: " + ", ".join(missing), advice)
    data = (folder / "model.safetensors").read_bytes()
    try:
        shapes = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except ValueError:
        return Check("embedded controller", "fail", "model.safetensors is damaged", advice)
    parameters = sum(_product(entry["shape"]) for name, entry in shapes.items() if name != "__metadata__")
    return Check("embedded controller", "ok", f"{parameters / 1e6:.2f} million parameters, {len(data) / 2**20:.1f} MB")


def sandbox() -> Iterable[Check]:
    """Boots a sandbox, runs ``1 + 1`` in a box, and times the second box (the first pays for the imports).

    Then a line about its walls, each of which was tried while booting, and one about every wall that is not there.
    """
    try:
        value, boot_s, box_s, layers = asyncio.run(_try_sandbox())
    except ConfigError as error:
        yield Check("sandbox", "fail", str(error), "see docs/SECURITY.md")
        return
    except (ImportError, OSError, SandboxError) as error:
        yield Check("sandbox", "fail", f"{type(error).__name__}: {error}", "see docs/RUNNING.md, 'The sandbox'")
        return
    if value != "2":
        yield Check("sandbox", "fail", f"1 + 1 gave {value!r}", "please report this with the output of sport doctor")
        return
    yield Check("sandbox", "ok", f"booted in {boot_s:.1f} s, a box and a step in {box_s * 1000:.0f} ms")
    active = [layer.name for layer in layers if layer.state == "active"]
    yield Check("walls", "ok", f"{len(active)} of {len(layers)} tried and active: {', '.join(active)}")
    for layer in layers:
        if layer.state != "active":
            yield Check(f"wall: {layer.name}", "warn", str(layer), advice(layer))


async def _try_sandbox() -> tuple[str | None, float, float, tuple[Layer, ...]]:
    from sport.config import SandboxSection
    from sport.sandbox.forked import ForkedSandbox
    from sport.tools.base import Answered

    async def call(name: str, arguments: Mapping[str, Any]) -> Answered:
        return Answered(error=f"no tool {name} here")

    def read(file: File) -> bytes:
        raise FileNotFoundError(file.name)

    with tempfile.TemporaryDirectory(prefix="sport-doctor-") as root:
        began = time.monotonic()
        booted = ForkedSandbox(root=Path(root), specs=(), call=call, put=_file, read=read, limits=SandboxSection())
        try:
            await booted.start()
            await (await booted.open("first", ())).run("1 + 1", 0)
            boot_s = time.monotonic() - began
            began = time.monotonic()
            seen = await (await booted.open("second", ())).run("1 + 1", 0)
            return seen.value, boot_s, time.monotonic() - began, booted.layers
        finally:
            await booted.stop()


def _file(name: str, data: bytes) -> File:
    digest = hashlib.sha256(data).hexdigest()
    return File(name=name, sha256=digest, size=len(data), media_type="application/octet-stream")


def _import_problem(name: str) -> str | None:
    """The last line that importing ``name`` complains with, or None."""
    command = [sys.executable, "-W", "ignore", "-c", f"import {name}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "import takes more than two minutes"
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else f"cannot be imported: {lines[-1] if lines else done.returncode}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _package_folder(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None


def _read(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def _product(shape: Iterable[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
