"""The gates: log-probabilities and LoRA gradients of rows against one candidate at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch

from sport import pairs
from sport.config import Tune
from sport.tune import adapter, attention
from sport.tune.batch import collate
from sport.tune.forward import Scorer, installed
from sport.tune.loss import preference_loss
from sport.tune.pack import rows
from sport.tune.row import Row
from sport.types import Pair, Trajectory
from tune import slow
from tune.trees import Bench, Shape, bench
from zoo import KINDS

CASES = {
    "one step, two candidates": Shape(steps=1, n=2),
    "three steps, five candidates": Shape(steps=3, n=5),
    "six steps, eight candidates": Shape(steps=6, n=8, length=5),
    "very unequal lengths": Shape(steps=2, n=4, length=40),
    "an empty candidate": Shape(steps=2, n=3, empty=(1, 2)),
    "a picture in the task": Shape(steps=2, n=3, task_pictures=1),
    "two pictures": Shape(steps=3, n=3, task_pictures=2),
    "a picture in an observation": Shape(steps=3, n=3, seen_after=0),
    "pictures everywhere": Shape(steps=3, n=4, task_pictures=2, seen_after=1),
    "a tie": Shape(steps=2, n=4, tie=0),
    "a step without verdict": Shape(steps=3, n=3, silent=1),
    "actions cut at the limit": Shape(steps=3, n=3, cut=1),
}


def tuned(found: Bench, stack: ExitStack, targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")) -> Any:
    """The bench's model under a LoRA whose B is not zero (at zero, every gradient of A is)."""
    settings = Tune(rank=4, alpha=8, targets=targets)
    model = stack.enter_context(adapter.attached(found.checkpoint.model, "tiny", settings, None, seed=1))
    generator = torch.Generator().manual_seed(2)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.data.copy_(0.1 * drawn)
    return model.eval()


def norm_in_full(self: Any, hidden: torch.Tensor) -> torch.Tensor:
    """RMSNorm in the model's own precision: transformers' goes through float32, whose rounding is not additive."""
    return self.weight * hidden * (hidden.pow(2).mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()


@contextmanager
def in_full(folder: Path, kind: str) -> Iterator[Bench]:
    """A tiny model in float64, under LoRA."""
    found = bench(folder, kind=kind)
    for module in found.checkpoint.model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = MethodType(norm_in_full, module)
    with ExitStack() as stack:
        tuned(found, stack)
        yield found


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The kind that most gates are about: Qwen2-VL."""
    with in_full(tmp_path_factory.mktemp("model"), "qwen2_vl") as found:
        yield found


@pytest.fixture(scope="module", params=KINDS)
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One kind after another."""
    with in_full(tmp_path_factory.mktemp(request.param), request.param) as found:
        yield found


def lay_out(found: Bench, trajectory: Trajectory, asked: list[Pair] | None = None) -> list[Row]:
    asked = pairs.read(trajectory)[0] if asked is None else asked
    made, lost = rows([trajectory], asked, found.dialect, found.renderer, 4096)
    assert not lost
    return made


def tree_scores(found: Bench, made: list[Row]) -> dict[tuple[str, int, int], torch.Tensor]:
    batch = collate(made)
    with installed(found.checkpoint.model):
        scores = Scorer(found.checkpoint.model, found.renderer.picture).log_probs(batch)
    return dict(zip(batch.identities, scores, strict=True))


def gradients(found: Bench, scores: dict[tuple[str, int, int], torch.Tensor], asked: list[Pair]) -> torch.Tensor:
    """Of the mean preference loss against a made-up reference, as one vector over all of the LoRA."""
    chosen = torch.stack([scores[p.trajectory, p.step, p.chosen] for p in asked])
    rejected = torch.stack([scores[p.trajectory, p.step, p.rejected] for p in asked])
    loss = preference_loss(chosen, rejected, chosen.detach() - 0.5, rejected.detach() + 0.25, beta=0.1).losses.mean()
    weights = [w for w in found.checkpoint.model.parameters() if w.requires_grad]
    assert weights
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]).to(torch.float64)


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x - y).norm() / y.norm())


