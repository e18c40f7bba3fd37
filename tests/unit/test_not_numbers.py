"""What is not a number never becomes one: answers, losses, weights, and what is written of them."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from broken_models import HIGH
from language_models import language_model
from workbench import bench, fit, fit_settings, hard, model, task

import bequest
from bequest.build.answered import NotNumbers, refuse_nan
from bequest.build.likelihood import likelihoods, remembered
from bequest.build.models.hf import Hf
from bequest.core.errors import NotFinite, RequestError
from bequest.core.live import Texts
from bequest.lazy import functional, torch
from bequest.ops.divergences import divergence_sum, kl_from_logits
from bequest.ops.unlearning import soft_cross_entropy
from bequest.runner.collect import _absent
from bequest.transfer.bench import freeze
from bequest.transfer.health import odd_answers
from bequest.transfer.streams import Rows
from bequest.transfer.terms import shares

INF = torch.inf


def recipe(**changes):
    return {
        "schema": 1,
        "models": {
            "teacher": {"use": "broken_models:nan_where_high"},
            "student": {"use": "mlp", "hidden": [4]},
        },
        "tasks": {"wine": {"use": "wine"}},
        "steps": [{"name": "tune", "method": {"use": "finetune"}}],
        "fit": {"epochs": 1, "batch_size": 64},
        "gate": ["accuracy(wine) @ tune vs teacher >= -100%", "accuracy(wine) @ tune >= 0"],
    } | changes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_model_that_answers_nan_is_absent_with_the_count_and_its_rule_fails(folder):
    run = bequest.run(recipe(), out="run")
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    high = SimpleNamespace(**metrics["absent"][0])
    assert metrics["absent"] == [{"row": 0, "task": "wine", "reason": high.reason}]
    count, _, whole, *_ = high.reason.split()
    assert 0 < int(count) < int(whole)
    assert high.reason.endswith(f"of {whole} answers are not numbers")
    assert {entry["row"] for entry in metrics["cells"]} == {1, 2}
    assert [one.passed for one in run.verdict.results] == [False, True]
    assert "answers are not numbers" in run.verdict.results[0].reason
    assert run.verdict.exit_code == 1
    assert "answers are not numbers" in (folder / "run" / "report.html").read_text()


def test_the_count_is_that_of_the_samples_with_nan(folder):
    from bequest.build.tasks.wine import Wine

    live = Wine().load("wine")
    test = live.splits["test"].inputs[:]
    expected = int((np.asarray(test)[:, 0] > np.float32(HIGH)).sum())
    run = bequest.run(recipe(), out="run")
    assert f"{expected} of {len(test)} answers" in run.matrix.cells.why_absent(0, "wine")


@pytest.mark.parametrize("asked", ["logits", "predict"])
def test_which_model_answers_no_numbers_is_told_of_labels_and_numbers(asked):
    batch = Rows(task().splits["train"]).batch(torch.arange(4))
    answers = {"logits": torch.zeros(4, 3), "predict": torch.zeros(4)}[asked]
    answers[[1, 3]] = torch.nan
    sick = SimpleNamespace(**{asked: lambda inputs: answers})
    told = "`other` answers NaN, ∞ or −∞ for 2 of 4 samples"
    assert odd_answers({"other": sick}, batch) == told


def test_a_label_that_is_ruled_out_leaves_accuracy_and_takes_the_mean_likelihood(folder):
    odd = {"student": {"use": "broken_models:never_the_first"}}
    given = recipe(models=odd, steps=[{"name": "same", "method": {"use": "finetune"}}],
                   gate=["cross_entropy(wine) @ given.student <= 1000"])  # fmt: skip
    said = r"`hard` is inf at step 0, .*: the model that learns answers NaN, ∞ or −∞ for \d+ of"
    with pytest.raises(NotFinite, match=said):
        bequest.run(given, out="run")


def test_a_mean_that_is_infinite_is_absent_and_others_stay(folder):
    odd = {"teacher": {"use": "broken_models:never_the_first"},
           "student": {"use": "mlp", "hidden": [4]}}  # fmt: skip
    run = bequest.run(recipe(models=odd, gate=["cross_entropy(wine) @ teacher <= 1e9"]), out="run")
    assert run.matrix.has("accuracy", 0, "wine")
    assert not run.matrix.has("cross_entropy", 0, "wine")
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    (absent,) = [one for one in metrics["absent"] if one.get("metric") == "cross_entropy"]
    assert "`nll` is not finite for" in absent["reason"]
    assert "`nll` is not finite for" in run.verdict.results[0].reason


def test_a_cell_without_numbers_under_one_seed_is_absent_as_a_whole():
    rows = {
        0: [{"absent": {}}],
        1: [{"absent": {"t": "7 of 35"}}],
        2: [{"absent": {"t": "7 of 35"}}],
    }
    assert _absent(rows) == {(0, "t"): "under seed 1, 2: 7 of 35"}
    assert _absent({0: rows[1], 1: rows[1]}) == {(0, "t"): "7 of 35"}


def test_answers_are_counted_by_sample():
    refuse_nan(np.array([[1.0, INF], [2.0, -INF]]))
    with pytest.raises(NotNumbers, match="2 of 3 vectors are not numbers"):
        refuse_nan(np.array([[1, np.nan], [np.nan, np.nan], [1, 1]]), "vectors")
    with pytest.raises(NotNumbers, match="1 of 2 answers"):
        refuse_nan(np.array([1.0, INF]), finite=True)


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    path = language_model(tmp_path_factory.mktemp("lm"), layers=1)
    return lambda: Hf(path=str(path)).build((), "text", ())


def spoiled(live, value, token):
    """The model with one row of its output layer replaced."""
    live.module.lm_head.weight = torch.nn.Parameter(live.module.lm_head.weight.detach().clone())
    with torch.no_grad():
        live.module.lm_head.weight[token] = value
    return live


def test_a_language_model_that_answers_nan_is_refused_however_it_is_asked(talking):
    live = spoiled(talking(), torch.nan, 5)
    texts = Texts(("the cat sat", "a dog"))
    for asked in (likelihoods, remembered):
        with pytest.raises(NotNumbers, match="2 of 2 answers"):
            asked(live, texts)
    for temperature in (0.0, 1.0):
        with pytest.raises(NotNumbers, match="NaN for 2 of 2 texts"):
            live.complete(["the", "a"], 3, temperature)


class Ruled(torch.nn.Module):
    """An output layer that rules out one token."""

    def __init__(self, head, token):
        super().__init__()
        self.head, self.token = head, token

    def forward(self, states):
        return self.head(states).index_fill(-1, torch.tensor([self.token]), -INF)


def test_a_token_that_is_ruled_out_is_no_fault(talking):
    texts = Texts(("the cat sat", "a dog"))
    live = talking()
    used = set(live.encoded(texts).targets.tolist())
    free = next(token for token in range(2, 250) if token not in used)
    live.module.lm_head = Ruled(live.module.lm_head, free)
    found = remembered(live, texts)
    assert all(np.isfinite(values).all() for values in found.values())


def test_a_teachers_zero_probability_is_left_out_of_every_divergence():
    draw = torch.Generator().manual_seed(3)
    target, logits = torch.randn(2, 5, 7, generator=draw).unbind()
    masked = [one.index_fill(1, torch.tensor([2]), -INF) for one in (target, logits)]
    rest = [one[:, [0, 1, 3, 4, 5, 6]] for one in (target, logits)]
    p, q = masked[0].softmax(1), logits.log_softmax(1)
    by_hand = torch.xlogy(p, p).sum(1) - (p * q).sum(1)
    learns = logits.clone().requires_grad_()
    loss = kl_from_logits(masked[0], learns)
    torch.testing.assert_close(loss, by_hand.mean())
    assert torch.autograd.grad(loss, learns)[0].isfinite().all()
    for kind in ("forward", "reverse", "jensen_shannon"):
        own = masked[1].clone().requires_grad_()
        both = divergence_sum(masked[0], own, kind, 2.0)
        torch.testing.assert_close(both, divergence_sum(*rest, kind, 2.0))
        assert torch.autograd.grad(both, own)[0].isfinite().all()
    assert kl_from_logits(target, masked[1]).item() == math.inf
    assert divergence_sum(masked[0], logits, "reverse").item() == math.inf
    torch.testing.assert_close(soft_cross_entropy(*masked), soft_cross_entropy(*rest))


def test_divergences_of_finite_scores_are_torchs_to_the_last_bit():
    target, logits = torch.randn(2, 5, 7).unbind()
    plain = functional.kl_div(logits.div(3).log_softmax(1), target.div(3).log_softmax(1),
                              reduction="batchmean", log_target=True)  # fmt: skip
    assert torch.equal(kl_from_logits(target, logits, 3.0), plain)


def test_a_student_that_rules_out_what_is_true_is_named_and_not_the_learning_rate(tmp_path):
    student = model()
    with torch.no_grad():
        student.module[3].bias[0] = -INF
    with pytest.raises(NotFinite, match="`hard` is inf at step 0, before anything") as caught:
        bench(tmp_path, models={"student": student}).fit(
            student, Rows(task().splits["train"]), hard
        )
    assert "`3.bias` holds 1 numbers" in str(caught.value)
    assert "optimizer" not in str(caught.value)


def test_a_teacher_that_answers_nan_is_named_by_its_role(tmp_path):
    teacher = freeze(model(1))
    with torch.no_grad():
        teacher.module[0].weight[0] = torch.nan
    work = bench(tmp_path, models={"student": model(), "teacher": teacher})
    with pytest.raises(NotFinite, match="40 of 40 answers of model `teacher` are not numbers"):
        work.recall(teacher, work.task().train)


def test_a_frozen_models_infinite_answers_are_told_when_a_loss_is_infinite(tmp_path):
    teacher = freeze(model(1))
    with torch.no_grad():
        teacher.module[3].bias[1] = -INF
    work = bench(tmp_path, models={"student": model(), "teacher": teacher})
    says = work.recall(teacher, work.task().train)

    def reverse(one, batch, rng):
        return {"soft": divergence_sum(says(batch), one.logits(batch.inputs), "reverse")}

    with pytest.raises(NotFinite, match="40 of 40 answers of model `teacher` hold ∞ or −∞"):
        work.fit(work.model(), work.task().train, reverse)


def test_a_teachers_infinite_answers_are_told_before_advice_about_the_settings(tmp_path):
    teacher = freeze(model(1))
    with torch.no_grad():
        teacher.module[3].bias[1] = INF
    work = bench(tmp_path, models={"student": model(), "teacher": teacher})
    says, asked = work.recall(teacher, work.task().train), []

    def late(one, batch, rng):
        asked.append(batch)
        answers = one.logits(batch.inputs)
        wrong = answers if len(asked) == 1 else answers - says(batch)
        return {"soft": wrong.square().mean()}

    with pytest.raises(NotFinite) as refused:
        work.fit(work.model(), work.task().train, late)
    told = str(refused.value).split("; ")
    assert told[0].startswith("loss term `soft` became")
    assert told[1] == "40 of 40 answers of model `teacher` hold ∞ or −∞"
    assert told[2] == "if that is meant, try a lower fit.optimizer.lr or set fit.clip_norm"


def test_weights_that_are_no_numbers_after_the_last_step_end_the_fit(tmp_path):
    student = model()
    settings = fit_settings(steps=1)

    def spoil(modules, step):
        with torch.no_grad():
            student.module[3].bias[0] = torch.nan

    with pytest.raises(NotFinite, match=r"after the last step, 1, `3.bias` holds 1 .*optimizer.lr"):
        fit(tmp_path, student, Rows(task().splits["train"]), settings=settings, on_step=spoil).run()


def test_statistics_of_batches_that_are_no_numbers_end_the_fit(tmp_path):
    student = model()
    student.module.append(torch.nn.BatchNorm1d(3))

    def spoil(modules, step):
        student.module[4].running_var[1] = torch.nan

    with pytest.raises(NotFinite, match=r"`4\.running_var` holds 1 "):
        fit(tmp_path, student, Rows(task().splits["train"]), on_step=spoil).run()


def test_a_choice_that_is_no_number_is_never_the_best(tmp_path):
    scores = iter([math.nan, 0.5, math.nan])
    done = fit(tmp_path, model(), Rows(task().splits["train"]), settings=fit_settings(epochs=3),
               select=lambda: next(scores)).run()  # fmt: skip
    assert done.best == 0.5


def test_a_gradient_without_a_size_has_no_shares():
    weight = torch.nn.Parameter(torch.zeros(1))
    pairs = {"root": (1.0, weight.sqrt().sum()), "plain": (1.0, weight.sum())}
    assert shares(pairs, [weight]) == {}


def test_a_merge_that_ends_with_nan_delivers_no_model(folder):
    given = {
        "schema": 1,
        "models": {"base": {"use": "broken_models:linear"},
                   "sick": {"use": "broken_models:nan_weight"}},
        "tasks": {"wine": {"use": "wine"}},
        "steps": [{"name": "far", "method": {"use": "linear"},
                   "models": {"donors": ["base", "sick"]}}],
    }  # fmt: skip
    with pytest.raises(RequestError, match=r"donor 2 is damaged: `1\.weight` has numbers that are"):
        bequest.run(given, out="run")
