"""General transfer and its flip study against the released code's own values.

Every `epoch_*.npz` in the folder is run through the method itself, on a bench that hands out the
samples in their stored order; its cases differ in strategy, teachers, temperature, alpha and k.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bequest.build.model import Classifier
from bequest.core.live import Batch
from bequest.lazy import functional, torch
from bequest.measure.contrasts import gain, negative_flips, positive_flips
from bequest.measure.flips import flip_study, gain_entropy
from bequest.methods.distill.general_transfer import GeneralTransfer, choose, flips
from bequest.transfer.terms import total, weighed

FOLDER = Path(__file__).parent / "general_transfer"
EPOCHS = sorted(path.stem for path in FOLDER.glob("epoch_*.npz"))
PARTITIONS = {
    "none": "none",
    "most-conf": "supervised",
    "most-conf_u": "unsupervised",
    "self-dist": "self",
}
NAMES = ("positive", "negative", "neutral")


def case(name):
    """The arrays of one case by name; scalars as Python values."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key: file[key] if file[key].ndim else file[key].item() for key in file}


def method_of(found):
    """The method with the settings of a case."""
    skipped = [
        name for name, then in zip(NAMES, found["on_flip"], strict=True) if then != "distill"
    ]
    return GeneralTransfer(
        partition=PARTITIONS.get(found["strategy"], found["strategy"]),
        temperature=found["T"],
        alpha=found["alpha"],
        top_k=found["k"],
        skip_flips=skipped,
        as_released=True,
    )


def linear(weight, bias):
    """A linear classifier with these weights [labels, width]."""
    module = torch.nn.Linear(weight.shape[1], weight.shape[0])
    module.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return Classifier(module, tuple(map(str, range(weight.shape[0]))))


class Epoch:
    """A bench that trains for one epoch by SGD, batches being consecutive slices."""

    def __init__(self, found):
        self.found = found
        self.inputs, self.targets = (torch.from_numpy(found[name]) for name in ("X", "y"))
        ids = torch.arange(len(self.targets))
        self.train = SimpleNamespace(ids=ids, targets=self.targets)
        self.student = linear(found["student0_W"], found["student0_b"])
        self.teachers = [
            linear(*parts) for parts in zip(found["teachers_W"], found["teachers_b"], strict=True)
        ]
        self.seen = []

    def model(self, role):
        return self.student

    def models(self, role):
        return self.teachers

    def task(self, purpose):
        return SimpleNamespace(name="task", train=self.train)

    def recall(self, model, rows):
        with torch.no_grad():
            answers = model.logits(self.inputs)
        return lambda batch: answers[batch.ids]

    def fit(self, student, rows, loss):
        optimizer = torch.optim.SGD(
            student.module.parameters(),
            lr=self.found["lr"],
            momentum=self.found["momentum"],
            weight_decay=self.found["weight_decay"],
        )
        for ids in torch.split(self.train.ids, self.found["batch_size"]):
            batch = Batch(ids, self.inputs[ids], self.targets[ids])
            with torch.no_grad():
                logits = student.logits(batch.inputs)
            optimizer.zero_grad()
            terms = weighed(loss(student, batch, None))
            total(terms).backward()
            optimizer.step()
            self.seen.append((batch, logits, terms))