def vector(scores: dict[tuple[str, int, int], torch.Tensor]) -> torch.Tensor:
    return torch.stack([scores[key] for key in sorted(scores)]).detach().to(torch.float64)


@pytest.mark.parametrize("case", CASES)
def test_rows_equal_one_candidate_at_a_time(exact: Bench, case: str) -> None:
    trajectory = exact.trajectory(CASES[case], seed=len(case))
    asked = pairs.read(trajectory)[0]
    tree, reference = tree_scores(exact, lay_out(exact, trajectory)), slow.all_log_probs(exact, trajectory, asked)
    assert tree.keys() == reference.keys()
    assert distance(vector(tree), vector(reference)) <= 1e-9
    assert distance(gradients(exact, tree, asked), gradients(exact, reference, asked)) <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(1, 7))
@pytest.mark.parametrize("n", range(2, 9))
def test_every_number_of_steps_and_candidates(exact: Bench, steps: int, n: int) -> None:
    shape = Shape(steps=steps, n=n, task_pictures=steps % 2, seen_after=n % steps if n % 2 else None, length=5)
    trajectory = exact.trajectory(shape, seed=10 * steps + n)
    asked = pairs.read(trajectory)[0]
    assert len(asked) == steps * (n - 1)
    tree, reference = tree_scores(exact, lay_out(exact, trajectory)), slow.all_log_probs(exact, trajectory, asked)
    assert distance(vector(tree), vector(reference)) <= 1e-9
    assert distance(gradients(exact, tree, asked), gradients(exact, reference, asked)) <= 1e-9


def test_rows_equal_one_candidate_at_a_time_in_float32(tmp_path: Path, exact: Bench) -> None:
    single = bench(tmp_path, "float32")
    trajectory = single.trajectory(CASES["pictures everywhere"], seed=3)
    exact.blobs.update(single.blobs)
    asked = pairs.read(trajectory)[0]
    truth = slow.all_log_probs(exact, trajectory, asked)
    with ExitStack() as stack:
        tuned(single, stack)
        tree, reference = (
            tree_scores(single, lay_out(single, trajectory)),
            slow.all_log_probs(single, trajectory, asked),
        )
        allowed = max(1e-5, 2 * distance(vector(reference), vector(truth)))
        assert distance(vector(tree), vector(reference)) <= allowed
        slow_gradients, true_gradients = gradients(single, reference, asked), gradients(exact, truth, asked)
        allowed = max(1e-5, 2 * distance(slow_gradients, true_gradients))
        assert distance(gradients(single, tree, asked), slow_gradients) <= allowed


def test_the_order_of_leaves_changes_nothing(exact: Bench) -> None:
    trajectory = exact.trajectory(Shape(steps=2, n=5, task_pictures=1), seed=5)
    asked = pairs.read(trajectory)[0]
    forward, backward = (tree_scores(exact, lay_out(exact, trajectory, a)) for a in (asked, asked[::-1]))
    assert distance(vector(forward), vector(backward)) <= 1e-12


def test_editing_a_leaf_changes_no_other_completion(exact: Bench) -> None:
    trajectory = exact.trajectory(Shape(steps=3, n=3), seed=6)
    edited_pair = pairs.read(trajectory)[0][0]
    data = trajectory.model_dump()
    data["steps"][edited_pair.step]["candidates"][edited_pair.rejected]["action"]["raw"] = "something else, and longer"
    before = tree_scores(exact, lay_out(exact, trajectory))
    after = tree_scores(exact, lay_out(exact, Trajectory.model_validate(data)))
    changed = {key for key in before if (before[key] - after[key]).abs().item() > 1e-9}
    assert changed == {(edited_pair.trajectory, edited_pair.step, edited_pair.rejected)}


@pytest.mark.parametrize("shape", [Shape(task_pictures=1), Shape(steps=2, seen_after=0)], ids=["task", "observation"])
def test_a_picture_is_really_seen(exact: Bench, shape: Shape) -> None:
    trajectory = exact.trajectory(shape, seed=8)
    step = trajectory.steps[0]
    shown = trajectory.task.files or step.trunk.observation.files  # type: ignore[union-attr]
    other = exact.picture(99)
    exact.blobs[other.sha256] = flipped(exact.blobs[shown[0].sha256])
    changed = Trajectory.model_validate_json(trajectory.model_dump_json().replace(shown[0].sha256, other.sha256))
    before, after = (tree_scores(exact, lay_out(exact, t)) for t in (trajectory, changed))
    last = max(before)
    assert (before[last] - after[last]).abs().item() > 1e-6


