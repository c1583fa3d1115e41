"""One of several processes that tune together: ``python -m torch.distributed.run worker.py FOLDER OUT``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from sport.tune.run import TuneResult
from tune.test_tune_run import FAST, example, run

SETTINGS = FAST.model_copy(update={"pairs_per_step": 7, "batch_tokens": 400, "save_steps": 2})


def work(folder: Path, out: Path, resume: bool = False) -> TuneResult:
    """Tune on six of the usual rows; there are pictures in some of them."""
    torch.set_num_threads(1)
    found, made = example(folder / "tiny")
    return run(found, made[:6], out, SETTINGS, resume=resume)


if __name__ == "__main__":
    if os.environ.get("DIE_AT"):
        from sport.tune.trainer import TreeDPOTrainer

        step = TreeDPOTrainer.training_step

        def dying(self, *rest):
            if self.state.global_step == int(os.environ["DIE_AT"]):
                raise InterruptedError("the test wants it so")
            return step(self, *rest)

        TreeDPOTrainer.training_step = dying
    rank = os.environ["RANK"]
    work(Path(sys.argv[1]) / f"of-{rank}", Path(sys.argv[2]), resume=True)
