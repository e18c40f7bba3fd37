"""General transfer: what must hold of partition, loss and transfer whatever the numbers."""

from __future__ import annotations

import pytest
import workbench
from pydantic import ValidationError

from bequest.core.errors import RequestError
from bequest.lazy import functional, torch
from bequest.methods.distill._calibration import fitted_temperature
from bequest.methods.distill._slow_weights import SlowWeights
from bequest.methods.distill.general_transfer import GeneralTransfer, choose, flips
from bequest.ops.divergences import kl_from_logits
from bequest.transfer.bench import freeze
from bequest.transfer.terms import total, weighed

PARTITIONS = ["supervised", "unsupervised", "none", "self", "flip-st", "flip-t", "flip-avg"]
COUNT, LABELS = 60, 5


def samples(seed=0, teachers=1):
    """Current logits, initial logits, teachers' logits, labels; float64."""
    rng = torch.Generator().manual_seed(seed)
    shape = (teachers + 2, COUNT, LABELS)
    current, initial, *said = torch.randn(shape, generator=rng, dtype=torch.float64).mul(2).unbind()
    targets = torch.randint(LABELS, (COUNT,), generator=rng)
    return current.requires_grad_(), initial, torch.stack(said), targets


def goal(partition, current, initial, teachers, targets):
    return GeneralTransfer(partition=partition).target(initial, teachers, current, targets)


def loss(method, current, initial, teachers, targets):
    return total(weighed(method.terms(current, initial, teachers, targets)))


def gradient(method, current, *rest):
    return torch.autograd.grad(loss(method, current, *rest), current)[0]


def probability(logits, label):
    return float(logits.softmax(dim=0)[label])


def by_hand(partition, current, initial, teachers, targets):
    """The target, sample by sample, after the card's words."""
    rows = []
    for now, mine, theirs, label in zip(current, initial, teachers[0], targets, strict=True):
        right, taught = int(now.argmax()) == label, int(theirs.argmax()) == label
        averaged = (now + theirs) / 2 if right == taught else theirs if taught else mine
        rows.append(
            {
                "none": theirs,
                "self": mine,
                "supervised": theirs
                if probability(theirs, label) > probability(mine, label)
                else mine,
                "unsupervised": theirs if theirs.softmax(0).max() > mine.softmax(0).max() else mine,
                "flip-st": theirs if taught and not right else mine,
                "flip-t": mine if right and not taught else theirs,
                "flip-avg": averaged,
            }[partition]
        )
    return torch.stack(rows)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_targets_are_those_of_the_definition(partition):
    given = samples()
    assert torch.equal(goal(partition, *given), by_hand(partition, *given))


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_loss_is_the_definitions(partition):
    current, initial, teachers, targets = samples()
    method = GeneralTransfer(partition=partition, temperature=3.0, alpha=0.5)
    p = by_hand(partition, current, initial, teachers, targets).detach().div(3).softmax(dim=1)
    q = current.div(3).softmax(dim=1)
    divergence = (p * (p / q).log()).sum(dim=1).mean()
    expected = 0.5 * 9 * divergence + 0.5 * functional.cross_entropy(current, targets)
    torch.testing.assert_close(loss(method, current, initial, teachers, targets), expected)


def test_several_teachers_side_by_side_by_hand():
    _, initial, teachers, targets = given = samples(teachers=3)
    models = [initial, *teachers]
    for number, label in enumerate(targets.tolist()):
        sure = [probability(model[number], label) for model in models]
        surest = [float(model[number].softmax(dim=0).max()) for model in models]
        best, boldest = sure.index(max(sure)), surest.index(max(surest))
        assert torch.equal(goal("supervised", *given)[number], models[best][number])
        assert torch.equal(goal("unsupervised", *given)[number], models[boldest][number])


@pytest.mark.parametrize("with_labels", [True, False])
def test_the_first_of_equals_is_chosen(with_labels):
    _, initial, _, targets = samples()
    chosen = choose(torch.stack([initial, initial, initial]), targets if with_labels else None)
    assert not chosen.any()