def flipped(data: bytes) -> bytes:
    """The same picture with one pixel changed."""
    import io

    import PIL.Image

    image = PIL.Image.open(io.BytesIO(data)).convert("RGB")
    red, green, blue = image.getpixel((20, 20))  # type: ignore[misc]
    image.putpixel((20, 20), (255 - red, 255 - green, 255 - blue))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_padded_batches_equal_single_rows(exact: Bench) -> None:
    shapes = [Shape(steps=1, n=2), Shape(steps=3, n=3, task_pictures=1), Shape(steps=2, n=5, seen_after=0)]
    made = [row for i, s in enumerate(shapes) for row in lay_out(exact, exact.trajectory(s, seed=i, name=f"t{i}"))]
    together = tree_scores(exact, made)
    alone = {key: score for row in made for key, score in tree_scores(exact, [row]).items()}
    assert distance(vector(together), vector(alone)) <= 1e-12


def test_one_row_per_step_gives_the_same(exact: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = exact.trajectory(Shape(steps=3, n=3, task_pictures=1, cut=0), seed=9)
    tree = tree_scores(exact, lay_out(exact, trajectory))
    monkeypatch.setattr(exact.renderer, "splits", False)
    made = lay_out(exact, trajectory)
    assert len(made) == 3
    assert distance(vector(tree_scores(exact, made)), vector(tree)) <= 1e-9


def test_lora_lands_in_the_language_model_only(exact: Bench) -> None:
    names = [name for name, weight in exact.checkpoint.model.named_parameters() if weight.requires_grad]
    assert len(names) == 2 * 3 * 2  # layers, targets, A and B
    assert all(name.startswith("model.language_model.layers.") for name in names)


def test_the_model_is_as_before_afterwards(tmp_path: Path) -> None:
    found = bench(tmp_path)
    model = found.checkpoint.model
    names, ids = [name for name, _ in model.named_modules()], torch.arange(20)[None]
    kinds = (model.config._attn_implementation, model.config.text_config._attn_implementation)
    before = model(input_ids=ids).logits
    with ExitStack() as stack:
        tuned(found, stack)
        stack.enter_context(attention.installed(model))
    assert names == [name for name, _ in model.named_modules()]
    assert kinds == (model.config._attn_implementation, model.config.text_config._attn_implementation)
    assert torch.equal(before, model(input_ids=ids).logits)


TEXTS = (Shape(steps=3, n=4), Shape(steps=2, n=3, cut=0, empty=(1, 0), length=30), Shape(steps=4, n=2, silent=1))
PICTURES = (Shape(steps=3, n=3, task_pictures=2, seen_after=1), Shape(steps=2, n=4, task_pictures=1, tie=0))


def test_every_kind_equals_one_candidate_at_a_time(each: Bench) -> None:
    """Several trajectories in one pack; gradients over all of the LoRA."""
    shapes = TEXTS if each.checkpoint.image_processor is None else TEXTS[:2] + PICTURES
    trajectories = [each.trajectory(shape, seed=i, name=f"t{i}") for i, shape in enumerate(shapes)]
    asked = [pair for t in trajectories for pair in pairs.read(t)[0]]
    made, lost = rows(trajectories, asked, each.dialect, each.renderer, 4096)
    assert not lost["cut"] and not lost["too_long"]
    tree = tree_scores(each, made)
    reference = {}
    for trajectory in trajectories:
        mine = [pair for pair in asked if pair.trajectory == trajectory.id]
        reference |= slow.all_log_probs(each, trajectory, mine)
    assert tree.keys() == reference.keys()
    assert distance(vector(tree), vector(reference)) <= 1e-9
    assert distance(gradients(each, tree, asked), gradients(each, reference, asked)) <= 1e-9
