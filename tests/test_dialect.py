"""Dialects: the golden one of the embedded controller, and what every dialect must do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sport import checkpoint
from sport.dialect import NAMES, Dialect
from sport.errors import ConfigError
from sport.render import Renderer
from sport.types import File, Image, Observation, Task, ToolSpec, Trajectory

NANO = Path(__file__).parents[1] / "src" / "sport" / "nano"
GOLDEN = Path(__file__).parent / "data" / "nano-1.json"
PICTURE = File(name="image_1.png", sha256="a" * 64, size=1, media_type="image/png")
TABLE = File(name="file_1.csv", sha256="b" * 64, size=1, media_type="text/csv")
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
