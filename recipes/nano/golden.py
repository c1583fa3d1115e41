"""Write the golden token ids of the dialect anew, for new weights: `python recipes/nano/golden.py`.

Keeps the three trajectories of ``tests/data/nano-1.json`` and renders them with the tokenizer in the package.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import PIL.Image

from sport import checkpoint
from sport.dialect import Dialect
from sport.render import Renderer
from sport.types import Trajectory

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "nano-1.json"


def main() -> None:
    """Every picture is a grey one: the ids depend on its size alone."""
    grey = io.BytesIO()
    PIL.Image.new("RGB", (448, 448), "grey").save(grey, "PNG")
    tokenizer, processor = checkpoint.load_words(ROOT / "src" / "sport" / "nano")
    renderer, dialect = Renderer(tokenizer, processor, lambda file: grey.getvalue()), Dialect("nano-1", ())
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for entry in golden:
        trajectory = Trajectory.model_validate(entry["trajectory"])
        entry["ids"] = list(renderer.prompt(dialect.history(trajectory.task, trajectory.steps)).ids)
    GOLDEN.write_text(json.dumps(golden) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
