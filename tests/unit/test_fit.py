"""The training loop: what moves, what must not, who is told, and what comes back."""

from __future__ import annotations

import copy

import pytest
from workbench import WIDTH, fit, fit_settings, hard, model, same, split, task, weights

from bequest.core.errors import NotFinite, RunError
from bequest.lazy import functional, torch
from bequest.store.journal import derive
from bequest.transfer.optimizers import make_optimizer, rate_factor
from bequest.transfer.streams import Rows

OPTIMIZERS = [
    {"use": "adamw", "lr": 0.05, "weight_decay": 0.5},
    {"use": "adam", "lr": 0.05, "weight_decay": 0.5},
    {"use": "sgd", "lr": 0.05, "weight_decay": 0.5, "momentum": 0.9},
]


@pytest.fixture
def rows():
    return Rows(split())


def by_hand(student, rows, settings, entry, between=lambda parameters: None):
    """The loop a person would write, over the same batches."""
    parameters = list(student.module.parameters())
    optimizer = make_optimizer(settings, parameters)
    student.module.train()
    for epoch in range(settings.epochs):
        for batch in rows.epoch(derive(entry.seed, "epoch", epoch), settings.batch_size):
            optimizer.zero_grad()
            hard(student, batch, None)["hard"].backward()
            between(parameters)
            optimizer.step()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: each["use"])
def test_a_fit_is_the_loop_one_would_write(tmp_path, rows, optimizer):
    settings = fit_settings(optimizer=optimizer)
    ours, theirs = model(), model()
    work = fit(tmp_path, ours, rows, settings=settings)
    by_hand(theirs, rows, settings, work.entry)
    assert work.run().steps == 10
    assert same(weights(ours), weights(theirs))
    assert not same(weights(ours), weights(model()))


def test_the_norm_of_the_gradient_is_clipped(tmp_path, rows):
    def clip(parameters):
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, 0.05)))

    norms = []
    settings = fit_settings(clip_norm=0.05)
    ours, theirs = model(), model()
    work = fit(tmp_path, ours, rows, settings=settings)
    by_hand(theirs, rows, settings, work.entry, clip)
    work.run()
    assert max(norms) > 0.05
    assert same(weights(ours), weights(theirs))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: each["use"])
def test_masked_entries_stay_bit_identical_and_the_others_move(tmp_path, rows, optimizer):
    student = model()
    first, last = student.module[0].weight, student.module[3].weight
    rng = torch.Generator().manual_seed(3)
    some = torch.rand(first.shape, generator=rng) < 0.5
    masks = {first: some, last: torch.zeros_like(last, dtype=torch.bool)}
    before = weights(student)
    settings = fit_settings(optimizer=optimizer)
    fit(tmp_path, student, rows, settings=settings, update_mask=masks).run()
    assert torch.equal(first[~some], before["0.weight"][~some])
    assert (first[some] != before["0.weight"][some]).all()
    assert torch.equal(last, before["3.weight"])
    assert not torch.equal(student.module[3].bias, before["3.bias"])


def test_a_mask_of_all_true_changes_nothing(tmp_path, rows):
    masked, plain = model(), model()
    masks = {one: torch.ones_like(one, dtype=torch.bool) for one in masked.module.parameters()}
    fit(tmp_path / "a", masked, rows, update_mask=masks).run()
    fit(tmp_path / "b", plain, rows).run()
    assert same(weights(masked), weights(plain))


def test_who_listens_is_told_of_every_step_at_the_right_moment(tmp_path, rows):
    student, told = model(), []
    before = weights(student)

    def on_gradient(modules, step):
        assert modules is student
        assert same(weights(student), before)
        assert all(one.grad is not None for one in student.module.parameters())
        told.append(("gradient", step))

    def on_step(modules, step):
        assert modules is student
        assert not same(weights(student), before)
        before.update(weights(student))
        told.append(("step", step))

    fit(tmp_path, student, rows, on_gradient=on_gradient, on_step=on_step).run()
    assert told == [(what, step) for step in range(10) for what in ("gradient", "step")]


def test_what_on_gradient_changes_is_what_is_applied(tmp_path, rows):
    def none(modules, step):
        for parameter in modules.module.parameters():
            parameter.grad.zero_()

    student = model()
    settings = fit_settings(optimizer={"use": "sgd", "lr": 0.1})
    fit(tmp_path, student, rows, settings=settings, on_gradient=none).run()
    assert same(weights(student), weights(model()))