@pytest.mark.parametrize("partition", PARTITIONS)
def test_a_teacher_equal_to_the_student_gives_nothing(partition):
    _, initial, _, targets = samples()
    current = initial.clone().requires_grad_()
    given = current, initial, initial[None], targets
    assert abs(float(loss(GeneralTransfer(partition=partition), *given).detach())) < 1e-12
    assert float(gradient(GeneralTransfer(partition=partition), *given).abs().max()) < 1e-12


def sharper(logits, targets, by):
    """The logits with more, or less, for the right label."""
    return logits + by * functional.one_hot(targets, LABELS)


def test_a_teacher_that_is_nowhere_surer_is_self_distillation():
    current, initial, _, targets = samples()
    worse = sharper(initial, targets, -1.0)[None]
    assert torch.equal(goal("supervised", current, initial, worse, targets), initial)


def test_a_teacher_that_is_surer_everywhere_is_plain_distillation():
    current, initial, _, targets = samples()
    better = sharper(initial, targets, 20.0)[None]
    assert torch.equal(goal("supervised", current, initial, better, targets), better[0])
    assert torch.equal(goal("unsupervised", current, initial, better, targets), better[0])


def test_the_current_student_has_no_say_but_in_flips():
    current, initial, teachers, targets = samples()
    other = current.roll(1, dims=1)
    for partition in PARTITIONS:
        same = torch.equal(
            goal(partition, current, initial, teachers, targets),
            goal(partition, other, initial, teachers, targets),
        )
        assert same == (not partition.startswith("flip")), partition


def test_labels_matter_with_supervision_only():
    current, initial, teachers, targets = samples()
    shuffled = targets.roll(7)
    for partition in ("supervised", "unsupervised"):
        same = torch.equal(
            goal(partition, current, initial, teachers, targets),
            goal(partition, current, initial, teachers, shuffled),
        )
        assert same == (partition == "unsupervised")
    unlabelled = GeneralTransfer(partition="unsupervised").terms(current, initial, teachers, None)
    assert set(unlabelled) == {"soft"}


def test_a_scale_decides_who_is_surer_but_not_what_is_learnt():
    current, initial, teachers, targets = samples()
    method = GeneralTransfer(partition="unsupervised")
    timid = torch.tensor([1.0, 1e6], dtype=torch.float64)
    bold = torch.tensor([1e6, 1.0], dtype=torch.float64)
    assert torch.equal(method.target(initial, teachers, current, targets, timid), initial)
    assert torch.equal(method.target(initial, teachers, current, targets, bold), teachers[0])


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0])
def test_the_fitted_temperature_is_the_one_that_labels_were_drawn_at(temperature):
    rng = torch.Generator().manual_seed(5)
    logits = 2 * torch.randn(20_000, 4, generator=rng)
    drawn = torch.multinomial(logits.softmax(dim=1), 1, generator=rng).squeeze(1)
    found = fitted_temperature(logits * temperature, drawn)
    assert found == pytest.approx(temperature, rel=0.03)


def test_calibration_asks_validation_data(tmp_path):
    _, plain = transferred(tmp_path / "plain", partition="unsupervised")
    _, calibrated = transferred(tmp_path / "fitted", partition="unsupervised", calibrate=True)
    assert not workbench.same(plain, calibrated)
    made = bench(tmp_path / "none")
    del made.task()._task.splits["validation"]
    with pytest.raises(RequestError, match="no validation split"):
        list(GeneralTransfer(calibrate=True).transfer(made))


def test_flips_of_one_are_the_others_turned_round():
    current, _, (teacher,), targets = samples()
    found, turned = flips(current, teacher, targets), flips(teacher, current, targets)
    assert torch.equal(found.positive, turned.negative)
    assert torch.equal(found.neutral, turned.neutral)
    assert torch.stack(found).sum(dim=0).eq(1).all()
    assert found.positive.any()
    assert found.negative.any()


def test_skipped_flips_leave_the_divergence_but_not_the_cross_entropy():
    current, initial, teachers, targets = samples()
    method = GeneralTransfer(partition="none", skip_flips=["negative"], alpha=0.5)
    rows = ~flips(current, teachers[0], targets).negative
    terms = method.terms(current, initial, teachers, targets)
    torch.testing.assert_close(terms["soft"][1], kl_from_logits(teachers[0][rows], current[rows]))
    torch.testing.assert_close(terms["hard"][1], functional.cross_entropy(current, targets))


