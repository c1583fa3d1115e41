"""Make the nano controller: `python recipes/nano/build.py` (see README.md beside this file).

Data are cached in ``.cache/nano``; training is saved every five minutes there and goes on after a stop.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import habits  # noqa: E402
import model as nano  # noqa: E402
import torch  # noqa: E402
import train  # noqa: E402

import data  # noqa: E402
from sport.blobs import Blobs  # noqa: E402
from sport.dialect import Dialect  # noqa: E402
from sport.render import Renderer  # noqa: E402
from sport.types import File, Trajectory  # noqa: E402


def arguments() -> argparse.Namespace:
    """Options, with the values that made the weights in the package as defaults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=HERE.parents[1] / "src" / "sport" / "nano", help="checkpoint directory"
    )
    parser.add_argument(
        "--cache", type=Path, default=HERE.parents[1] / ".cache" / "nano", help="data and training state"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the pool of pictures and documents, for a trial")
    parser.add_argument("--steps", type=int, default=2500, help="batches of 16 trajectories")
    parser.add_argument(
        "--exercises", type=int, default=1500, help="batches of copying and of naming pictures before them"
    )
    parser.add_argument("--vocabulary", type=int, default=1000, help="tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="more only helps on a quiet machine")
    return parser.parse_args()


def texts(trajectories: list[Trajectory], dialect: Dialect) -> list[str]:
    """Everything that the controller reads and writes, for the tokenizer."""
    return [message.text for t in trajectories for message in dialect.history(t.task, t.steps)]


def sights(trajectories: list[Trajectory]) -> list[tuple[File, str]]:
    """Every picture once, with the family that it is of; a look-up's picture is of another family's."""
    pictures = {t.task.files[0].sha256: (t.task.files[0], t.id.split("-")[0]) for t in trajectories}
    return [(file, family) for file, family in pictures.values() if file.is_image and family != "lookup"]


def main() -> None:
    """Data, tokenizer, training, checkpoint, provenance."""
    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    path = asyncio.run(data.build(options.cache, options.share, options.seed))
    trajectories = [Trajectory.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    dialect = Dialect("nano-1", ())
    tokenizer = nano.train_tokenizer(texts(trajectories, dialect), options.vocabulary)
    network = nano.build(tokenizer, options.seed)
    nano.save(network, tokenizer, options.cache / "start", half=False)
    renderer = _renderer(options.cache / "start", options.cache / "files")
    examples = [train.example(t, dialect, renderer) for t in trajectories]
    size = sum(p.numel() for p in network.parameters())
    logging.info(
        "%d trajectories, longest %d tokens, %d parameters", len(examples), max(len(e.ids) for e in examples), size
    )
    settings = train.Settings(steps=options.steps, seed=options.seed, exercises=options.exercises)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    state = options.cache / f"state-{digest[:8]}-{options.steps}-{options.seed}-{options.vocabulary}.pt"
    train.train(network, examples, sights(trajectories), renderer, settings, state)
    nano.save(network, tokenizer, options.out, half=True)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    made = {
        "commit": commit,
        "seed": options.seed,
        "data": digest,
        "steps": options.steps,
        "parameters": size,
        "dialect": "nano-1",
        "habits": dict(habits.HABITS),
    }
    (options.out / "made.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _renderer(checkpoint: Path, files: Path) -> Renderer:
    from transformers import AutoImageProcessor, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    return Renderer(tokenizer, AutoImageProcessor.from_pretrained(checkpoint), Blobs(files).read)


if __name__ == "__main__":
    main()
