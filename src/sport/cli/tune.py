"""The commands ``sport tune RUN_OR_DATA`` and ``sport merge-adapter``."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sport.cli.console import PLAIN, quoted, stderr, stdout
from sport.cli.driving import STOPPED, do_stage, fresh
from sport.errors import InputError, RunError
from sport.progress import Watcher, span, watcher

if TYPE_CHECKING:
    from sport.tune.own import Tuned
    from sport.tune.readers.read import Data

Target = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_OR_DATA", help="a run's directory, or a data set: .jsonl, .json, .parquet, a directory"
    ),
]
Iteration = Annotated[
    int | None, typer.Option("--iteration", "-i", min=0, help="Of a run; default: the one that is due.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="Change one setting, e.g. tune.epochs=1.")
]
Adapter = Annotated[Path | None, typer.Option("--adapter", metavar="DIR", help="Go on with this adapter.")]
Mix = Annotated[
    list[str] | None,
    typer.Option("--mix", metavar="PATH=W", help="With --sft: W general conversations of PATH for every trajectory."),
]


def add(app: typer.Typer) -> None:
    """Add the commands."""

    def tune(
        target: Target,
        iteration: Iteration = None,
        checkpoint: Annotated[
            str | None, typer.Option("--checkpoint", metavar="DIR", help="The model; default: the configuration's.")
        ] = None,
        adapter: Adapter = None,
        out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="default: runs/tune-<time>")] = None,
        sft: Annotated[
            bool, typer.Option("--sft", help="Learn the chosen actions by likelihood, not by preference.")
        ] = False,
        mix: Mix = None,
        images: Annotated[
            Path | None, typer.Option("--images", metavar="DIR", help="Where relative picture paths start from.")
        ] = None,
        origin: Annotated[
            str | None, typer.Option("--origin", help="own, sport or mm-traj; default: told by content.")
        ] = None,
        config: Annotated[
            Path | None, typer.Option("--config", metavar="TOML", help="Whose sections tune and controller hold.")
        ] = None,
        overrides: Overrides = None,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with what --out holds.")] = False,
    ) -> None:
        """Tune the controller on the pairs of a run, or any checkpoint on a data set of your own."""
        only_data = {
            "--checkpoint": checkpoint, "--adapter": adapter, "--out": out, "--sft": sft, "--mix": mix,
            "--images": images, "--origin": origin, "--config": config, "--set": overrides, "--resume": resume,
        }  # fmt: skip
        if (target / "run.db").exists():
            given = [name for name, value in only_data.items() if value]
            if given:
                raise InputError(f"{target} is a run, which has its own settings: leave out {', '.join(given)}")
            return do_stage("tune", target, iteration)
        if not target.exists():
            raise RunError(f"{target}: not a run directory, and no data set either: there is no such file or directory")
        if iteration is not None:
            raise InputError(f"{target} is no run, so it has no iterations: leave out --iteration")
        return _data(target, checkpoint, adapter, out, sft, mix or (), images, origin, config, overrides or (), resume)

    app.command()(tune)
    app.command("merge-adapter")(merge_adapter)


def merge_adapter(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="a PEFT directory")],
    checkpoint: Annotated[str, typer.Option("--checkpoint", metavar="DIR", help="The base that it was tuned on.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The checkpoint to write.")],
    dtype: Annotated[str | None, typer.Option("--dtype", help="To store in; default: as the base is stored.")] = None,
) -> None:
    """Write a checkpoint directory with ADAPTER merged into its base."""
    from sport.config import checkpoint_folder
    from sport.tune.merge import merge_adapter as merge

    _say(f"checkpoint: {merge(checkpoint_folder(checkpoint), adapter, out, dtype=dtype)}")


# -------------------------------------------------------------------------------------------------- data


def _data(
    source: Path,
    checkpoint: str | None,
    adapter: Path | None,
    out: Path | None,
    sft: bool,
    mix: Any,
    images: Path | None,
    origin: str | None,
    config: Path | None,
    overrides: Any,
    resume: bool,
) -> None:
    from sport.config import load

    changes = [*overrides, *([f"controller.checkpoint={checkpoint}"] if checkpoint else [])]
    settings = load(config, changes)
    folder = _place(out, resume)

    from sport.checkpoint import use_threads
    from sport.tune.mixing import share
    from sport.tune.own import tune_data
    from sport.tune.readers.pictures import Pictures
    from sport.tune.readers.read import read

    shares = [share(one, "--mix") for one in mix]
    data = read(source, pictures=Pictures(images), origin=origin)
    _told(data)
    use_threads(settings.controller.threads)
    began = time.monotonic()
    with _stopping(folder) as progress:
        done = tune_data(
            settings.controller.folder,
            data,
            folder,
            settings.tune,
            method="imitation" if sft else None,
            mix=shares,
            adapter=adapter or settings.controller.adapter,
            device=settings.controller.device,
            dtype=settings.controller.dtype,
            seed=settings.seed,
            progress=progress,
            resume=resume,
        )
    _show(done)
    _say(f"adapter: {done.adapter}\ntime: {span(time.monotonic() - began)}")


def _place(out: Path | None, resume: bool) -> Path:
    if out is None:
        if resume or int(os.environ.get("WORLD_SIZE", "1")) > 1:
            why = "the directory to go on with" if resume else "several processes must mean the same directory"
            raise InputError(f"{'--resume' if resume else 'tuning with several processes'} needs --out: {why}")
        return fresh("tune")
    if not resume and _first() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: not empty; name another directory, or go on with --resume")
    return out


@contextmanager
def _stopping(folder: Path) -> Iterator[Watcher]:
    """Progress that ends at the next step when Ctrl-C or SIGTERM is heard; a second one does not wait for it."""
    with watcher(stderr()) as progress:

        def stop(number: int, _: object) -> None:
            if progress.stopping:
                raise KeyboardInterrupt
            progress.stop()
            os.write(2, b"\nstopping after this step (again to stop at once)\n")

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield progress
        except (KeyboardInterrupt, asyncio.CancelledError):
            stderr().print(f"stopped; go on with the same command and --out {quoted(folder)} --resume", **PLAIN)
            raise typer.Exit(STOPPED) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


# ----------------------------------------------------------------------------------------------- showing


def _say(text: str) -> None:
    if _first():
        stdout().print(text, **PLAIN)


def _first() -> bool:
    """Whether this is the process that speaks and writes, of several that torchrun or accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def _told(data: Data) -> None:
    counts = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in data.counts.items())
    _say(f"{data.name}: {data.format}: {counts}")
    if data.origin is not None and data.origin.seeds:
        seeds = " and ".join(data.origin.seeds)
        _say(f"origin: {data.origin.name}; grown from items of {seeds}, so scores of what is tuned on it are marked")


def _show(done: Tuned) -> None:
    result = done.result
    first, last = result.history[0], result.history[-1]
    parts = [
        f"{done.method}: {result.steps} steps over {result.rows} rows, {result.pairs} pairs, {result.tokens:,} tokens"
    ]
    parts += [
        f"{name} {first[name]:.3f} -> {last[name]:.3f}" for name in ("loss", "accuracy", "margin") if name in first
    ]
    _say("; ".join(parts))
    if done.lost:
        _say("lost: " + ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in done.lost.items()))
