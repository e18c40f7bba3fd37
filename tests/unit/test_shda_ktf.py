"""KTF, STN and NNt: what they never read, what changes nothing, what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bequest
from bequest.core.errors import RequestError
from bequest.core.live import Batch
from bequest.lazy import torch
from bequest.methods.adapt._heterogeneous import Everything, matched
from bequest.methods.adapt.nnt import NntNetwork
from bequest.methods.adapt.shda_ktf import ShdaKtf, ShdaKtfNetwork
from bequest.methods.adapt.stn import Stn, StnNetwork
from bequest.transfer.terms import total, weighed

pytestmark = pytest.mark.usefixtures("workdir")

NOISE = {"use": "class_noise", "classes": 3, "width": 8, "per_class": 12}
CLUSTERS = {**NOISE, "width": 5, "scale": 1.5, "seed": 7, "per_class": 10}
TARGET = {"use": "few_labels", "labelled": 2, "of": CLUSTERS}


def recipe(method="shda_ktf", **changes):
    """A small target beside noise."""
    made = {
        "models": {"student": {"use": method, "width": 8}},
        "tasks": {"target": dict(TARGET), "noise": dict(NOISE)},
        "method": {"use": method},
        "fit": {"steps": 20},
    }
    for path, value in changes.items():
        place = made
        *way, last = path.split("__")
        for part in way:
            place = place.setdefault(part, {})
        place[last] = value
    return made


def weights(run, role="student", step="shda_ktf"):
    return (run.path / "models" / step / role / "seed-0" / "model.safetensors").read_bytes()


def trained(out, *args, **changes):
    return bequest.run(recipe(*args, **changes), out=out)


def everything(seed=0, source=9, labelled=6, unlabelled=10, classes=3):
    """A step's samples in float64, every class with a label."""
    draw = torch.Generator().manual_seed(seed)

    def batch(count, width):
        inputs = torch.randn(count, width, dtype=torch.float64, generator=draw)
        return Batch(torch.arange(count), inputs, torch.arange(count) % classes)

    known = batch(labelled, 5)
    target = torch.cat([known.inputs, batch(unlabelled, 5).inputs])
    return Everything(0, batch(source, 8), known, target)


def network(seed=0, spread=1.0):
    torch.manual_seed(seed)
    made = ShdaKtfNetwork(width=8).build((5,), "features", ("0", "1", "2"))
    made.module.double()
    for weight in made.module.parameters():
        torch.nn.init.normal_(weight, std=spread)
    return made


def test_initial_weights_are_small_and_cut():
    for spec in (ShdaKtfNetwork, NntNetwork, StnNetwork):
        drawn = [
            w.detach() for w in spec(width=64).build((90,), "features", "ab").module.parameters()
        ]
        everything_drawn = torch.cat([each.flatten() for each in drawn])
        assert everything_drawn.abs().max() <= 0.02
        assert 0.0085 < everything_drawn.std() < 0.0091  # of a normal cut at twice its deviation


def test_projected_rows_have_length_one_whatever_the_scale_of_inputs():
    model, inputs = network(), everything().target
    found = model.project(inputs)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(inputs), dtype=torch.float64))
    torch.testing.assert_close(model.logits(1000 * inputs), model.logits(inputs))


def test_the_scale_of_source_rows_does_not_matter():
    given, model = everything(), network()
    large = given._replace(source=given.source._replace(inputs=95 * given.source.inputs))
    one, other = (total(weighed(ShdaKtf().terms(model, each))) for each in (given, large))
    torch.testing.assert_close(one, other)


def test_the_order_of_source_rows_does_not_matter():
    given, model = everything(), network()
    order = torch.randperm(len(given.source.ids))
    moved = Batch(*(part[order] for part in given.source[:3]))
    one, other = (
        total(weighed(ShdaKtf().terms(model, each)))
        for each in (given, given._replace(source=moved))
    )
    assert abs(float((one - other).detach())) < 1e-12


def test_gradients_flow_through_soft_labels():
    given, model = everything(), network()
    weight = model.module["classifier"].weight

    def discrepancy():
        return ShdaKtf().terms(model, given)["transfer"][1]

    (slope,) = torch.autograd.grad(discrepancy(), weight)
    assert slope.abs().max() > 1e-4
    with torch.no_grad():
        for place in ((0, 0), (2, 5)):
            ends = []
            for step in (1e-6, -1e-6):
                weight[place] += step
                ends.append(float(discrepancy()))
                weight[place] -= step
            assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float(slope[place]), rel=1e-5)


def test_biases_are_not_penalised():
    model, given = network(), everything()
    before = ShdaKtf().terms(model, given)["penalty"][1]
    with torch.no_grad():
        model.module["classifier"].bias += 3.0
    assert torch.equal(ShdaKtf().terms(model, given)["penalty"][1], before)


def test_a_class_without_labelled_target_works():
    given = everything()
    two = given._replace(
        labelled=given.labelled._replace(targets=torch.zeros(6, dtype=torch.int64))
    )
    loss = total(weighed(ShdaKtf().terms(network(), two)))
    loss.backward()
    assert torch.isfinite(loss.detach())


