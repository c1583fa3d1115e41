from __future__ import annotations

import pytest

from sport.errors import ToolError
from sport.tools.arguments import bind, key, usage
from sport.tools.base import FileBytes
from sport.types import Parameter, ToolSpec

SPEC = ToolSpec(
    name="find",
    description="Find.",
    parameters=(
        Parameter(name="image", type="file"),
        Parameter(name="what", type="string"),
        Parameter(name="most", type="integer", required=False, default=5),
        Parameter(name="options", type="any", required=False),
    ),
)
IMAGE = FileBytes(b"pixels", "image/png")
CALL = {"image": IMAGE, "what": "stars"}


def test_a_call_is_described_in_one_line():
    assert usage(SPEC) == "find(image: file, what: string, most: integer = 5, options: any = None)"


def test_order_and_spelt_out_defaults_do_not_change_the_key():
    assert key(SPEC, bind(SPEC, CALL)) == key(SPEC, bind(SPEC, {"most": 5, "what": "stars", "image": IMAGE}))


@pytest.mark.parametrize(
    "change",
    [
        {"what": "star"},
        {"most": 6},
        {"image": FileBytes(b"pixel", "image/png")},
        {"image": FileBytes(b"pixels", "image/bmp")},
    ],
)
def test_every_argument_changes_the_key(change):
    assert key(SPEC, bind(SPEC, CALL | change)) != key(SPEC, bind(SPEC, CALL))


def test_the_version_changes_the_key():
    assert key(SPEC.model_copy(update={"version": "2"}), bind(SPEC, CALL)) != key(SPEC, bind(SPEC, CALL))


@pytest.mark.parametrize(
    "change", [{"most": True}, {"most": 5.0}, {"what": None}, {"image": b"pixels"}, {"options": IMAGE}]
)
def test_a_wrong_type_is_refused(change):
    with pytest.raises(ToolError, match="must be"):
        bind(SPEC, CALL | change)


def deep() -> list:
    inner: list = []
    for _ in range(100_000):
        inner = [inner]
    return inner


@pytest.mark.parametrize("options", [float("nan"), {1, 2}, [IMAGE], deep(), "x" * 2_000_000, 10**5000], ids=type)
def test_what_json_cannot_hold_is_refused(options):
    with pytest.raises(ToolError, match=r"plain data|at most"):
        key(SPEC, bind(SPEC, CALL | {"options": options}))
