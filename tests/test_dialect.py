"""Dialects: the golden one of the embedded controller, and what every dialect must do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sport import checkpoint
from sport.dialect import NAMES, Dialect, system_prompt
from sport.errors import ConfigError
from sport.render import Renderer
from sport.types import Action, Candidate, File, Image, Observation, Step, Task, ToolSpec, Trajectory

NANO = Path(__file__).parents[1] / "src" / "sport" / "nano"
GOLDEN = Path(__file__).parent / "data" / "nano-1.json"
PICTURE = File(name="image_1.png", sha256="a" * 64, size=1, media_type="image/png")
TABLE = File(name="file_1.csv", sha256="b" * 64, size=1, media_type="text/csv")
WORDS = "You are {{ an }} expert."
SEARCH = ToolSpec(name="search", description="Look a thing up.")


@pytest.fixture
def grey() -> Callable[[File], bytes]:
    """Bytes of a grey picture, whatever is asked for."""
    import io

    import PIL.Image

    out = io.BytesIO()
    PIL.Image.new("RGB", (448, 448), "grey").save(out, "PNG")
    return lambda file: out.getvalue()


def test_the_dialect_nano_1_is_frozen_with_its_weights(grey: Callable[[File], bytes]) -> None:
    """Three trajectories give the token ids that they gave when the weights were made. Who changes this retrains."""
    tokenizer, processor = checkpoint.load_words(NANO)
    renderer, dialect = Renderer(tokenizer, processor, grey), Dialect("nano-1", ())
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(golden) == 3
    for entry in golden:
        trajectory = Trajectory.model_validate(entry["trajectory"])
        assert list(renderer.prompt(dialect.history(trajectory.task, trajectory.steps)).ids) == entry["ids"]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_stand_before_the_words_in_the_order_of_the_files(name: str) -> None:
    second = PICTURE.model_copy(update={"name": "image_2.png", "sha256": "c" * 64})
    *_, user = Dialect(name, (SEARCH,)).opening(Task(id="t", query="Which?", files=(second, TABLE, PICTURE)))
    assert [part.file.name for part in user.parts if isinstance(part, Image)] == ["image_2.png", "image_1.png"]
    assert "Which?" in user.text
    assert "file_1.csv" in user.text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outcome", ["ok", "error", "timeout", "died", "refused", "unparsed"])
def test_every_outcome_has_words(name: str, outcome: str) -> None:
    seen = Observation.model_validate({"outcome": outcome, "error": None if outcome == "ok" else "what went wrong"})
    words = Dialect(name, ()).observation(seen).text
    assert outcome == "ok" or "what went wrong" in words


def test_the_tools_are_told_where_the_dialect_tells_them() -> None:
    assert "Look a thing up." in Dialect("react-1", (SEARCH,)).opening(Task(id="t", query="?"))[0].text


def test_an_unknown_dialect_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'react-9'.*nano-1, react-1"):
        Dialect("react-9", ())


# ------------------------------------------------------------------------------- the released form, system prompts


def test_t3_is_the_form_in_which_the_data_were_released() -> None:
    action = Action(raw="Thought: look.\nCode:\n```py\nprint(1)\n```<end_action>", code="print(1)")
    seen = Observation(outcome="ok", stdout="1\n")
    broke = Observation(outcome="error", error="NameError: x")
    steps = [
        Step(index=i, candidates=(Candidate(index=0, action=action, observation=o),), continued_with=0)
        for i, o in enumerate((seen, broke))
    ]
    task = Task(id="t", query="How many?", files=(PICTURE, TABLE))
    _, user, said, first, _, second = Dialect("t3", (SEARCH,), system="You are an expert.").history(task, steps)
    assert user.text == "\nTask: How many?\nAttachment: image_1.png, file_1.csv"
    assert [part.kind for part in user.parts] == ["image", "text"]
    assert said.text.endswith("```<end_action>")
    assert first.text == "[OUTPUT OF STEP 0] Observation:\nPrint outputs:\n1\n"
    assert second.text.startswith("[OUTPUT OF STEP 1] Error: NameError: x\nNow let's retry")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("system.prompt", f"  {WORDS}\n"),
        ("sport.json", json.dumps([{"system": WORDS, "conversations": []}])),
        ("traj.jsonl", json.dumps({"conversations": [{"role": "system", "content": WORDS}]})),
        ("llava.json", json.dumps([{"messages": []}, {"conversations": [{"from": "system", "value": WORDS}]}])),
    ],
)  # fmt: skip
def test_a_system_prompt_from_a_file_or_from_imported_data_stays_as_it_is(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    dialect = Dialect("t3", (SEARCH,), system=system_prompt(path))
    assert dialect.opening(Task(id="t", query="?"))[0].text == WORDS
    assert dialect.version != Dialect("t3", (SEARCH,)).version


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "not valid JSON"),
        ("b.json", '[{"conversations": []}]', "no record has a field"),
        ("c.txt", None, "cannot be read"),
    ],
)
def test_a_system_prompt_that_is_none_is_one_message(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=f"controller.system: .*{words}"):
        system_prompt(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_a_controller_without_pictures_still_hears_of_its_files(name: str) -> None:
    dialect = Dialect(name, (SEARCH,), images=False)
    messages = [*dialect.opening(Task(id="t", query="?", files=(PICTURE,)))]
    messages.append(dialect.observation(Observation(outcome="ok", files=(PICTURE,))))
    assert not [part for message in messages for part in message.parts if isinstance(part, Image)]
    assert any("image_1.png" in message.text for message in messages)


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_has_a_version_that_follows_its_text(name: str) -> None:
    assert Dialect(name, ()).version == Dialect(name, (SEARCH,)).version
    assert Dialect(name, ()).version.startswith(f"{name}-")
    assert len({Dialect(other, ()).version for other in NAMES}) == len(NAMES)
