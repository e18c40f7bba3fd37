"""Distillation of language models: exact from what was kept, token by token."""

from __future__ import annotations

from types import SimpleNamespace

import language_models
import numpy as np
import pytest
import workbench

from bequest.build.models.hf import Hf
from bequest.build.models.smaller import Smaller
from bequest.core.errors import RequestError
from bequest.core.live import Split, Texts
from bequest.lazy import functional, torch
from bequest.methods.distill._tokens import TokenDistillation
from bequest.methods.distill.kd import Kd
from bequest.ops.divergences import divergence_sum
from bequest.transfer.pool import together
from bequest.transfer.terms import total, weighed

SENTENCES = tuple(language_models.SENTENCES)
KINDS = ("forward", "reverse", "jensen_shannon")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("language")
    teacher = {"use": "hf", "path": str(language_models.language_model(place)), "longest": 40}
    return {
        "teacher": Hf(path=str(place), longest=40).build((), "text", ()),
        "student": Smaller(of=teacher, layers=1).build((), "text", ()),
    }


def task(texts=SENTENCES, name="texts"):
    ids = np.arange(10, 10 + len(texts), dtype=np.int64)
    splits = {"train": Split(Texts(tuple(texts)), None, ids)}
    return SimpleNamespace(
        name=name, purpose="learn", labels=(), splits=splits, fingerprint=f"{name}-{len(texts)}"
    )


def distillation(folder, models, **settings):
    bench = workbench.bench(folder, models=models, tasks=[task()])
    rows = together(bench.tasks("learn"))
    return TokenDistillation(Kd(**settings), bench, rows), rows


def value(terms):
    return float(total(weighed(terms)).detach())


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_kept_gives_the_loss_of_a_live_teacher(tmp_path, models, kind):
    distil, rows = distillation(tmp_path, models, temperature=2.0, alpha=0.3, divergence=kind)
    batch = rows.batch(torch.tensor([2, 0, 3]))
    found = distil.loss(models["student"], batch, torch.Generator())
    texts = Texts(tuple(SENTENCES[row] for row in (2, 0, 3)))
    scores = {
        role: model.scores(model.states(model.encoded(texts))) for role, model in models.items()
    }
    targets = models["student"].encoded(texts).targets
    soft = divergence_sum(scores["teacher"], scores["student"], kind, 2.0) / len(targets)
    hard = functional.cross_entropy(scores["student"], targets)
    expected = 0.3 * hard + 0.7 * 4.0 * soft
    assert value(found) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_only_the_students_weights_get_a_gradient(tmp_path, models):
    distil, rows = distillation(tmp_path, models)
    batch = rows.batch(torch.tensor([0, 1]))
    total(weighed(distil.loss(models["student"], batch, torch.Generator()))).backward()
    assert all(weight.grad is None for weight in models["teacher"].module.parameters())
    assert any(weight.grad is not None for weight in models["student"].module.parameters())


def test_a_teacher_that_reads_longer_windows_reads_the_students(tmp_path, models):
    from dataclasses import replace

    wide = {**models, "teacher": replace(models["teacher"], longest=64)}
    long = task((" ".join(SENTENCES),), "long")
    bench = workbench.bench(tmp_path, models=wide, tasks=[long])
    rows = together(bench.tasks("learn"))
    distil = TokenDistillation(Kd(alpha=0.0), bench, rows)
    assert np.isfinite(value(distil.loss(wide["student"], rows.all(), torch.Generator())))


def test_on_its_own_texts_it_learns_from_the_teacher(tmp_path, models):
    rng = torch.Generator()
    for alpha, names in ((0.0, {"soft"}), (0.5, {"hard", "soft"})):
        folder = tmp_path / str(alpha)
        distil, rows = distillation(folder, models, on_policy=1.0, alpha=alpha)
        batch = rows.batch(torch.tensor([0, 1]))
        torch.manual_seed(0)
        terms = distil.loss(models["student"], batch, rng)
        assert set(terms) == names
        given, _ = distillation(folder / "given", models, on_policy=0.0, alpha=alpha)
        apart = given.loss(models["student"], batch, rng)
        assert value({"soft": terms["soft"]}) != pytest.approx(value({"soft": apart["soft"]}))
        if alpha:
            assert value({"hard": terms["hard"]}) == pytest.approx(value({"hard": apart["hard"]}))


@pytest.mark.parametrize("prompt", ["", "about the cat: " * 2])
def test_of_texts_longer_than_its_window_it_goes_on_from_less(tmp_path, models, prompt):
    distil, _ = distillation(tmp_path, models, on_policy=1.0)
    texts = Texts((" ".join(SENTENCES) * 9, "short"), (prompt, prompt) if prompt else ())
    torch.manual_seed(0)
    own = distil._written(texts)
    assert all(own.texts)
    begun = own.prompts[0]
    assert begun == prompt if prompt else texts.texts[0].startswith(begun) and begun


def test_other_tokens_are_refused_by_name(tmp_path, models):
    other = language_models.tokenizer(texts=["altogether different words here"] * 4)
    odd = {**models, "teacher": models["teacher"].__class__(
        models["teacher"].module, other, 40)}  # fmt: skip
    with pytest.raises(RequestError, match="read other tokens"):
        distillation(tmp_path, odd)


def test_a_classifier_does_not_teach_a_language_model(tmp_path, models):
    mixed = {**models, "teacher": workbench.model()}
    bench = workbench.bench(tmp_path, models=mixed, tasks=[task()])
    with pytest.raises(RequestError, match="`teacher` is no language model"):
        next(Kd().transfer(bench))


@pytest.mark.parametrize("kind", KINDS)
def test_divergences_are_zero_at_equality_and_positive_elsewhere(kind):
    draw = torch.Generator().manual_seed(3)
    target, logits = torch.randn(2, 5, 7, generator=draw, dtype=torch.float64).unbind()
    assert float(divergence_sum(target, target + 2, kind)) == pytest.approx(0, abs=1e-12)
    assert float(divergence_sum(target, logits, kind)) > 0.1


def test_divergences_by_their_definitions():
    draw = torch.Generator().manual_seed(4)
    target, logits = torch.randn(2, 5, 7, generator=draw, dtype=torch.float64).unbind()
    p, q = target.softmax(dim=1), logits.softmax(dim=1)
    middle = (p + q) / 2

    def kl(one, other):
        return float((one * (one / other).log()).sum())

    expected = {
        "forward": kl(p, q),
        "reverse": kl(q, p),
        "jensen_shannon": (kl(p, middle) + kl(q, middle)) / 2,
    }
    for kind, wanted in expected.items():
        assert float(divergence_sum(target, logits, kind)) == pytest.approx(wanted, rel=1e-9)
    swapped = divergence_sum(logits, target, "jensen_shannon")
    assert float(swapped) == pytest.approx(expected["jensen_shannon"], rel=1e-9)