@pytest.mark.parametrize("name", EPOCHS)
def test_an_epoch_ends_with_the_released_weights(name):
    found = case(name)
    bench = Epoch(found)
    list(method_of(found).transfer(bench))
    for part, key in (("weight", "student1_W"), ("bias", "student1_b")):
        weights = bench.student.module.state_dict()[part].numpy()
        np.testing.assert_allclose(weights, found[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", EPOCHS)
def test_an_epoch_logs_what_the_released_code_logs(name):
    found = case(name)
    bench = Epoch(found)
    list(method_of(found).transfer(bench))
    initial, *teachers = (linear(*parts) for parts in models_of(found))
    logged = [logs(found, *seen, initial, teachers) for seen in bench.seen]
    means = {key: float(np.mean([log[key] for log in logged])) for key in logged[0]}
    expected = {key: found[f"log_{key}"] for key in means}
    assert means == pytest.approx(expected, abs=1e-5)


def models_of(found):
    """Weights and biases of the initial student and of each teacher."""
    yield found["student0_W"], found["student0_b"]
    yield from zip(found["teachers_W"], found["teachers_b"], strict=True)


def logs(found, batch, logits, terms, initial, teachers):
    """What the released code logs of a batch."""
    with torch.no_grad():
        before = initial.logits(batch.inputs)
        said = torch.stack([teacher.logits(batch.inputs) for teacher in teachers])
    one = len(teachers) == 1
    live = flips(logits, said[0], batch.targets)
    moved = flips(before, logits, batch.targets)
    taught = teacher_taught(found, before, said, live, batch.targets)
    log = {
        "dist_loss": float(total(terms).detach()),
        "kl_loss": float(terms["soft"][1].detach()) * found["T"] ** 2,
        "xe_loss": float(functional.cross_entropy(logits.softmax(dim=1), batch.targets)),
        "teacher_input": 100 * share(taught),
        "k_gain_train": 100 * share(moved.positive),
        "k_loss_train": 100 * share(moved.negative),
        "dist_delta_train": 100 * (share(moved.positive) - share(moved.negative)),
        "pos_flips": share(live.positive) * one,
        "neg_flips": share(live.negative) * one,
        "neut_flips": share(live.neutral) * one,
    }
    by_confidence = one and found["strategy"].startswith("most-conf")
    for name, where in (("pos_to_teacher", live.positive), ("neg_to_teacher", live.negative)):
        log[name] = share(taught[where]) if by_confidence else 0.0
    return log


def teacher_taught(found, before, said, live, targets):
    """Which samples of a batch the released code counts as a teacher's."""
    strategy = found["strategy"]
    if strategy.startswith("most-conf"):
        labels = None if strategy.endswith("_u") else targets
        return choose(torch.cat([before[None], said]), labels) > 0
    counted = {"flip-st": live.positive, "flip-t": ~live.negative}
    return counted.get(strategy, torch.zeros_like(live.positive))


def share(mask):
    return float(mask.float().mean()) if len(mask) else 0.0


def test_flip_metrics():
    found = case("flip_metrics")
    labels = found["y"]
    before, after, teacher = (
        {"correct": (found[name] == labels).astype(np.uint8), "label": labels}
        for name in ("student_before", "student_after", "teacher")
    )
    even = np.full(len(labels), 1 / len(labels))

    def percent(metric, one, other):
        return 100 * float(metric.compute(one, other, even))

    study = flip_study(before, after, teacher, as_released=True)
    available = [percent(flip, before, teacher) for flip in (positive_flips, negative_flips)]
    left = [percent(flip, after, teacher) for flip in (positive_flips, negative_flips)]
    ours = {
        "m_student_acc": 100 * after["correct"].mean(),
        "m_dist_delta": percent(gain, before, after),
        "m_knowledge_gain": percent(positive_flips, before, after),
        "m_knowledge_loss": percent(negative_flips, before, after),
        "m_positive_flips": left[0],
        "m_negative_flips": left[1],
        "m_pos_flips_delta": left[0] - available[0],
        "m_neg_flips_delta": left[1] - available[1],
        **{f"m_top{percentage}pct_improve": 100 * top for percentage, top in study.top.items()},
        "m_other_improve": 100 * study.other,
        "m_ent_dist_flips": study.entropy,
        "m_transfer_rate": 100 * study.transfer_rate,
        "flips_pos_abs": study.available.sum(),
        "flips_neg_abs": round(available[1] * len(labels) / 100),
        "flips_pos_rel": available[0],
        "flips_neg_rel": available[1],
    }
    expected = {key: found[key] for key in found if key.startswith(("m_", "flips_"))}
    assert ours == pytest.approx(expected, abs=1e-9)
    assert float(gain_entropy.compute(before, after, even)) == pytest.approx(study.entropy)
