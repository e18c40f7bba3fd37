"""What must hold of every method that forgets, whatever it is trained on."""

import math

import pytest
from language_models import language_model
from workbench import bench, fit_settings, same, task, weights

import bequest
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.live import Batch, Split, Texts
from bequest.lazy import functional, torch
from bequest.methods.unlearn._unlearning import Beside
from bequest.ops.unlearning import positions_behind, preferred, shifted, soft_cross_entropy, summed
from bequest.transfer.streams import Rows
from bequest.transfer.terms import Mean


def two_tasks():
    return [task("away", "forget"), task("kept", "retain", seed=1)]


def value(term):
    return term.total / term.count if isinstance(term, Mean) else term


def number(term):
    return float(value(term).detach())


def gradient(term, student):
    student.module.zero_grad()
    value(term).backward()
    return [each.grad.clone() for each in student.module.parameters()]


def forget_term(folder, name, **fields):
    """The method's first term over all samples to forget, and the student."""
    desk = bench(folder, tasks=two_tasks())
    rows = desk.task("forget").train
    away = find("methods", name)(**fields).objective(desk, rows)
    student = desk.model("student")
    return away(student, rows.all(), torch.Generator()), student, rows.all()


def test_npo_begins_at_two_logs_of_two_by_beta_and_with_the_gradient_of_ascent(tmp_path):
    term, student, batch = forget_term(tmp_path, "npo", beta=0.3)
    assert number(term) == pytest.approx(2 / 0.3 * math.log(2), rel=1e-6)
    found = gradient(term, student)
    ascent = gradient(-functional.cross_entropy(student.logits(batch.inputs), batch.targets),
                      student)  # fmt: skip
    for one, other in zip(found, ascent, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_preferences_weigh_ascent_between_nought_and_two_and_near_beta_nought_by_one():
    now = torch.linspace(-60, 60, 13, dtype=torch.float64, requires_grad=True)
    for beta, least, most in ((0.1, 0.0, 2.0), (1e-6, 0.9999, 1.0001)):
        (grad,) = torch.autograd.grad(preferred(now, 0.0, beta).sum(), now)
        assert ((-grad > least) & (-grad < most)).all()


def test_kl_to_itself_is_nought_and_pulls_nowhere(tmp_path):
    desk = bench(tmp_path, tasks=two_tasks())
    rows, student = desk.task("retain").train, desk.model("student")
    term = find("methods", "kl_min")().kept(desk, rows)(student, rows.all(), None)
    assert number(term) == pytest.approx(0, abs=1e-6)
    assert all(grad.abs().max() < 1e-6 for grad in gradient(term, student))


def test_undial_that_lowers_nothing_is_the_entropy_and_pulls_nowhere(tmp_path):
    term, student, batch = forget_term(tmp_path, "undial", beta=0.0)
    each = student.logits(batch.inputs).log_softmax(dim=1)
    entropy = -(each.exp() * each).sum(dim=1).mean()
    assert number(term) == pytest.approx(float(entropy.detach()), rel=1e-5)
    assert all(grad.abs().max() < 1e-6 for grad in gradient(term, student))


def test_ce_u_never_wants_the_true_token():
    scores, targets = torch.randn(5, 7, requires_grad=True), torch.tensor([0, 6, 3, 3, 1])
    wanted = shifted(scores.detach(), targets, float("-inf"))
    shares = wanted.softmax(dim=-1)
    assert (shares.gather(1, targets[:, None]) == 0).all()
    soft_cross_entropy(wanted, scores).sum().backward()
    assert scores.grad.isfinite().all()


def test_tokens_know_their_answer():
    lengths = torch.tensor([2, 1, 3])
    assert summed(torch.arange(6.0), lengths).tolist() == [1.0, 2.0, 12.0]
    assert positions_behind(lengths, 1).tolist() == [False, True, False, False, True, True]


@pytest.fixture(scope="module")
def speaker(tmp_path_factory):
    folder = str(language_model(tmp_path_factory.mktemp("model")))
    return find("models", "hf")(path=folder, longest=48).build((), "text", ())


ANSWERS = (" the mat", " a dog that ran over the hill", " old")
ASKED = Texts(ANSWERS, ("Who sat?", "Who ran?", "How old is the cat?"), closed=True)


def asked(places=(0, 1, 2)):
    rows = list(places)
    return Batch(torch.tensor(rows), ASKED[rows], None)


def rows_of(texts=ASKED):
    return Rows(Split(texts, None, torch.arange(len(texts)).numpy()))


@pytest.mark.parametrize("name", ["npo", "simnpo", "idk_dpo"])
def test_losses_of_whole_answers_do_not_depend_on_who_stands_beside(name, speaker, tmp_path):
    desk = bench(tmp_path, models={"student": speaker}, tasks=two_tasks())
    fields = {"refusals": [" no idea"]} if name == "idk_dpo" else {}
    away = find("methods", name)(**fields).objective(desk, rows_of())
    rng = torch.Generator()
    with torch.no_grad():
        together = away(speaker, asked(), rng)
        alone = [away(speaker, asked([row]), rng) for row in range(3)]
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["undial", "ce_u", "wga", "satimp", "grad_ascent"])
def test_losses_of_tokens_are_means_over_all_tokens(name, speaker, tmp_path):
    desk = bench(tmp_path, models={"student": speaker}, tasks=two_tasks())
    away = find("methods", name)().objective(desk, rows_of())
    rng = torch.Generator()
    with torch.no_grad():
        whole, *parts = (away(speaker, asked(rows), rng) for rows in ([0, 1, 2], [0], [1], [2]))
    total = sum(float(part.total) for part in parts)
    assert float(whole.total) == pytest.approx(total, rel=1e-4)
    assert int(whole.count) == sum(int(part.count) for part in parts)


