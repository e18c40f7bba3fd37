"""Tasks that stand for several: their parts, their samples, and what users get wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bequest.build.variants import changed, picked, rotated
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.recipe.check import load
from bequest.runner.preparing import inspect, prepare

DIGITS = {"use": "digits"}
MODELS = {"student": {"use": "mlp", "hidden": [4]}}


def parts(use, **settings):
    settings = {"of": DIGITS} | settings
    spec = find("tasks", use).model_validate(settings)
    assert spec.check() == []
    return spec.load_parts("t")


def recipe(task, **more):
    return {"models": MODELS, "tasks": {"t": task}, "method": {"use": "sequential"}} | more


ROTATIONS = {"use": "rotations", "of": DIGITS, "angles": [0, 30, 60]}


def refused(given):
    with pytest.raises(RequestError) as caught:
        inspect(given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("use", "settings", "count"),
    [
        ("rotations", {"angles": [0, 45]}, 2),
        ("noise", {"levels": [0, 0.5, 1]}, 3),
        ("permutations", {"parts": 2, "seed": 3}, 2),
        ("class_splits", {"parts": 5}, 5),
        ("noise", {"of": {"use": "wine"}, "levels": [1, 2]}, 2),
        ("permutations", {"of": {"use": "wine"}}, 2),
    ],
)
def test_parts_are_tasks_of_their_own(use, settings, count):
    found = parts(use, **settings)
    assert list(found) == [f"t-{number + 1}" for number in range(count)]
    assert [task.name for task in found.values()] == list(found)
    assert len({task.fingerprint for task in found.values()}) == count
    assert len({(task.labels, task.shape, task.kind) for task in found.values()}) == 1
    every = np.concatenate([s.ids for task in found.values() for s in task.splits.values()])
    assert len(np.unique(every)) == len(every), "ids must differ between parts and sides"


@pytest.mark.parametrize(("use", "field"), [("rotations", "angles"), ("noise", "levels")])
def test_samples_of_the_same_original_share_their_unit(use, field):
    original = find("tasks", "digits")().load("d")
    first, second = parts(use, **{field: [0, 2]}).values()
    for side, split in original.splits.items():
        for part in (first, second):
            assert (part.splits[side].unit == split.ids).all()
            assert (part.splits[side].targets == split.targets).all()
    assert (first.splits["train"].inputs == original.splits["train"].inputs).all()
    assert not (second.splits["train"].inputs == original.splits["train"].inputs).all()


def test_an_id_depends_on_content_and_change_and_not_on_its_neighbours():
    alone, beside = parts("rotations", angles=[30]), parts("rotations", angles=[0, 30])
    assert (alone["t-1"].splits["test"].ids == beside["t-2"].splits["test"].ids).all()
    assert alone["t-1"].fingerprint == beside["t-2"].fingerprint


def test_a_quarter_turn_is_exact_and_anticlockwise():
    images = np.random.default_rng(0).random((3, 2, 5, 5)).astype(np.float32)
    assert np.array_equal(rotated(images, 90), np.rot90(images, 1, axes=(2, 3)))
    assert np.array_equal(rotated(images, -180), np.rot90(images, 2, axes=(2, 3)))
    oblong = images[..., :4]
    assert np.array_equal(rotated(oblong, 180), np.rot90(oblong, 2, axes=(2, 3)))


def test_a_small_turn_and_back_leaves_the_middle_about_as_it_was():
    y, x = np.indices((9, 9)) - 4
    smooth = np.exp(-(y**2 + x**2) / 12, dtype=np.float32)[None, None]
    there_and_back = rotated(rotated(smooth, 20), -20)
    assert np.abs(there_and_back - smooth)[..., 2:-2, 2:-2].max() < 0.05
    assert np.abs(rotated(smooth + x, 20) - smooth - x).max() > 0.5


def test_noise_has_its_level_and_is_the_same_whenever_it_is_asked_for():
    clean, rough, rougher = parts("noise", levels=[0, 0.5, 1.0]).values()
    noise = rough.splits["train"].inputs - clean.splits["train"].inputs
    assert abs(noise.std() - 0.5) < 0.01
    assert abs(noise.mean()) < 0.01
    twice = rougher.splits["train"].inputs - clean.splits["train"].inputs
    assert np.allclose(twice, 2 * noise, atol=1e-5)
    again = parts("noise", levels=[0.5])["t-1"]
    assert (again.splits["test"].inputs == rough.splits["test"].inputs).all()


def test_a_permutation_is_fixed_and_moves_pixels_of_all_samples_alike():
    first, second = parts("permutations", parts=2).values()
    original = find("tasks", "digits")().load("d").splits["test"].inputs
    assert (first.splits["test"].inputs == original).all()
    moved = second.splits["test"].inputs
    assert not (moved == original).all()
    assert np.array_equal(
        np.sort(moved.reshape(len(moved), -1)), np.sort(original.reshape(len(moved), -1))
    )
    marked = np.unique(original.reshape(len(original), -1), axis=1).shape
    assert np.unique(moved.reshape(len(moved), -1), axis=1).shape == marked
    other = parts("permutations", parts=2, first_as_is=False)["t-1"].splits["test"].inputs
    assert not (other == original).all()


def test_class_splits_keep_the_label_space_and_share_out_every_sample():
    found = parts("class_splits", parts=3)
    original = find("tasks", "digits")().load("d")
    occurring = [set(task.splits["test"].targets.tolist()) for task in found.values()]
    assert occurring == [{0, 1, 2, 3}, {4, 5, 6}, {7, 8, 9}]
    for side, split in original.splits.items():
        together = np.concatenate([task.splits[side].ids for task in found.values()])
        assert sorted(together.tolist()) == sorted(split.ids.tolist())


def test_a_long_tail_thins_training_only_and_falls_evenly_on_a_log_scale():
    spec = find("tasks", "long_tail")(of=DIGITS, ratio=20)
    task, original = spec.load("t"), find("tasks", "digits")().load("d")
    counts = np.bincount(task.splits["train"].targets)
    before = np.bincount(original.splits["train"].targets)
    assert counts.tolist() == [
        min(now, round(before.max() * 20 ** (-label / 9))) for label, now in enumerate(before)
    ]
    assert (task.splits["test"].ids == original.splits["test"].ids).all()
    assert task.name == "t"


def test_pictures_on_disk_are_changed_when_they_are_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(10):
            pixels = rng.integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    base = {"use": "images", "path": str(tmp_path), "size": 8, "channels": 1}
    task = parts("rotations", of=base, angles=[90])["t-1"]
    lazy = find("tasks", "rotations").model_validate({"of": base, "angles": [90]})
    split = lazy.original("t").splits["train"]
    on_demand = _OnDemand(split.inputs)
    late = changed(replace(split, inputs=on_demand), lambda each, ids: rotated(each, 90), "k")
    assert late.inputs.shape == task.splits["train"].inputs.shape
    assert np.array_equal(late.inputs[2:5], task.splits["train"].inputs[2:5])
    assert np.array_equal(late.inputs[3], task.splits["train"].inputs[3])
    few = picked(replace(split, inputs=on_demand), np.array([4, 1]))
    assert np.array_equal(few.inputs[:], split.inputs[[4, 1]])
    assert np.array_equal(few.inputs[np.array([1])], split.inputs[[1]])


class _OnDemand:
    def __init__(self, array):
        self._array = array

    shape = property(lambda self: self._array.shape)

    def __len__(self):
        return len(self._array)

    def __getitem__(self, rows):
        return self._array[rows]


def test_a_step_may_name_the_entry_or_its_parts():
    step = {"name": "s", "method": {"use": "sequential"}}
    steps = [
        {**step, "tasks": ["t"]},
        {**step, "name": "r", "tasks": ["t-3", "t-1"]},
        {**step, "name": "q"},
    ]
    plan = load({"models": MODELS, "tasks": {"t": ROTATIONS}, "steps": steps})
    assert [step.tasks for step in plan.steps] == [
        ("t-1", "t-2", "t-3"),
        ("t-3", "t-1"),
        ("t-1", "t-2", "t-3"),
    ]
    assert plan.entries == {"t-1": "t", "t-2": "t", "t-3": "t"}
    assert load(plan.resolved).resolved == plan.resolved


def test_the_gate_knows_parts_before_anything_runs():
    inspect(recipe(ROTATIONS, gate=["accuracy(t-3) >= 0.5"]))
    assert "unknown task `t-4`" in refused(recipe(ROTATIONS, gate=["accuracy(t-4) >= 0.5"]))


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"of": {"use": "digit"}}, "tasks.t.of.use: unknown task `digit`; known are"),
        ({"of": {"use": "digits", "tset": 0.1}}, "tasks.t.of.tset: unknown field"),
        ({"of": {"use": "digits", "test": 2}}, "tasks.t.of.test: must be less than 1, but is 2"),
        ({"of": {}}, "tasks.t.of.use: is missing"),
        ({"of": "digits"}, "tasks.t.of: there is no task `digits` in the recipe"),
        ({"of": ROTATIONS}, "tasks.t.of.use: `rotations` is a sequence itself"),
        ({"of": {**DIGITS, "purpose": "probe"}}, "tasks.t.of.purpose: the purpose is that of the"),
        ({"angles": []}, "tasks.t.angles: must be a list of at least 1"),
        ({"angles": [1, 2, 1]}, "tasks.t.angles[2]: 1 is there twice; keep one"),
        ({"angles": [400]}, "tasks.t.angles[0]: must be at most 360, but is 400"),
        ({"of": {"use": "csv", "path": "nowhere.csv"}}, "tasks.t.of.path: "),
    ],
)
def test_mistakes_in_a_sequence_are_said_at_their_place(task, said):
    assert said in refused(recipe(ROTATIONS | task))


def test_mistakes_that_need_the_data_are_said_at_the_entry():
    for task, said in (
        ({"use": "rotations", "of": {"use": "wine"}, "angles": [0, 9]}, "tasks.t.of.use: `rotat"),
        ({"use": "class_splits", "of": DIGITS, "parts": 11}, "tasks.t.parts: there are 10 classes"),
    ):
        draft, plan = inspect(recipe(task))
        with pytest.raises(RequestError) as caught:
            prepare(draft, plan)
        assert said in str(caught.value)


def test_the_same_task_twice_and_two_tasks_of_one_name():
    step = {"name": "s", "method": {"use": "sequential"}}
    given = {
        "models": MODELS,
        "tasks": {"t": ROTATIONS},
        "steps": [{**step, "tasks": ["t", "t-2"]}],
    }
    assert "steps[0].tasks[1]: task `t-2` is there twice: by `t` and by `t-2`" in refused(given)
    given = {"models": MODELS, "tasks": {"t": ROTATIONS, "t-2": DIGITS}, "steps": [step]}
    assert "tasks.t-2: there are two tasks `t-2`: by `t` and by `t-2`" in refused(given)


def test_a_sequence_of_one_task_is_refused():
    said = refused(recipe(DIGITS))
    assert "needs 2 tasks with the purpose `learn`, but there is only 1" in said
    assert "rotations" in said


def test_other_label_spaces_are_refused_at_the_entry():
    tasks = {"t": ROTATIONS, "w": {"use": "noise", "of": {"use": "wine"}, "levels": [0, 1]}}
    draft, plan = inspect({"models": MODELS, "tasks": tasks, "method": {"use": "sequential"}})
    with pytest.raises(RequestError, match=r"tasks\.w: its labels differ from those of `t-1`"):
        prepare(draft, plan)