def test_progress_tells_every_step_and_the_terms(tmp_path, rows):
    told = []
    work = fit(tmp_path, model(), rows, progress=lambda *said: told.append(said))
    work.run()
    assert [(step, steps) for step, steps, _ in told] == [(step, 10) for step in range(1, 11)]
    assert all(values.keys() == {"hard"} for *_, values in told)


def test_select_puts_the_best_state_back(tmp_path, rows):
    seen, scores = [], iter([1.0, 5.0, 5.0, 3.0])

    def score():
        seen.append(weights(student))
        assert not student.module.training
        assert not torch.is_grad_enabled()
        return next(scores)

    student = model(dropout=0.2)
    done = fit(tmp_path, student, rows, settings=fit_settings(epochs=4), select=score).run()
    assert done.best == 5.0
    assert len(seen) == 4
    assert same(weights(student), seen[1])
    assert not same(seen[1], seen[2])


def test_selecting_changes_nothing_of_the_course(tmp_path, rows):
    chosen, plain = model(dropout=0.3), model(dropout=0.3)
    scores = iter([1.0, 2.0])
    fit(tmp_path / "a", chosen, rows, select=lambda: next(scores)).run()
    fit(tmp_path / "b", plain, rows).run()
    assert same(weights(chosen), weights(plain))


def test_training_mode_inside_eval_mode_after_even_when_it_fails(tmp_path, rows):
    student, modes = model(), []

    def loss(one, batch, rng):
        modes.append(one.module.training)
        if len(modes) == 3:
            raise KeyError("mine")
        return hard(one, batch, rng)

    with pytest.raises(KeyError, match="mine"):
        fit(tmp_path, student, rows, loss).run()
    assert modes == [True] * 3
    assert not student.module.training


def test_several_modules_train_together_and_frozen_parameters_do_not(tmp_path, rows):
    student, extra, teacher = model(), torch.nn.Linear(3, 3), model(5)
    teacher.module.requires_grad_(False)
    before = {"student": weights(student), "extra": weights(extra), "teacher": weights(teacher)}
    parts = {"student": student, "extra": extra, "teacher": teacher}

    def loss(modules, batch, rng):
        assert modules is parts
        logits = modules["extra"](modules["student"].logits(batch.inputs))
        target = modules["teacher"].logits(batch.inputs)
        return {"match": (logits - target).square().mean()}

    fit(tmp_path, parts, rows, loss).run()
    assert not same(weights(student), before["student"])
    assert not same(weights(extra), before["extra"])
    assert same(weights(teacher), before["teacher"])


def test_the_losses_generator_does_not_depend_on_what_else_draws(tmp_path, rows):
    def noisy(one, batch, rng):
        drawn.append(torch.rand((), generator=rng))
        return hard(one, batch, rng)

    drawn = []
    fit(tmp_path / "a", model(), rows, noisy).run()
    torch.rand(5)
    fit(tmp_path / "b", model(dropout=0.5), rows, noisy).run()
    assert drawn[:10] == drawn[10:]
    assert len(set(map(float, drawn))) == 10


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_stops_and_says_where(tmp_path, rows, poison):
    def loss(one, batch, rng):
        calls.append(1)
        bad = {"odd": hard(one, batch, rng)["hard"] * (poison if len(calls) == 4 else 1.0)}
        return {**hard(one, batch, rng), **bad}

    calls = []
    with pytest.raises(NotFinite, match=r"`odd` became .* at step 3; .*fit\.optimizer\.lr"):
        fit(tmp_path, model(), rows, loss).run()


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda one, batch, rng: {}, "no term"),
        (lambda one, batch, rng: {"raw": one.logits(batch.inputs)}, r"`raw` has shape \(8, 3\)"),
    ],
)
def test_a_loss_that_is_none_is_refused(tmp_path, rows, loss, said):
    with pytest.raises(RunError, match=said):
        fit(tmp_path, model(), rows, loss).run()


