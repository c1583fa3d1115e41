"""Configurations: the files that come with the project, overrides, and one clear message for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sport.config import Config, amend, endpoints, load, parse
from sport.errors import ConfigError

CONFIGS = sorted((Path(__file__).resolve().parent.parent / "configs").rglob("*.toml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_of_the_project_loads(path: Path) -> None:
    assert load(path).name == path.stem


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_value_of_theirs_says_why(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if "=" in line.partition("#")[0]]
    assert lines
    assert [line for line in lines if "#" not in line] == []


def test_the_tiny_one_is_tiny() -> None:
    tiny = load(CONFIGS[0].with_name("tiny.toml"))
    assert (tiny.synth.tasks, tiny.explore.n, tiny.iterations) == (3, 3, 1)
    assert tiny.controller.kind == "scripted"


def test_a_saved_configuration_is_the_same_one() -> None:
    config = load(CONFIGS[0])
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("explore.n=3", ("explore", "n", 3)),
        ("explore.temperature=1", ("explore", "temperature", 1.0)),
        ("controller.checkpoint=models/my-7b", ("controller", "checkpoint", "models/my-7b")),
        ('controller.checkpoint="models/my-7b"', ("controller", "checkpoint", "models/my-7b")),
        ("explore.temperatures=[0.7, 1.2]", ("explore", "temperatures", (0.7, 1.2))),
        ("controller.adapter=2026-01-02", ("controller", "adapter", "2026-01-02")),
        ("critic.kind=informed", ("critic", "kind", "informed")),
        ('synth.families=["label"]', ("synth", "families", ("label",))),
    ],
)
def test_an_override_changes_one_value(tmp_path: Path, override: str, value: tuple[str, str, object]) -> None:
    section, key, expected = value
    config = load(written(tmp_path, "seed = 4"), [override])
    assert getattr(getattr(config, section), key) == expected
    assert config.seed == 4


def test_the_last_override_wins(tmp_path: Path) -> None:
    assert load(written(tmp_path, "[explore]\nn = 2"), ["explore.n=3", "explore.n=4"]).explore.n == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sed = 1", ["unknown key 'sed'", "did you mean 'seed'"]),
        ("[explor]\nn = 1", ["unknown key 'explor'", "'explore'"]),
        ("[explore]\nm = 1", ["unknown key 'explore.m'", "'explore.n'"]),
        ("[tune]\nlearning_rat = 1", ["unknown key 'tune.learning_rat'", "'tune.learning_rate'"]),
        ("zzzzqqq = 1", ["unknown key 'zzzzqqq'", "configs/demo.toml"]),
        ("[explore]\nn = 'five'", ["explore.n", "integer", "'five'"]),
        ("[explore]\nn = 2.5", ["explore.n", "integer", "2.5"]),
        ("[explore]\nn = true", ["explore.n", "integer", "True"]),
        ("[explore]\nn = 0", ["explore.n", "greater than or equal to 1"]),
        ("[critic]\nkind = 'kind'", ["critic.kind", "'blind'", "'informed'"]),
        ("explore = 3", ["explore", "3"]),
        ("name = 'a b'", ["name", "'a b'"]),
        ("seed = ", ["not valid TOML"]),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(tmp_path: Path, text: str, says: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert [part for part in says if part not in str(caught.value)] == []


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, "sed = 1\n[explore]\nn = 0"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("explore.n", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("seed.n=3", "seed is a value, not a section"),
        ("explore.m=3", "did you mean 'explore.n'"),
        ("explore.n=three", "'three'"),
    ],
)
def test_a_bad_override_is_named(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, "seed = 1"), [override])
    assert says in str(caught.value)
    assert f"--set {override}" in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "c.toml"
    path.mkdir() if data is None else path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"c\.toml: cannot be read"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: no such configuration"):
        load(tmp_path / "gone.toml")


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(), st.booleans(), st.none()), max_size=4))
def test_plain_data_is_a_configuration_or_a_config_error(data: dict[str, object]) -> None:
    try:
        assert isinstance(parse(data, "here"), Config)
    except ConfigError as error:
        assert str(error).startswith("here: ")


def test_a_run_that_goes_on_may_change_servers_and_budgets_only() -> None:
    before = parse({"controller": {"kind": "endpoint", "endpoint": {"model": "m", "max_tokens": 5}}}, "test")
    after = amend(before, ["controller.endpoint.max_tokens=9", 'controller.endpoint.base_urls=["http://a/v1"]'])
    changed = before.controller.endpoint.model_copy(update={"max_tokens": 9, "base_urls": ("http://a/v1",)})
    assert after == before.model_copy(update={"controller": before.controller.model_copy(update={"endpoint": changed})})
    for refused in ("controller.endpoint.model=other", "explore.n=3", "seed=1", "max_tokens=3"):
        with pytest.raises(ConfigError, match="keeps its settings"):
            amend(before, [refused])


def test_the_papers_settings_are_the_papers() -> None:
    paper, t3 = (load(CONFIGS[0].with_name(f"{name}.toml")) for name in ("paper", "t3"))
    assert (paper.explore.n, paper.synth.tasks, paper.iterations) == (5, 500, 4)
    assert paper.explore.temperatures == (0.7, 1.2, 1.2, 1.2, 1.2)
    assert (paper.explore.top_p, paper.explore.top_k) == (0.8, 100)
    assert (paper.agent.max_steps, paper.agent.max_errors, paper.agent.max_new_tokens) == (8, 5, 512)
    assert (t3.tune.rank, t3.tune.epochs, t3.tune.rows_per_step) == (64, 5, 2)
    for one in (paper, t3):
        assert one.tune.targets == ("q_proj", "k_proj", "v_proj")
        assert (one.tune.learning_rate, one.tune.max_row_tokens) == (1e-6, 10240)
    tools = {f"tools.settings.{name}.endpoint" for name in ("visualizer", "ask_search_agent")}
    assert endpoints(paper).keys() == {"synth.endpoint", "controller.endpoint", "critic.endpoint"} | tools
    assert endpoints(t3).keys() == {"synth.endpoint", "t3.expert.endpoint", "t3.critic.endpoint"} | tools
    assert len(paper.tools.names) == len(t3.tools.names) == 9


@pytest.mark.parametrize("name", ["paper", "t3"])
def test_what_no_paper_says_is_marked_as_our_choice(name: str) -> None:
    """Of the settings that neither paper publishes."""
    unpublished = {
        "paper": ("beta", "alpha", "epochs", "warmup", "gradient_checkpointing", "floor", "in_flight"),
        "t3": ("alpha", "warmup", "gradient_checkpointing", "temperature", "max_new_tokens"),
    }
    lines = CONFIGS[0].with_name(f"{name}.toml").read_text().splitlines()
    for key in unpublished[name]:
        told = [line for line in lines if line.partition("=")[0].strip() == key]
        assert told, key
        assert all("our choice" in line or "the paper's" in line for line in told), told
        assert any("our choice" in line for line in told), told