def test_where_all_is_skipped_nothing_moves():
    method = GeneralTransfer(partition="none", skip_flips=["positive", "negative", "neutral"])
    assert float(gradient(method, *samples()).abs().max()) == 0


def test_top_k_compares_the_teachers_highest_labels_only():
    current, initial, teachers, targets = samples()
    method = GeneralTransfer(partition="supervised", top_k=2)
    target = goal("supervised", current, initial, teachers, targets)
    order = teachers[0].argsort(dim=1, descending=True)[:, :2]
    rows = torch.arange(COUNT)[:, None]
    expected = kl_from_logits(target[rows, order], current[rows, order])
    torch.testing.assert_close(loss(method, current, initial, teachers, targets), expected)
    everything = GeneralTransfer(top_k=LABELS)
    assert torch.equal(loss(everything, *samples()), loss(GeneralTransfer(), *samples()))


def test_as_released_takes_probabilities_for_logits():
    current, initial, teachers, targets = samples()
    terms = GeneralTransfer(alpha=0.5, as_released=True).terms(current, initial, teachers, targets)
    expected = functional.cross_entropy(current.softmax(dim=1), targets)
    torch.testing.assert_close(terms["hard"][1], expected)


def test_as_released_the_averaged_target_learns_too():
    ours, released = (
        GeneralTransfer(partition="flip-avg", as_released=released) for released in (False, True)
    )
    assert torch.equal(loss(ours, *samples()), loss(released, *samples()))
    assert not torch.allclose(gradient(ours, *samples()), gradient(released, *samples()))
    plain = GeneralTransfer(as_released=True)
    assert torch.equal(gradient(plain, *samples()), gradient(GeneralTransfer(), *samples()))


def course(late, steps=6, every=2, epoch=3):
    """Slow and live values of a single weight over some steps, live being 1, 2, 3 …"""
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    slow = SlowWeights(module, 0.75, every, epoch, late=late)
    seen = []
    for step in range(steps):
        torch.nn.init.constant_(module.weight, step + 1.0)
        slow.follow(module, step)
        seen.append(float(slow.state_dict()["weight"]))
    slow.put_in()
    assert float(module.weight.detach()) == seen[-1]
    return seen


def test_slow_weights_by_hand():
    first, second = 0.25 * 2, 0.75 * 0.5 + 0.25 * 4
    assert course(late=False) == pytest.approx([0, first, first, second, second, 2.53125])


def test_slow_weights_as_released_begin_late_and_count_by_epoch():
    # steps 0, 2, 0, 2 of two epochs of three steps
    third, fourth = 0.75 + 0.25 * 3, 0.75 * 1.5 + 0.25 * 4
    expected = [1, 1, third, fourth, fourth, 0.75 * fourth + 0.25 * 6]
    assert course(late=True) == pytest.approx(expected)


def test_counters_are_taken_over_as_they_are():
    module = torch.nn.BatchNorm1d(2)
    slow = SlowWeights(module, 0.5, every=1, epoch=1, late=False)
    module(torch.randn(4, 2))
    slow.follow(module, 0)
    assert int(slow.state_dict()["num_batches_tracked"]) == 1


def bench(folder, teachers=2, **changes):
    sgd = {"use": "sgd", "lr": 0.1, "momentum": 0.9}
    models = {
        "student": workbench.model(0),
        "teacher": [freeze(workbench.model(seed)) for seed in range(1, teachers + 1)],
    }
    settings = workbench.fit_settings(optimizer=sgd, **changes)
    return workbench.bench(folder, models=models, settings=settings)


def transferred(folder, teachers=2, **fields):
    """Stage names and final weights of a transfer on the small bench."""
    made = bench(folder, teachers)
    stages = [
        (stage.name, stage.line, workbench.weights(stage.model))
        for stage in GeneralTransfer(**fields).transfer(made)
    ]
    return stages, workbench.weights(made.model("student"))


def test_self_distillation_moves_nothing(tmp_path):
    _, weights = transferred(tmp_path, teachers=1, partition="self")
    for name, value in workbench.weights(workbench.model(0)).items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-6)


