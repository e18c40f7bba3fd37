"""One last layer per task: masks, isolation, saving, and models that can't have them."""

from __future__ import annotations

import copy

import pytest

from bequest.build.heads import (
    NEVER,
    NotLearned,
    head_names,
    headed,
    one_head_per_task,
    with_heads,
)
from bequest.build.model import Classifier, align, own_labels
from bequest.core.errors import RequestError
from bequest.lazy import torch

INPUTS = torch.arange(20.0).reshape(5, 4) / 20
LABELS = ("a", "b", "c")


def classifier(*, bias=True, seed=0):
    torch.manual_seed(seed)
    nn = torch.nn
    return Classifier(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3, bias=bias)), LABELS)


def with_tasks(model=None, **occurring):
    model = one_head_per_task(model or classifier())
    for name, labels in occurring.items():
        model.add(name, model.new_head(), labels)
    return model


def test_each_task_has_its_own_answers_and_the_trunk_is_one():
    model = with_tasks(first="abc", second="abc")
    first, second = (model.for_task(name).logits(INPUTS) for name in ("first", "second"))
    assert not torch.equal(first, second)
    assert torch.equal(model.logits(INPUTS), second), "without a task the newest answers"
    assert model.for_task("first").module is model.module
    assert model.heads == ("first", "second")


def test_several_heads_in_one_pass_answer_as_each_does():
    model = with_tasks(first="ab", second="abc", third="c")
    names = ["third", "first"]
    together = model.each(names, INPUTS)
    assert together.shape == (2, 5, 3)
    for name, logits in zip(names, together, strict=True):
        assert torch.equal(logits, model.for_task(name).logits(INPUTS))
    assert torch.equal(model.logits(INPUTS), model.for_task("third").logits(INPUTS))


def test_labels_that_never_occur_have_no_chance_and_a_finite_loss():
    model = with_tasks(part="bc")
    logits = model.for_task("part").logits(INPUTS)
    assert (logits[:, 0] == NEVER).all()
    assert (logits[:, 1:] != NEVER).all()
    assert torch.isfinite(logits.half()).all()
    assert logits.softmax(dim=1)[:, 0].eq(0).all()


def test_masks_are_by_name_where_the_tasks_order_labels_otherwise():
    model = with_tasks(align(classifier(), ("c", "a", "b")), part=["a", "c"])
    logits = model.for_task("part").logits(INPUTS)
    assert (logits == NEVER).all(dim=0).tolist() == [False, False, True]
    assert model.labels == ("c", "a", "b")
    assert own_labels(model) == LABELS


def test_a_task_without_a_head_is_not_learned():
    model = with_tasks(first="abc")
    for ask in (model.for_task, lambda name: model.each([name], INPUTS)):
        with pytest.raises(NotLearned, match="no head for `later`: it was not learned yet"):
            ask("later")
    with pytest.raises(LookupError):
        model.for_task("later")


def test_training_one_head_leaves_the_others_bit_for_bit():
    model = with_tasks(first="abc", second="abc")
    before = copy.deepcopy(model.module.state_dict())
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=0.1, weight_decay=0.1)
    model.for_task("second").logits(INPUTS).square().sum().backward()
    optimizer.step()
    moved = {
        name for name, value in model.module.state_dict().items()
        if not torch.equal(value, before[name])
    }  # fmt: skip
    assert moved == {"0.weight", "0.bias", "2.heads.for-second.weight", "2.heads.for-second.bias"}


@pytest.mark.parametrize("bias", [True, False])
def test_state_dicts_carry_heads_and_masks_into_a_model_built_alike(bias):
    model = with_tasks(classifier(bias=bias), first="ab", second="c")
    generator = torch.get_rng_state()
    other = with_heads(classifier(bias=bias, seed=1), head_names(model))
    other.module.load_state_dict(model.module.state_dict())
    for name in ("first", "second"):
        assert torch.equal(model.for_task(name).logits(INPUTS), other.for_task(name).logits(INPUTS))
    torch.set_rng_state(generator)


def test_making_room_for_heads_draws_no_random_numbers():
    model, before = classifier(), torch.get_rng_state()
    with_heads(model, ["x"])
    assert torch.equal(torch.get_rng_state(), before)


def test_models_without_heads_stay_themselves():
    model = classifier()
    assert headed(model) is model
    assert head_names(model) == ()
    assert with_heads(model, []) is model


def test_a_model_with_heads_is_known_by_its_module():
    model = with_tasks(first="abc")
    again = headed(Classifier(model.module, LABELS))
    assert again.heads == ("first",)
    assert one_head_per_task(again) is again


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.Linear(4, 3),
        torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 7)),
        torch.nn.Sequential(torch.nn.Conv1d(1, 3, 4), torch.nn.Flatten()),
    ],
)
def test_a_model_whose_logits_come_from_no_inner_linear_layer_is_refused(module):
    with pytest.raises(RequestError, match="can't have one head per task") as caught:
        one_head_per_task(Classifier(module, LABELS))
    assert "heads: shared" in str(caught.value)


def test_copies_of_a_model_with_heads_are_apart():
    model = with_tasks(first="abc")
    twin = copy.deepcopy(model)
    twin.add("second", twin.new_head(), LABELS)
    assert model.heads == ("first",)
    assert twin.module is twin.inner.module
    assert twin.module is not model.module
