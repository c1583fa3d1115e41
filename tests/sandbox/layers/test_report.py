"""Words about layers: nothing is active that was not tried, and the floor is the floor."""

from __future__ import annotations

import pytest

from sport.errors import ConfigError
from sport.sandbox.layers.report import ADVICE, Layer, advice, check_floor, judge, tier, vector


def test_a_layer_is_what_was_put_up_and_what_its_probe_got_through() -> None:
    prepared = {
        "seccomp": ("on", ""),
        "gate": ("on", ""),
        "limits": ("on", ""),
        "landlock": ("degraded", "ABI 2"),
        "uid": ("unavailable", "not root"),
        "disk": ("disabled", "sandbox.without"),
    }
    results = {"seccomp": "", "gate": "forking unasked", "landlock": ""}
    assert vector(judge(prepared, results)) == {
        "seccomp": "active",
        "gate": "unavailable (tried, and not stopped: forking unasked)",
        "limits": "unavailable (its probe did not run)",
        "landlock": "degraded (ABI 2)",
        "uid": "unavailable (not root)",
        "disk": "disabled (sandbox.without)",
    }


def test_a_degraded_layer_that_lets_its_act_through_is_not_there() -> None:
    [layer] = judge({"landlock": ("degraded", "ABI 2")}, {"landlock": "listing /"})
    assert layer.state == "unavailable"


@pytest.mark.parametrize(
    ("active", "enough"),
    [
        ({"seccomp", "namespaces"}, True),
        ({"seccomp", "landlock"}, True),
        ({"seccomp", "uid", "limits", "gate"}, False),
        ({"namespaces", "landlock", "uid"}, False),
        (set(), False),
    ],
)
def test_the_floor_is_seccomp_and_one_of_two(active: set[str], enough: bool) -> None:
    layers = [Layer(name, "active" if name in active else "unavailable", "why") for name in ADVICE]
    check_floor(layers, below_floor=True)
    if enough:
        check_floor(layers, below_floor=False)
        return
    with pytest.raises(ConfigError, match="below_floor=true") as caught:
        check_floor(layers, below_floor=False)
    assert "why" in str(caught.value)  # each missing one says why it is


def test_what_to_do_about_a_layer_depends_on_why_it_is_not_there() -> None:
    assert advice(Layer("seccomp", "active")) == ""
    assert "take it off sandbox.without" in advice(Layer("seccomp", "disabled", "sandbox.without"))
    assert "sysctl" in advice(Layer("namespaces", "unavailable", "refused"))


def test_the_tier_in_a_few_words() -> None:
    both = (Layer("seccomp", "active"), Layer("uid", "unavailable", "not root"), Layer("landlock", "degraded", "ABI 2"))
    assert tier(both) == "1 of 3 walls; without uid; partly landlock"
    assert tier(both[:1]) == "all 1 walls"
    assert tier(()) == "no walls"