def test_kl_of_a_language_model_begins_at_nought_in_prompts_too(speaker, tmp_path):
    desk = bench(tmp_path, models={"student": speaker}, tasks=two_tasks())
    term = find("methods", "kl_min")().kept(desk, rows_of())
    with torch.no_grad():
        found = term(speaker, asked(), None)
    assert float(found.total) == pytest.approx(0, abs=1e-4)
    answered = speaker.encoded(ASKED).lengths.sum()
    assert int(found.count) > int(answered)


def test_what_is_to_be_forgotten_comes_once_an_epoch_and_as_many_to_retain_beside_it():
    forget, retain = (one for one in (rows_of(), rows_of(Texts(("a", "b")))))
    stream = Beside(forget, retain, each=2)
    batches = list(stream.epoch(3, 2))
    assert sorted(int(one) for each in batches for one in each["forget"].ids) == [0, 1, 2]
    assert [len(each["retain"].ids) for each in batches] == [4, 2]
    again = list(stream.epoch(3, 2, skip=1))
    assert again[0]["retain"].ids.tolist() == batches[1]["retain"].ids.tolist()
    assert stream.steps(2) == 2


def test_a_method_without_retaining_needs_no_such_task(tmp_path):
    desk = bench(tmp_path, tasks=[task("away", "forget")], settings=fit_settings(epochs=1))
    before = weights(desk.model("student"))
    (stage,) = find("methods", "grad_ascent")().transfer(desk)
    assert not same(weights(stage.model), before)


def test_weights_of_both_terms_are_said(tmp_path):
    desk = bench(tmp_path, tasks=two_tasks(), settings=fit_settings(epochs=1))
    (_,) = find("methods", "grad_diff")(gamma=0.5, alpha=2.0).transfer(desk)
    (fit,) = desk.fits
    assert {point["term"]: point["weight"] for point in fit.curves} == {
        "forget": 0.5,
        "retain": 2.0,
    }


def recipe(forget, retain):
    tasks = {"forget": forget, "retain": retain}
    return {
        "models": {"student": {"use": "mlp", "hidden": [4]}},
        "tasks": {"digits": {"use": "class_splits", "parts": 5, "of": {"use": "digits"}}},
        "steps": [{"name": "away", "method": {"use": "npo"}, "tasks": tasks}],
    }


def test_what_is_to_be_forgotten_and_retained_at_once_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = recipe(["all"], ["digits-1"])
    told["tasks"]["all"] = {"use": "digits"}
    with pytest.raises(RequestError, match=r"forget and to retain \d+ samples, in `all` and in"):
        bequest.run(told, out="never")
    assert not (tmp_path / "never").exists()
