"""Rows: tokens, positions, what fits and what is cut."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from models import CHAT_TEMPLATE
from sport import pairs
from sport.errors import InputError
from sport.tune import pack
from sport.tune.layout import place
from sport.tune.pack import rows, sft_rows
from sport.tune.row import Row
from sport.tune.tree import Fork, Tree, Turn
from sport.types import Message, Text, Trajectory
from tune.trees import Bench, Shape, bench


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("model"), "float32")


def lay_out(found: Bench, *trajectories: Trajectory, limit: int = 4096) -> tuple[list[Row], Counter[str]]:
    asked = [pair for t in trajectories for pair in pairs.read(t)[0]]
    return rows(trajectories, asked, found.dialect, found.renderer, limit)


def path(row: Row, number: int) -> list[int]:
    """Places from the root to the end of completion ``number``; its last token is not among them."""
    places = row.completions[number].predicting
    return [*range(places[0]), *places]


def test_a_path_through_the_tree_is_that_conversation_rendered_alone(found: Bench) -> None:
    trajectory = found.trajectory(Shape(steps=3, n=3, task_pictures=1, seen_after=0, cut=1), seed=1)
    (row,), _ = lay_out(found, trajectory)
    for number, completion in enumerate(row.completions):
        _, step, candidate = completion.identity
        action = trajectory.steps[step].candidates[candidate].action
        history = found.dialect.history(trajectory.task, trajectory.steps[:step])
        alone = (*found.renderer.prompt(history).ids, *found.renderer.completion(action.raw, action.finished))
        assert (*row.ids[path(row, number)].tolist(), completion.targets[-1]) == alone


def test_positions_are_those_of_transformers(found: Bench) -> None:
    trajectory = found.trajectory(Shape(steps=3, n=3, task_pictures=2, seen_after=1), seed=2)
    (row,), _ = lay_out(found, trajectory)
    grids = torch.tensor([found.renderer.picture(file).grid for file in row.images])
    for number in range(len(row.completions)):
        places = path(row, number)
        ids = torch.from_numpy(row.ids[places])[None]
        kinds = (ids == found.renderer.image_id).int()
        expected, _ = found.checkpoint.model.model.get_rope_index(ids, kinds, image_grid_thw=grids)
        assert np.array_equal(row.positions[:, places], expected[:, 0].numpy())


def test_text_counts_up_and_a_picture_counts_along_its_axes() -> None:
    positions, after = place([7, 9, 9, 9, 9, 9, 9, 7], [(1, 2, 3)], image=9, start=10)
    assert positions[0].tolist() == [10, 11, 11, 11, 11, 11, 11, 14]
    assert positions[1].tolist() == [10, 11, 11, 11, 12, 12, 12, 14]
    assert positions[2].tolist() == [10, 11, 12, 13, 11, 12, 13, 14]
    assert after == 15


def test_all_candidates_of_a_step_are_predicted_from_one_place(found: Bench) -> None:
    (row,), _ = lay_out(found, found.trajectory(Shape(steps=1, n=5), seed=3))
    assert len({completion.predicting[0] for completion in row.completions}) == 1


def test_an_empty_candidate_has_no_targets(found: Bench) -> None:
    trajectory = found.trajectory(Shape(steps=1, n=3, empty=(0, 1)), seed=4)
    (row,), _ = lay_out(found, trajectory)
    assert next(c for c in row.completions if c.identity[2] == 1).targets == ()


def test_pairs_point_at_their_completions(found: Bench) -> None:
    trajectory = found.trajectory(Shape(steps=3, n=4, tie=1), seed=5)
    (row,), _ = lay_out(found, trajectory)
    named = [(row.completions[c].identity, row.completions[r].identity) for c, r in row.pairs]
    asked = pairs.read(trajectory)[0]
    assert named == [((p.trajectory, p.step, p.chosen), (p.trajectory, p.step, p.rejected)) for p in asked]


def test_too_long_is_cut_at_a_step_counted_and_named(found: Bench, caplog: pytest.LogCaptureFixture) -> None:
    trajectory = found.trajectory(Shape(steps=4, n=3), seed=6)
    (whole,), lost = lay_out(found, trajectory)
    assert not lost
    (short,), lost = lay_out(found, trajectory, limit=len(whole) - 1)
    assert len(short) < len(whole)
    assert lost == Counter(cut=1, pairs=2)
    assert len(short.pairs) == len(whole.pairs) - 2
    kept = len(short.ids[short.segment == 0])
    assert short.ids[:kept].tolist() == whole.ids[:kept].tolist()
    none, lost = lay_out(found, trajectory, limit=10)
    assert not none
    assert lost == Counter(too_long=1, pairs=len(whole.pairs))
    assert caplog.messages[-1] == "longer than max_row_tokens = 10, so cut at a step or left out: t0"


@pytest.mark.parametrize("limit", range(40, 400, 23))
def test_no_row_is_longer_than_allowed(found: Bench, limit: int) -> None:
    made, _ = lay_out(
        found, *(found.trajectory(Shape(steps=4, n=4), seed=i, name=f"t{i}") for i in range(3)), limit=limit
    )
    assert all(len(row) <= limit for row in made)


def test_trajectories_without_pairs_give_no_row(found: Bench) -> None:
    made, lost = lay_out(found, found.trajectory(Shape(steps=1, n=3, silent=0), seed=7))
    assert not made and not lost


def test_sft_learns_the_trunk_and_has_no_leaves(found: Bench) -> None:
    trajectory = found.trajectory(Shape(steps=3, n=3, silent=1), seed=8)
    (row,), _ = sft_rows([trajectory], found.dialect, found.renderer, 4096)
    assert not row.segment.any() and not row.pairs
    assert [c.identity for c in row.completions] == [("t0", s.index, s.trunk.index) for s in trajectory.steps]


def test_where_a_template_rewrites_turns_every_step_has_a_row(
    found: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(found.renderer, "splits", False)
    made, lost = lay_out(found, found.trajectory(Shape(steps=3, n=3), seed=9))
    assert len(made) == 3 and not lost
    assert all(len(row.pairs) == 2 for row in made)
    assert "one row per step" in caplog.text


THINKING = CHAT_TEMPLATE.replace(  # as Qwen3's does: reasoning in earlier turns is dropped
    "{{ message['content'] }}",
    "{{ message['content'].split('</think>')[-1] if loop.index0 < messages | length - 2 else message['content'] }}",
)


def test_a_template_that_rewrites_some_turns_is_caught_trajectory_by_trajectory(
    found: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(found.checkpoint.tokenizer, "chat_template", THINKING)
    other = Bench(found.checkpoint, found.blobs)
    plain = other.trajectory(Shape(steps=3, n=2), seed=10, name="plain")
    data = other.trajectory(Shape(steps=3, n=2), seed=11, name="thinks").model_dump()
    for candidate in data["steps"][0]["candidates"]:
        candidate["action"]["raw"] = "<think>so</think>" + candidate["action"]["raw"]
    thinks = Trajectory.model_validate(data)
    made, lost = lay_out(other, plain, thinks)
    assert [row.trajectory for row in made] == ["plain", "thinks", "thinks", "thinks"]
    assert lost == Counter(rewritten=1) and "1 trajectories" in caplog.text
    for row, step in zip(made[1:], range(3), strict=True):
        history = other.dialect.history(thinks.task, thinks.steps[:step])
        assert row.ids[row.segment == 0].tolist() == list(other.renderer.prompt(history).ids)


def test_a_picture_that_cannot_be_read_names_its_trajectory(found: Bench) -> None:
    trajectory = found.trajectory(Shape(task_pictures=1), seed=12, name="t12")
    found.blobs[trajectory.task.files[0].sha256] = b"\x89PNG\r\n\x1a\n cut off"
    other = Bench(found.checkpoint, found.blobs)
    with pytest.raises(InputError, match=r"t12: scene0\.png: not a picture"):
        lay_out(other, trajectory)


def message(text: str) -> Message:
    return Message(role="user", parts=(Text(text=text),))


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        (Tree("t", (message("?"),), ()), "t: an empty trajectory"),
        (Tree("t", (), (Fork(0, Turn(0, "a")),)), "t: an empty trajectory"),
        (Tree("t", (message("?"),), (Fork(0, Turn(0, "a"), (Turn(1, "a"),)),)), "candidate 1 is chosen and rejected"),
        (Tree("t", (message("?"),), (Fork(0, Turn(0, "a"), (Turn(0, "b"),)),)), "two candidates have one number"),
        (Tree("t", (message("?"),), (Fork(0, Turn(0, "a")), Fork(0, Turn(0, "b")))), "two steps have one number"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused_by_name(found: Bench, tree: Tree, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        pack.lay_out([tree], found.renderer, 4096)


def test_several_messages_may_stand_between_two_steps(found: Bench) -> None:
    after = (message("Observation: 1"), message("Hint: look again"))
    forks = (Fork(0, Turn(0, "a"), after=after), Fork(1, Turn(0, "b"), (Turn(1, "c"),)))
    tree = Tree("t", (message("?"),), forks)
    (row,), _ = pack.lay_out([tree], found.renderer, 4096)
    history = found.renderer.prompt(tree.history(1)).ids
    assert tuple(row.ids[: len(history)].tolist()) == history
