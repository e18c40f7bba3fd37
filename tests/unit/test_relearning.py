"""The audit `relearn`: what is learned again, what is asked for, and the scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from workbench import bench, weights

from bequest.build.tasks.audits.relearn import Relearn
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.outcomes import Outcomes
from bequest.lazy import torch
from bequest.transfer.relearning import area, scores

FACTS = [{"question": f"q{number}?", "answer": f"a{number}"} for number in range(10)]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "facts.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in FACTS))
    return str(file)


def relearn(path, **settings):
    return Relearn(of={"use": "qa", "path": path, "purpose": "forget"}, **settings)


def test_facts_are_learned_again_or_asked_for_never_both(path):
    task = relearn(path, share=0.3).load("again")
    learned, asked = (set(task.splits[side].ids.tolist()) for side in ("train", "test"))
    assert (len(learned), len(asked)) == (3, 7)
    assert not learned & asked
    assert task.purpose == "probe"
    assert any("3 samples are learned again" in note for note in task.notes)


def test_the_part_depends_on_content_and_seed_not_on_the_order_of_lines(path, tmp_path):
    turned = tmp_path / "turned.jsonl"
    turned.write_text("".join(json.dumps(one) + "\n" for one in FACTS[::-1]))
    parts = {
        name: set(relearn(where, split_seed=seed).load("again").splits["train"].ids.tolist())
        for name, where, seed in (("a", path, 0), ("b", str(turned), 0), ("c", path, 1))
    }
    assert parts["a"] == parts["b"] != parts["c"]


def test_a_task_with_a_test_side_of_its_own_is_asked_for_whole():
    task = Relearn(of={"use": "digits"}, share=0.1).load("again")
    digits = find("tasks", "digits")().load("digits")
    assert len(task.splits["test"]) == len(digits.splits["test"])
    assert len(task.splits["train"]) == round(0.1 * len(digits.splits["train"]))
    assert (task.asks, task.labels) == ("logits", digits.labels)


def test_every_setting_counts_in_the_fingerprint(path):
    changes = ({}, {"steps": (0, 3)}, {"lr": 0.1}, {"share": 0.4}, {"batch_size": 3},
               {"clip_norm": 2.0}, {"split_seed": 5})  # fmt: skip
    prints = [relearn(path, **change).load("again").fingerprint for change in changes]
    assert len(set(prints)) == len(changes)


def test_the_score_is_the_first_that_a_task_records():
    def recorded(**columns):
        return scores(Outcomes(np.arange(2), {k: np.array(v) for k, v in columns.items()})).tolist()

    assert recorded(nll=[2.0, 3.0], correct=[1, 0]) == [1, 0]
    assert recorded(probability=[0.5, 1.0], rouge_l_recall=[0.25, 0.0]) == [0.25, 0]
    assert recorded(text_nll=[0.0, np.log(4)], tokens=[1, 2]) == pytest.approx([1, 0.5])
    with pytest.raises(RequestError, match="no score"):
        recorded(words=[1, 2])


def test_the_area_is_a_mean_over_steps():
    each = [np.array(values, np.float32) for values in ([0, 1], [1, 1], [1, 0])]
    assert area((0, 2, 10), each) == pytest.approx([0.9, 0.6])
    assert area((5,), each[:1]).tolist() == [0, 1]


def test_a_copy_learns_and_the_model_stays(tmp_path):
    settings = {"steps": (0, 5, 30), "batch_size": 32, "lr": 0.01}
    task = Relearn(of={"use": "wine"}, **settings).load("again")
    student = find("models", "mlp")(hidden=(8,)).build(task.shape, task.kind, task.labels)
    for frozen in (False, True):
        student.module.requires_grad_(not frozen)
        before = weights(student)
        found = task.audit(student, bench(tmp_path / str(frozen), models={"student": student},
                                          tasks=[task], settings=task.fit))  # fmt: skip
        assert all(torch.equal(before[name], now) for name, now in weights(student).items())
        means = [found.columns[f"after_{step}"].mean() for step in (0, 5, 30)]
        assert means[2] > means[0] + 0.2
        assert found.columns["relearned"].mean() == pytest.approx(max(means))
        assert min(means) < found.columns["relearn_area"].mean() < max(means)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"steps": (0, 2, 2)}, "must rise"), ({"steps": (0,)}, "must rise"),
     ({"share": 0.01}, "0 would be learned again"), ({"share": 0.99}, "0 asked for"),
     ({"purpose": "forget"}, "only probes")],
)  # fmt: skip
def test_mistakes(settings, said, path):
    spec = relearn(path, **settings)
    with pytest.raises(RequestError, match=said):
        if problems := spec.check():
            raise RequestError(problems)
        spec.load("again")


@pytest.mark.parametrize(
    ("of", "said"),
    [({"use": "complete", "prompts": ["x"]}, "asks `complete`"),
     ({"use": "qa", "path": "nowhere.jsonl"}, "doesn't exist"),
     ({"use": "rotations", "of": {"use": "digits"}, "angles": [0, 90]}, "is a sequence")],
)  # fmt: skip
def test_mistakes_of_the_other_task(of, said):
    assert any(said in problem.what for problem in Relearn(of=of).check())
