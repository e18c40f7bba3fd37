"""Built-in tasks, and what is recorded of an answer."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from bequest.build.classification import label_space, to_tensor
from bequest.build.model import Classifier
from bequest.core.errors import RequestError
from bequest.core.find import find, known

SIZES = {"digits": (1797, (1, 8, 8)), "wine": (178, (13,)), "breast_cancer": (569, (30,))}


@pytest.fixture(scope="module")
def digits():
    return find("tasks", "digits")().load("digits")


@pytest.mark.parametrize("name", SIZES)
def test_bundled_tasks_are_whole(name):
    task = find("tasks", name)().load("mine")
    count, shape = SIZES[name]
    ids = np.concatenate([split.ids for split in task.splits.values()])
    assert (task.name, task.shape, task.asks) == ("mine", shape, "logits")
    assert len(ids) == len(set(ids.tolist())) == count
    assert list(task.labels) == sorted(task.labels)
    for split in task.splits.values():
        assert split.inputs.shape == (len(split), *shape)
        assert split.inputs.dtype == np.float32
        assert set(split.targets.tolist()) == set(range(len(task.labels)))


def test_digits_lie_between_0_and_1(digits):
    assert digits.splits["train"].inputs.min() == 0
    assert digits.splits["train"].inputs.max() == 1


def test_features_are_standardised_by_training_only():
    wine = find("tasks", "wine")().load("wine").splits
    assert np.allclose(wine["train"].inputs.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(wine["train"].inputs.std(axis=0), 1, atol=1e-5)
    assert abs(wine["test"].inputs.mean(axis=0)).max() > 0.01
    raw = find("tasks", "wine")(standardize=False).load("wine").splits
    assert raw["train"].inputs.max() > 1000


def test_tumours_keep_their_names():
    raw = find("tasks", "breast_cancer")(standardize=False).load("t")
    size = np.concatenate([split.inputs[:, 0] for split in raw.splits.values()])
    target = np.concatenate([split.targets for split in raw.splits.values()])
    assert size[target == raw.labels.index("malignant")].mean() > 15 > size[target == 0].mean()


def test_the_fingerprint_tells_other_data_apart():
    def made(**fields):
        return find("tasks", "wine")(**fields).load("x").fingerprint

    same, prints = made(), {made(), made(split_seed=1), made(standardize=False), made(test=0.3)}
    assert same in prints
    assert len(prints) == 4


class Known(torch.nn.Module):
    """Gives the logits it was made with, row by row; dropout tells whether it is training."""

    def __init__(self, logits):
        super().__init__()
        self.logits, self.at = logits, 0
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, inputs):
        rows = self.logits[self.at : self.at + len(inputs)]
        self.at += len(inputs)
        return self.drop(rows)


def test_what_is_recorded(digits):
    test = digits.splits["test"]
    logits = torch.randn(len(test), 10, generator=torch.Generator().manual_seed(0))
    model = Classifier(Known(logits), digits.labels)
    model.module.drop.eval()
    outcomes = digits.record(model, 50)
    log_p = logits.double() - logits.double().logsumexp(1, keepdim=True)
    rows = np.arange(len(test))
    columns = outcomes.columns
    assert np.allclose(columns["nll"], -log_p.numpy()[rows, test.targets], atol=1e-5)
    assert np.allclose(columns["confidence"], log_p.exp().max(1).values, atol=1e-6)
    assert columns["predicted"].tolist() == logits.argmax(1).tolist()
    assert columns["correct"].tolist() == (logits.argmax(1).numpy() == test.targets).tolist()
    assert columns["label"].tolist() == test.targets.tolist()
    assert outcomes.sample.tolist() == test.ids.tolist()
    assert model.module.training
    assert not model.module.drop.training


def test_labels_are_compared_by_name(digits):
    test = digits.splits["test"]
    logits = torch.nn.functional.one_hot(torch.from_numpy(test.targets), 10).float()
    turned = Classifier(Known(logits.flip(1)), digits.labels[::-1])
    assert digits.record(turned, 64).columns["correct"].all()
    with pytest.raises(RequestError, match="doesn't know `9`"):
        digits.record(Classifier(Known(logits), digits.labels[:9]), 64)


def test_a_model_may_adapt_to_the_test_inputs(digits):
    class Adaptive(Classifier):
        def adapt(self, unlabelled):
            seen.append(unlabelled.shape)
            return Classifier(self.module, self.labels)

    seen = []
    logits = torch.zeros(len(digits.splits["test"]), 10)
    digits.record(Adaptive(Known(logits), digits.labels), 64)
    assert seen == [(len(digits.splits["test"]), 1, 8, 8)]


def test_a_small_cnn_learns_to_read(digits):
    torch.manual_seed(0)
    model = find("models", "cnn")(width=8).build(digits.shape, digits.kind, digits.labels)
    train = digits.splits["train"]
    inputs, targets = to_tensor(train.inputs), torch.from_numpy(train.targets)
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=1e-2)
    for _ in range(4):
        for rows in torch.randperm(len(train)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model.logits(inputs[rows]), targets[rows]).backward()
            optimizer.step()
    assert digits.record(model, 128).columns["correct"].mean() > 0.9


def test_bytes_become_shares_of_255():
    frozen = np.array([0, 51, 255], np.uint8)
    frozen.flags.writeable = False
    assert to_tensor(frozen).tolist() == pytest.approx([0, 0.2, 1])


def test_label_spaces_are_sorted_as_people_sort():
    assert label_space(["10", "2", "x", "1", "2"]) == ("1", "2", "10", "x")
    assert label_space(["v10", "v9", "v010"])[0] == "v9"
    with pytest.raises(RequestError, match="all samples have the label `a`"):
        label_space(["a", "a"])


def test_naming_parts_loads_no_heavy_library():
    code = """
import sys
from bequest.core.find import find, known
for kind in ("models", "tasks"):
    for name in known(kind):
        find(kind, name)
heavy = {"torch", "transformers", "datasets", "numpy", "pyarrow", "sklearn", "PIL"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_task_has_a_summary():
    assert all(entry.summary for entry in known("tasks").values())


def test_labels_that_are_whole_numbers_stand_in_their_order():
    names = ["1", "-1", "10", "2", "-10", "-2", "0", "b2", "b10", "-x"]
    assert label_space(names) == ("-10", "-2", "-1", "0", "1", "2", "10", "-x", "b2", "b10")
