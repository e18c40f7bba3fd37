"""DKT, SAKT and CAKT: what they may look at, and that padding and company change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from workbench import bench, fit_settings

from bequest.build.models.mlp import Mlp
from bequest.build.tasks.trace import Trace
from bequest.build.trace_histories import Histories, padded
from bequest.build.tracer import log_odds, summed_nll
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.lazy import functional, torch
from bequest.methods.trace.cakt import CaktNetwork, _convolved, recent_places
from bequest.methods.trace.dkt import DktNetwork
from bequest.methods.trace.sakt import SaktNetwork
from bequest.ops.ranking import area_under_curve

NAMES = tuple("abcde")
SPECS = {
    "dkt": DktNetwork(width=6),
    "sakt": SaktNetwork(width=8, heads=2, blocks=2),
    "cakt": CaktNetwork(side=3, kept=3),
    "next": CaktNetwork(side=3, kept=3, frames="next", decay="positive"),
}
specs = pytest.mark.parametrize("name", SPECS)


def made(name, seed=0):
    torch.manual_seed(seed)
    model = SPECS[name].build((30,), "answers", NAMES)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.module.double().eval()
    return model


def invented(lengths, seed=0, repeats=False):
    rng = np.random.default_rng(seed)
    size = sum(lengths)
    rises = rng.random(size) < 0.7 if repeats else np.ones(size, bool)
    starts = np.cumsum([0, *lengths[:-1]])
    question = np.concatenate(
        [np.cumsum(rises[at : at + n]) for at, n in zip(starts, lengths, strict=True)]
    )
    concept, right = rng.integers(0, len(NAMES), size), rng.integers(0, 2, size)
    return Histories(NAMES, np.array(lengths), concept, right, question)


def changed(histories, at):
    """Another answer to the question of the entry `at`, and other concepts after the next one."""
    right = np.where(histories.question >= histories.question[at], 1 - histories.right,
                     histories.right)  # fmt: skip
    later = histories.question > histories.question[at]
    concept = np.where(later, (histories.concept + 1) % len(NAMES), histories.concept)
    return replace(histories, right=right, concept=concept)


@specs
@pytest.mark.parametrize("repeats", [False, True])
def test_no_answer_is_seen_before_it_is_given(name, repeats):
    model, histories = made(name), invented([14], repeats=repeats)
    before = log_odds(model, histories)
    predicted = np.flatnonzero(histories.before() >= 0)
    for at in range(1, 14):
        same = histories.question[predicted] <= histories.question[at]
        after = log_odds(model, changed(histories, at))
        assert after[same] == pytest.approx(before[same], abs=1e-12)
    assert not np.allclose(log_odds(model, changed(histories, 0)), before)


@specs
def test_padding_and_company_change_nothing(name):
    model, histories = made(name), invented([3, 12, 2, 7])
    together = log_odds(model, histories)
    alone = [log_odds(model, histories[[row]]) for row in range(4)]
    assert together == pytest.approx(np.concatenate(alone), abs=1e-10)
    assert np.isfinite(together).all()


@specs
def test_two_evaluations_are_the_same(name):
    model, histories = made(name), invented([9, 5])
    assert (log_odds(model, histories) == log_odds(model, histories)).all()


@specs
def test_renumbered_concepts_are_found_by_name(name):
    model, histories = made(name), invented([10])
    order = np.array([3, 1, 4, 0, 2])  # new place of each old concept
    names = tuple(NAMES[list(order).index(place)] for place in range(5))
    other = replace(histories, names=names, concept=order[histories.concept])
    assert (log_odds(model, other) == log_odds(model, histories)).all()


@specs
def test_an_unknown_concept_is_refused(name):
    strange = replace(invented([6]), names=(*NAMES[:-1], "aa"), concept=np.full(6, 4))
    with pytest.raises(RequestError, match=r"concepts `aa` are unknown.*did you mean `a`"):
        log_odds(made(name), strange)


@specs
def test_every_parameter_learns_and_padding_has_no_part_in_it(name):
    model, histories = made(name), invented([8, 20])
    model.module.train()
    for layer in model.module.modules():
        if isinstance(layer, torch.nn.Dropout | torch.nn.MultiheadAttention):
            layer.eval()
            layer.dropout = 0.0
    total, count = summed_nll(model, histories)
    assert count == 26
    total.backward()
    idle = {n for n, p in model.module.named_parameters() if p.grad is None}
    assert not idle


def test_the_asked_score_is_that_of_all_scores():
    model, histories = made("dkt"), invented([6, 9])
    steps = padded(histories)
    hidden, _ = model.layers["lstm"](model.layers["embedding"](steps.codes(5)))
    whole = model.layers["out"](hidden)
    asked = functional.one_hot(steps.concept[:, 1:], 5)
    expected = (whole * asked).sum(-1)[steps.before[:, 1:] >= 0]
    assert torch.allclose(model.asked(steps), expected)


def test_recent_places_are_those_of_the_concept():
    concept = np.array([0, 1, 0, 0, 1, 2])
    steps = padded(Histories(NAMES, np.array([6]), concept, concept * 0, np.arange(6)))
    places, now = recent_places(steps, 3, "current")
    assert places[0].tolist() == [[-1, -1, 0], [-1, -1, 1], [-1, 0, 2], [0, 2, 3], [-1, 1, 4]]
    assert now.tolist() == [0, 1, 2, 3, 4]
    places, now = recent_places(steps, 3, "next")
    assert places[0].tolist() == [[-1] * 3, [-1, -1, 0], [-1, 0, 2], [-1, -1, 1], [-1] * 3]
    assert now.tolist() == [1, 2, 3, 4, 5]


def test_fading_leaves_all_frames_or_only_the_newest():
    model, histories = made("cakt"), invented([12])
    steps = padded(histories)
    embedded = model.layers["embedding"](steps.codes(5))
    places, _ = recent_places(steps, 3, "current")
    counts = (places[0] >= 0).sum(dim=1)
    with torch.no_grad():
        model.layers["decay"][0].fill_(0.0)
        frames = model.frames(steps, embedded)[:, 0].flatten(2)
        for step, count in enumerate(counts.tolist()):  # missing frames are zero and come first
            assert (frames[step, : 3 - count] == 0).all()
            kept = places[0, step, 3 - count :]
            assert torch.equal(frames[step, 3 - count :], embedded[0, kept])
        model.layers["decay"][0].fill_(80.0)
        frames = model.frames(steps, embedded)[:, 0].flatten(2)
    assert frames[:, :-1].abs().max() < 1e-30
    assert torch.equal(frames[:, -1], embedded[0])


@pytest.mark.parametrize("kept", [2, 3, 8, 9])
def test_a_convolution_over_time_is_one_over_space_with_banded_weights(kept):
    torch.manual_seed(0)
    frames = torch.randn(2, 3, kept, 4, 4, dtype=torch.float64)
    weight = torch.randn(2, 3, 3, 3, 3, dtype=torch.float64)
    expected = functional.conv3d(frames, weight, padding=1)
    assert torch.allclose(_convolved(frames, weight), expected)


def test_a_history_longer_than_sakt_reads_is_refused():
    model = SaktNetwork(width=8, heads=2).build((5,), "answers", NAMES)
    with pytest.raises(RequestError, match=r"write `longest: 5`"):
        log_odds(model, invented([9]))


def test_settings_that_cannot_be():
    assert SaktNetwork(width=10, heads=4).check()
    with pytest.raises(RequestError, match=r"takes histories of answers"):
        CaktNetwork().build((1, 8, 8), "image", NAMES)


@pytest.mark.parametrize("name", ["dkt", "sakt", "cakt"])
def test_training_learns_and_keeps_the_best_epoch(name, tmp_path):
    task = Trace(generated={"students": 120, "concepts": 4, "active": 2, "answers": 15}).load("t")
    small = {
        "dkt": DktNetwork(width=12),
        "sakt": SaktNetwork(width=16, heads=2),
        "cakt": CaktNetwork(side=3),
    }[name]
    torch.manual_seed(0)
    model = small.build(task.shape, task.kind, task.labels)
    work = bench(tmp_path, models={"student": model}, tasks=[task],
                 settings=fit_settings(epochs=5, batch_size=16))  # fmt: skip
    (stage,) = find("methods", name)().transfer(work)
    assert stage.learned == "t"
    points = [point["value"] for point in work.fits[0].curves]
    assert np.mean(points[-5:]) < np.mean(points[:5])
    assert work.fits[0].best > 0.5


def test_a_network_of_another_method_is_refused(tmp_path):
    task = Trace(generated={"students": 40}).load("t")
    model = DktNetwork(width=4).build(task.shape, task.kind, task.labels)
    work = bench(tmp_path, models={"student": model}, tasks=[task])
    with pytest.raises(RequestError, match=r"use method `dkt`"):
        next(find("methods", "cakt")().transfer(work))


def test_area_under_curve_pools_students_and_halves_ties():
    scores, right = np.array([3.0, 2.0, 1.0, 1.0]), np.array([1, 0, 1, 0])
    one = np.full(4, 0.25)
    assert float(area_under_curve(scores, right, one)) == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    rng = np.random.default_rng(0)
    scores, right = rng.integers(0, 8, 60).astype(float), rng.integers(0, 2, 60)
    weights = rng.random((5, 60))
    beats = (scores[:, None] > scores) + 0.5 * (scores[:, None] == scores)
    for row, found in zip(weights, area_under_curve(scores, right, weights), strict=True):
        good, bad = row * right, row * (1 - right)
        assert found == pytest.approx(good @ beats @ bad / (good.sum() * bad.sum()))
    # Two students who are each ranked perfectly, on scales of their own: pooled, they are not.
    halves = area_under_curve(np.array([1.0, 2, 11, 12]), np.array([0, 1, 0, 1]), one)
    assert float(halves) == pytest.approx(0.75)
    assert np.isnan(area_under_curve(np.ones(3), np.ones(3), np.ones(3)))


def test_a_model_of_other_inputs_says_so_in_a_recipe():
    assert "answers" not in Mlp.takes
    assert DktNetwork().kinds() == {"answers"}
