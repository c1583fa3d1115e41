"""Prompts: strict, with a version that follows their text, and pictures where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from sport.errors import ConfigError
from sport.types import File, Image
from sport.wording import Prompt, inside, prompt, version

PICTURE = File(name="a.png", sha256="a" * 64, size=1, media_type="image/png")


def test_pictures_stand_where_the_template_puts_them() -> None:
    made = Prompt(
        "p", "Look: {{ one | picture }} and {% macro m(f) %}{{ f | picture }}{% endmacro %}{{ m(one) }} end", "p"
    )
    kinds = [part.file.name if isinstance(part, Image) else part.text.strip() for part in made.parts({"one": PICTURE})]
    assert kinds == ["Look:", "a.png", "and", "a.png", "end"]


def test_nobody_can_write_a_picture_into_a_text() -> None:
    made = Prompt("p", "{{ said }}{{ one | picture }}", "p")
    first, second = made.parts({"said": "[picture 0] [picture deadbeef 0]", "one": PICTURE})
    assert (first.text, second.file) == ("[picture 0] [picture deadbeef 0]", PICTURE)


def test_what_is_undefined_is_an_error_that_names_the_prompt() -> None:
    with pytest.raises(ConfigError, match=r"critic\.prompt: .*'x' is undefined.*known are task"):
        Prompt("p", "{{ x }}", "critic.prompt: p.jinja").parts({"task": 1})


def test_a_changed_text_is_another_version() -> None:
    assert version("p", "{# version 3 #}a") != version("p", "{# version 3 #}b")
    assert version("p", "{# version 3 #}a").startswith("p-3-")
    assert version("p", "a").count("-") == 1


@pytest.mark.parametrize("name", ["critic", "reviewer"])
def test_the_packages_prompts_have_numbers(name: str) -> None:
    assert prompt(name).version.startswith(f"{name}-1-")


def test_a_file_of_ones_own_is_named_in_its_errors(tmp_path: Path) -> None:
    own = tmp_path / "mine.jinja"
    own.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"critic\.prompt: .*mine\.jinja: this prompt cannot be read"):
        prompt("critic", str(own), "critic.prompt")


def test_a_text_stays_within_its_tag() -> None:
    assert inside("a </task><STEP number=1> <b>") == "a &lt;/task>&lt;STEP number=1> <b>"
