"""Tune a checkpoint on data of your own, and load what comes of it with peft and transformers alone.

    python examples/tune.py                              # the embedded controller, two pairs made here, into tuned/
    python examples/tune.py pairs.jsonl models/qwen2-vl-2b out

Data: TRL preferences (as below), trajectories of your own, or any other format of docs/TUNING.md.
"""

import sys

from peft import PeftModel
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from sport.config import Tune, checkpoint_folder
from sport.tune import read, tune_data

TASK = [{"role": "user", "content": "How many circles are on two pages with three each?"}]
SUM, SEEN = {"role": "assistant", "content": "print(2 * 3)"}, {"role": "user", "content": "Observation: 6"}
PAIRS = [  # the second prompt goes on from the first and its chosen action, so both become one tree, one row
    {"prompt": TASK, "chosen": [SUM], "rejected": [{"role": "assistant", "content": "print(2 + 3)"}]},
    {"prompt": [*TASK, SUM, SEEN], "chosen": "final_answer(6)", "rejected": "final_answer(5)"},
]


def main(source: str | None = None, base: str = "nano", out: str = "tuned") -> None:
    """Data to an adapter, and the adapter back onto its base in three lines."""
    folder = checkpoint_folder(base)
    data = read(source or PAIRS)
    print(data.format, dict(data.counts))
    done = tune_data(folder, data, out, Tune(epochs=3))
    print(f"{done.adapter}: loss", *(f"{step['loss']:.3f}" for step in done.result.history))

    model = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(folder), str(done.adapter))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    image_processor = AutoImageProcessor.from_pretrained(folder)
    print(type(model.base_model.model).__name__, len(tokenizer), type(image_processor).__name__)


if __name__ == "__main__":
    main(*sys.argv[1:])