def test_side_by_side_with_one_teacher_is_the_sequence_of_one(tmp_path):
    _, parallel = transferred(tmp_path / "a", teachers=1)
    _, sequential = transferred(tmp_path / "b", teachers=1, several="sequential")
    assert workbench.same(parallel, sequential)


def test_a_sequence_goes_from_the_worst_teacher_to_the_best(tmp_path):
    made = bench(tmp_path / "made", 3)
    rows = made.task().train.all()
    right = [
        int((teacher.logits(rows.inputs).argmax(dim=1) == rows.targets).sum())
        for teacher in made.models("teacher")
    ]
    assert len(set(right)) == 3
    expected = [f"after teacher {number + 1}" for number in sorted(range(3), key=right.__getitem__)]
    for order, names in (
        ("ascending", expected),
        ("descending", expected[::-1]),
        ("given", [f"after teacher {number}" for number in (1, 2, 3)]),
    ):
        stages, _ = transferred(tmp_path / order, 3, several="sequential", order=order)
        assert [name for name, _, _ in stages] == names
    drawn, _ = transferred(tmp_path / "random", 3, several="sequential", order="random")
    assert sorted(name for name, _, _ in drawn) == sorted(expected)


def test_a_later_teacher_starts_from_what_the_earlier_ones_gave(tmp_path):
    stages, weights = transferred(tmp_path, 2, several="sequential", order="given")
    assert not workbench.same(stages[0][2], stages[1][2])
    assert workbench.same(stages[1][2], weights)


def test_a_soup_is_the_mean_of_its_parts(tmp_path):
    stages, weights = transferred(tmp_path, 2, several="soup")
    *parts, soup = stages
    assert [line for _, line, _ in stages] == ["part1", "part2", "main"]
    assert not workbench.same(parts[0][2], parts[1][2])
    for name, value in soup[2].items():
        torch.testing.assert_close(value, (parts[0][2][name] + parts[1][2][name]) / 2)
    assert workbench.same(soup[2], weights)


def test_slow_weights_are_what_the_transfer_ends_with(tmp_path):
    stages, _ = transferred(tmp_path / "slow", 1, kappa=0.9, interpolate_every=1)
    again, _ = transferred(tmp_path / "slow", 1, kappa=0.9, interpolate_every=1)  # from the journal
    fast, _ = transferred(tmp_path / "fast", 1)
    assert workbench.same(stages[0][2], again[0][2])
    start = workbench.weights(workbench.model(0))
    moved = [
        sum(float((found[name] - start[name]).norm()) for name in start)
        for found in (stages[0][2], fast[0][2])
    ]
    assert 0 < moved[0] < moved[1]


@pytest.mark.parametrize("fields", [{"partition": "none"}, {"partition": "flip-st"}, {"top_k": 2}])
def test_several_teachers_at_once_need_confidence(tmp_path, fields):
    with pytest.raises(RequestError, match="several: sequential"):
        transferred(tmp_path, 2, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"partition": "supervised"},
        {"partition": "unsupervised", "alpha": 0.5},
        {"partition": "unsupervised", "several": "sequential"},
    ],
)
def test_without_labels_it_says_what_can_be_done(tmp_path, fields):
    made = bench(tmp_path)
    made.task().train.targets = None
    with pytest.raises(RequestError, match="unsupervised"):
        list(GeneralTransfer(**fields).transfer(made))


def test_without_labels_it_goes_by_confidence(tmp_path):
    made = bench(tmp_path)
    made.task().train.targets = None
    stages = list(GeneralTransfer(partition="unsupervised").transfer(made))
    assert [stage.name for stage in stages] == ["transferred"]


def test_flips_can_be_skipped_without_a_partition_only():
    assert not GeneralTransfer(partition="none", skip_flips=["negative"]).check()
    (problem,) = GeneralTransfer(skip_flips=["negative"]).check()
    assert problem.field == ("skip_flips",)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0}, {"alpha": 0}, {"alpha": 1.1}, {"kappa": 1}, {"top_k": 0}, {"tau": 1}],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        GeneralTransfer(**wrong)