def test_nothing_to_train_or_to_train_on_is_said(tmp_path, rows):
    frozen = model()
    frozen.module.requires_grad_(False)
    with pytest.raises(RunError, match="no parameter"):
        fit(tmp_path, frozen, rows)
    with pytest.raises(RunError, match="no sample"):
        fit(tmp_path, model(), Rows(split(0)))


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", "bfloat16"), ("float16", "float16")])
def test_lower_precision_is_that_of_the_forward_pass_only(tmp_path, rows, precision, dtype):
    seen = set()

    def loss(one, batch, rng):
        logits = one.logits(batch.inputs)
        seen.add(logits.dtype)
        return {"hard": functional.cross_entropy(logits, batch.targets)}

    low, full = model(), model()
    fit(tmp_path / "a", low, rows, loss, settings=fit_settings(precision=precision)).run()
    fit(tmp_path / "b", full, rows).run()
    assert seen == {getattr(torch, dtype)}
    assert {one.dtype for one in low.module.parameters()} == {torch.float32}
    for name, value in weights(low).items():
        torch.testing.assert_close(value, weights(full)[name], rtol=0.05, atol=0.01)
    assert not same(weights(low), weights(full))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_killed_anywhere_it_goes_on_to_the_same_bits(tmp_path, rows, precision):
    class Killed(BaseException):
        pass

    def dying(modules, step):
        if step == 6:
            raise Killed

    options = {"settings": fit_settings(checkpoint_seconds=0, epochs=3, precision=precision)}
    whole, killed = model(dropout=0.4), model(dropout=0.4)
    scores = iter([2.0, 1.0, 0.0, 1.0, 0.0])
    plain = fit(tmp_path / "a", whole, rows, select=lambda: next(scores), **options).run()
    scores = iter([2.0, 1.0, 0.0])
    with pytest.raises(Killed):
        fit(
            tmp_path / "b", killed, rows, on_step=dying, select=lambda: next(scores), **options
        ).run()
    again = model(7, dropout=0.4)
    resumed = fit(tmp_path / "b", again, rows, select=lambda: next(scores), **options).run()
    assert same(weights(again), weights(whole))
    assert resumed.best == plain.best == 2.0
    assert resumed.curves == plain.curves


def test_objects_in_keep_go_on_from_the_checkpoint(tmp_path, rows):
    class Killed(BaseException):
        pass

    class Count:
        value = 0

        def state_dict(self):
            return {"value": self.value}

        def load_state_dict(self, state):
            self.value = state["value"]

    def counting(count, last):
        def on_step(modules, step):
            count.value += 1
            if step == last:
                raise Killed

        return on_step

    settings = fit_settings(checkpoint_seconds=0)
    first, second = Count(), Count()
    with pytest.raises(Killed):
        fit(tmp_path, model(), rows, settings=settings, keep=[first],
            on_step=counting(first, 4)).run()  # fmt: skip
    fit(tmp_path, model(), rows, settings=settings, keep=[second],
        on_step=counting(second, None)).run()  # fmt: skip
    assert first.value == 5
    assert second.value == 10


def test_steps_replace_epochs_and_may_end_within_one(tmp_path, rows):
    assert fit(tmp_path, model(), rows, settings=fit_settings(steps=7)).run().steps == 7


def factors(steps, **settings):
    return [rate_factor(fit_settings(**settings), step, steps) for step in range(steps)]


def test_a_constant_rate():
    assert factors(5) == [1.0] * 5


def test_a_linear_rate_falls_evenly():
    assert factors(4, schedule="linear") == [1.0, 0.75, 0.5, 0.25]


def test_a_cosine_rate_starts_flat_and_is_half_way_in_the_middle():
    found = factors(100, schedule="cosine")
    assert found[0] == 1.0
    assert found[50] == pytest.approx(0.5)
    assert found[-1] == pytest.approx(0.0, abs=1e-3)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_rate_rises_during_the_warm_up(schedule):
    found = factors(40, schedule=schedule, warmup=0.25)
    assert found[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert found[10] == 1.0
    assert max(found) == 1.0


def test_the_rate_reaches_the_optimiser(tmp_path, rows):
    rates = []
    settings = fit_settings(schedule="linear", optimizer={"use": "sgd", "lr": 0.2})

    def note(modules, step):
        rates.append(work.optimizer.param_groups[0]["lr"])

    work = fit(tmp_path, model(), rows, settings=settings, on_step=note)
    work.run()
    assert rates == pytest.approx([0.2 * (1 - step / 10) for step in range(10)])


def test_buffers_are_part_of_what_select_puts_back(tmp_path):
    student = model()
    student.module.append(torch.nn.BatchNorm1d(3))
    scores, seen = iter([2.0, 1.0]), []

    def score():
        seen.append(copy.deepcopy(weights(student)))
        return next(scores)

    fit(tmp_path, student, Rows(task().splits["train"]), select=score).run()
    assert int(student.module[4].num_batches_tracked) == 5
    assert same(weights(student), seen[0])
    assert student.module[0].in_features == WIDTH