def test_stn_takes_soft_labels_in_step_by_step():
    torch.manual_seed(0)
    model = StnNetwork(width=8).build((5,), "features", ("0", "1", "2"))
    model.module.double()
    source, given = torch.nn.Linear(8, 8).double(), everything()

    def discrepancy(share):
        return float(Stn().terms(model, source, given, share)["transfer"][1].detach())

    assert len({discrepancy(share) for share in (0.0, 0.5, 1.0)}) == 3


def test_without_weight_the_source_has_no_effect():
    still = {"method__source_weight": 0.0, "method__transfer_weight": 0.0}
    one = trained("one", **still)
    other = trained("other", **still, tasks__noise={**NOISE, "seed": 5})
    assert weights(one) == weights(other)
    assert weights(trained("third", tasks__noise={**NOISE, "seed": 5})) != weights(one)


def test_labels_of_unlabelled_samples_are_never_read(monkeypatch):
    from bequest.build.tasks.few_labels import FewLabels

    honest, load = trained("honest"), FewLabels.load

    def lying(self, name):
        task = load(self, name)
        test = task.splits["test"]
        wrong = replace(test, targets=(test.targets + 1) % 3)
        return replace(task, splits={**task.splits, "test": wrong})

    monkeypatch.setattr(FewLabels, "load", lying)
    lied = trained("lied")
    assert weights(lied) == weights(honest)
    (adapted,) = (i for i, row in enumerate(lied.matrix.rows) if row.learned)
    value = [run.matrix.value("accuracy", adapted, "target").value for run in (honest, lied)]
    assert value[0] != value[1]


@pytest.mark.parametrize("method", ["shda_ktf", "stn"])
def test_both_losses_are_kept_beside_the_matrix(method):
    run = trained("run", method)
    (adapted,) = (i for i, row in enumerate(run.matrix.rows) if row.learned)
    for name in ("source_loss", "domain_discrepancy"):
        assert run.matrix.value(name, adapted).value > 0
    assert run.matrix.tasks == ("target",)


def test_the_delivered_model_answers_new_rows_like_any_classifier():
    run = trained("run")
    place = run.path / "models" / "shda_ktf" / "student" / "seed-0"
    unseen = {**TARGET, "tested": "unseen", "purpose": "learn"}
    asked = bequest.run(
        {
            "models": {"student": {"use": "saved", "path": str(place)}},
            "tasks": {"unseen": unseen},
            "method": {"use": "finetune"},
            "fit": {"epochs": 1},
        },
        out="new",
    )
    assert asked.matrix.value("accuracy", 0, "unseen").value > 0.5


def refused(**changes):
    with pytest.raises(RequestError) as caught:
        bequest.run(recipe(**changes), out="never")
    assert not Path("never").exists()
    return str(caught.value)


def test_bad_data_are_told_before_work_starts():
    assert "the source has 4 classes, the target `target` 3" in refused(
        tasks__noise={**NOISE, "classes": 4}
    )
    wide = refused(tasks__noise={**NOISE, "width": 9})
    assert "9 values a sample, the shared space 8" in wide
    assert "width: 9" in wide
    assert "no unlabelled split" in refused(tasks__target={**CLUSTERS, "purpose": "target"})
    two = refused(tasks__more=dict(NOISE))
    assert "one source, but there is `noise` too" in two
    assert "gate[0]" in refused(gate=["accuracy(noise) >= 0.5"])


def test_a_model_without_a_shared_space_is_refused():
    said = refused(models__student={"use": "mlp"})
    assert "asks `project`" in said


def test_a_source_class_without_samples_is_refused(monkeypatch):
    from bequest.build.tasks.class_noise import ClassNoise

    load = ClassNoise.load

    def lacking(self, name):
        task = load(self, name)
        if name != "noise":
            return task
        train = task.splits["train"]
        kept = np.flatnonzero(train.targets != 1)
        fewer = replace(
            train, inputs=train.inputs[kept], targets=train.targets[kept], ids=train.ids[kept]
        )
        return replace(task, splits={**task.splits, "train": fewer})

    monkeypatch.setattr(ClassNoise, "load", lacking)
    assert "no training sample of the class `1`" in refused()


def test_classes_are_matched_by_name_where_names_agree_and_by_place_elsewhere():
    assert matched(("b", "a"), ("a", "b")) == [1, 0]
    assert matched(("x", "y"), ("a", "b")) == [0, 1]


@pytest.mark.long
def test_a_rotated_source_serves_as_well(monkeypatch):
    from bequest.build.tasks.class_noise import ClassNoise

    load = ClassNoise.load
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((128, 128)))[0]

    def rotated(self, name):
        task = load(self, name)
        if name != "noise":
            return task
        train = task.splits["train"]
        turned = replace(train, inputs=train.inputs @ turn.astype(np.float32))
        return replace(task, splits={**task.splits, "train": turned})

    def reached(out):
        wide = {"tasks__noise__width": 128, "models__student__width": 128, "fit__steps": 200}
        clusters = {**CLUSTERS, "width": 40, "scale": 0.8, "per_class": 30}
        run = trained(out, **wide, tasks__target={**TARGET, "of": clusters})
        return run.matrix.value("accuracy", len(run.matrix.rows) - 1, "target").value

    plain = reached("plain")
    monkeypatch.setattr(ClassNoise, "load", rotated)
    assert plain > 0.8
    assert reached("rotated") == pytest.approx(plain, abs=0.05)
