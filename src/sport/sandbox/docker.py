"""The forking sandbox inside a container, driven over the pipes of ``docker run``: for hosts that are not Linux.

The container is the wall towards the host - no network, no capabilities, a read-only root, limits of processes and
memory - and inside it each candidate still is a fork with whatever layers the container lets it put up (usually seccomp
and Landlock, no namespaces).

Said plainly: the part that speaks over pipes runs in this project's tests, with the agent as an ordinary program. The
container around it has not been run by them: its tests skip where no Docker daemon answers, and no machine on which
this was written had one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox.layers.report import Layer
from sport.sandbox.remote import RemoteSandbox
from sport.sandbox.toolcalls import PutFile
from sport.tools.base import CallTool
from sport.types import ReadFile, ToolSpec

IMAGE = "sport-sandbox"
"""Built from ``src/sport/sandbox/Dockerfile``: Python with the libraries that code finds inside, and sport."""

BOXES = 32  # boxes and candidates whose memory and processes the container must hold at once
NOBODY = "65534:65534"
PROBE_S = 20.0


class DockerSandbox(RemoteSandbox):
    """A :class:`~sport.sandbox.base.Sandbox` in one container, which goes when the host does.

    Raises:
        SandboxError: at :meth:`start`, where Docker is missing, its daemon does not answer, or the image is not there.
    """

    def __init__(
        self,
        *,
        specs: Sequence[ToolSpec] = (),
        call: CallTool,
        put: PutFile,
        read: ReadFile,
        limits: SandboxSection,
        image: str = IMAGE,
    ) -> None:
        self._image = image
        # Inside, the container is the floor: what it does not let the agent put up is missing there and reported.
        inner = limits.model_copy(update={"executor": "forked", "below_floor": True})
        super().__init__(command(image, limits), specs=specs, call=call, put=put, read=read, limits=inner)

    async def start(self) -> None:
        """Look for the daemon and the image, then start the container. Raises SandboxError."""
        problem = await trouble(self._image)
        if problem is not None:
            raise SandboxError(problem)
        await super().start()
        self.layers = (Layer("container", "active", f"docker, image {self._image}"), *self.layers)


def command(image: str, limits: SandboxSection) -> list[str]:
    """``docker run`` with everything closed that it can close."""
    memory_mb = limits.memory_mb * 4 + limits.disk_mb * BOXES
    return [
        *("docker", "run", "--rm", "--interactive", "--init", "--network", "none", "--user", NOBODY),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--ipc", "private"),
        *("--tmpfs", f"/tmp:rw,nosuid,nodev,size={limits.disk_mb * BOXES}m,mode=1777", "--env", "HOME=/tmp"),
        *("--pids-limit", str(limits.threads * BOXES), "--memory", f"{memory_mb}m", "--memory-swap", f"{memory_mb}m"),
        *("--volume", f"{Path(__file__).resolve().parents[2]}:/sport:ro", "--env", "PYTHONPATH=/sport"),
        *(image, "python", "-P", "-s", "-m", "sport.sandbox.agent"),
    ]


async def trouble(image: str = IMAGE) -> str | None:
    """Why no container can be started here, and what to do; None where it can."""
    if shutil.which("docker") is None:
        return "sandbox.executor=docker: there is no docker command; install Docker (docs.docker.com/engine/install)"
    status, said = await _docker("version", "--format", "{{.Server.Version}}")
    if status:
        return f"sandbox.executor=docker: no Docker daemon answers ({said}); start it, or look at DOCKER_HOST"
    status, said = await _docker("image", "inspect", "--format", "{{.Id}}", image)
    if status:
        here = os.path.relpath(Path(__file__).with_name("Dockerfile"))
        return f"sandbox.executor=docker: no image {image!r}; build it: docker build -t {image} -f {here} ."
    return None


async def _docker(*words: str) -> tuple[int, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("docker", *words, stdout=pipe, stderr=pipe)
    try:
        _, said = await asyncio.wait_for(process.communicate(), PROBE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return 1, "no answer"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return process.returncode or 0, lines[-1] if lines else ""
