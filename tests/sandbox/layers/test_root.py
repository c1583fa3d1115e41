"""A box's root: what is brought into it, and under which names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sandbox.layers.inside import result
from sport.sandbox.layers import kernel, root

pytestmark = pytest.mark.skipif(kernel.supported() is not None, reason="mount namespaces are Linux's")

# In a mount namespace of its own: build a root from the paths given, look at it from outside, and enter it.
BUILT = """
from sport.sandbox.layers import root
here = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
try:
    kernel.unshare(kernel.NEWNS) if os.geteuid() == 0 else identity.new_user_namespace(kernel.NEWNS, here)
except OSError as error:
    RESULT = {"skip": str(error)}
else:
    stage = root.Stage(ARGUMENT["base"])
    stage.build(ARGUMENT["paths"])
    os.close(stage.enter("mode=0755,size=1m"))
    RESULT = {path: [os.path.exists(path), os.path.islink(path)] for path in ARGUMENT["look"]}
    RESULT["write"] = error_of(lambda: os.mkdir(os.path.join(ARGUMENT["paths"][0], "new")))
    RESULT["top"] = sorted(os.listdir("/"))
"""


def built(tmp_path: Path, paths: list[Path], look: list[str]) -> dict[str, list[bool]]:
    base = tmp_path / "base"
    base.mkdir()
    said = result(BUILT, {"base": str(base), "paths": [str(path) for path in paths], "look": look})
    if "skip" in said:
        pytest.skip(f"no mount namespace here: {said['skip']}")
    assert list(base.iterdir()) == []  # seen from outside there was never anything
    return said


def test_only_what_is_brought_is_there_and_none_of_it_can_be_written(tmp_path: Path) -> None:
    for name in ("brought", "left"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
    said = built(
        tmp_path, [tmp_path / "brought"], [f"{tmp_path}/brought/file", f"{tmp_path}/left", "/proc", "/dev/null"]
    )
    assert said[f"{tmp_path}/brought/file"] == [True, False]
    assert said[f"{tmp_path}/left"] == said["/proc"] == [False, False]
    assert said["/dev/null"][0]
    assert said["write"] == "EROFS"  # type: ignore[comparison-overlap]
    assert {"box", "dev"} <= set(said["top"])  # type: ignore[arg-type]


def test_a_link_stays_one_only_where_its_end_is_brought_too(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("text")
    (tmp_path / "a").symlink_to(tmp_path / "there")
    (tmp_path / "b").symlink_to(tmp_path / "elsewhere")
    said = built(
        tmp_path,
        [tmp_path / "there", tmp_path / "a", tmp_path / "b"],
        [f"{tmp_path}/a", f"{tmp_path}/b", f"{tmp_path}/b/file"],
    )
    assert said[f"{tmp_path}/a"] == [True, True]
    assert said[f"{tmp_path}/b"] == [True, False]
    assert said[f"{tmp_path}/b/file"] == [True, False]


def test_tmp_leads_into_the_directory_unless_the_interpreter_lies_below_it(tmp_path: Path) -> None:
    """A later mount or link over /tmp would hide it."""
    if not str(tmp_path).startswith("/tmp/"):
        pytest.skip("temporary files lie elsewhere here")
    (tmp_path / "lib").mkdir()
    said = built(tmp_path, [tmp_path / "lib"], ["/tmp", "/var/tmp", f"{tmp_path}/lib"])
    assert said["/tmp"] == said[f"{tmp_path}/lib"] == [True, False]
    assert said["/var/tmp"][1]


def test_what_is_readable_is_the_interpreter_its_packages_and_shared_libraries(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    found = root.readable([*sys.path, str(tmp_path / "packages"), str(tmp_path / "packages" / "inner"), ""])
    assert str(tmp_path / "packages") in found
    assert "/lib" in found and "/" not in found and "/etc" not in found
    assert not [path for path in found for other in found if path.startswith(other + "/")]
