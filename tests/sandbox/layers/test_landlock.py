"""Landlock by itself: what may be read, what may be written, and what it does not stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.layers.inside import result
from sport.sandbox.layers import kernel, landlock

pytestmark = pytest.mark.skipif(kernel.supported() is not None, reason="Landlock is Linux's")


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    try:
        landlock.version()
    except OSError as error:
        pytest.skip(f"no Landlock here: {error}")
    for name in ("readable", "writable", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
    return {path.name: str(path) for path in tmp_path.iterdir()}


def test_each_tree_has_its_own_rights(folders: dict[str, str]) -> None:
    body = """
    identity.no_new_privileges()
    landlock.restrict([ARGUMENT["readable"]], [ARGUMENT["writable"]], ["/dev/null"])
    RESULT = {}
    for name, folder in ARGUMENT.items():
        os.chdir(folder)
        RESULT[name] = [
            error_of(lambda: open("file").close()), error_of(lambda: open("file", "a").close()),
            error_of(lambda: open("new", "w").close()), error_of(lambda: os.listdir(".")),
            error_of(lambda: os.truncate("file", 0)), error_of(lambda: os.symlink("file", "link")),
            error_of(lambda: os.mknod("device", 0o020600, os.makedev(1, 3))),
        ]
    RESULT["device"] = error_of(lambda: open("/dev/null", "r+b", buffering=0).close())
    """
    said = result(body, folders)
    yes, no = "went through", "EACCES"
    assert said["readable"] == [yes, no, no, yes, no, no, no]
    assert said["writable"][:6] == [yes] * 6
    assert said["writable"][6] in (no, "EPERM")  # EPERM: an ordinary user makes no devices anyway
    assert said["other"] == [no] * 7
    assert said["device"] == yes


def test_it_stops_neither_stat_nor_chmod_so_that_other_walls_have_to(folders: dict[str, str]) -> None:
    body = """
    identity.no_new_privileges()
    landlock.restrict([], [ARGUMENT["writable"]], [])
    path = os.path.join(ARGUMENT["other"], "file")
    acts = [lambda: os.stat(path), lambda: os.chmod(path, 0o600), lambda: os.utime(path)]
    RESULT = [error_of(act) for act in acts]
    """
    assert result(body, folders) == ["went through"] * 3


def test_a_program_cannot_be_put_into_the_writable_tree_and_executed(folders: dict[str, str]) -> None:
    body = """
    import shutil
    identity.no_new_privileges()
    landlock.restrict(["/bin", "/lib", "/usr"], [ARGUMENT["writable"]], [])
    program = shutil.copy("/bin/true", ARGUMENT["writable"])
    RESULT = error_of(lambda: os.execv(program, [program]))
    """
    assert result(body, folders) == "EACCES"
