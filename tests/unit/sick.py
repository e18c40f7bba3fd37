"""Models and methods with a disease each, for the doctor to find; recipes name them `sick:name`."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import ClassVar

from bequest import Method, Role, Stage
from bequest.lazy import functional, torch


def layers(shape, labels, width, depth, between):
    """A deep perceptron."""
    nn = torch.nn
    widths = [prod(shape), *[width] * depth]
    parts = [nn.Flatten()]
    for before, after in pairwise(widths):
        parts += [nn.Linear(before, after), between()]
    return nn.Sequential(*parts, nn.Linear(width, len(labels)))


def dead(shape, labels):
    """Its second layer has rectifiers that no input ever reaches."""
    net = layers(shape, labels, 16, 2, torch.nn.ReLU)
    torch.nn.init.constant_(net[3].bias, -1000.0)
    return net


class Functional(torch.nn.Module):
    """Half of its rectified units are dead, and the rectifier is no module."""

    def __init__(self, shape, labels):
        super().__init__()
        self.first = torch.nn.Linear(prod(shape), 20)
        self.last = torch.nn.Linear(20, len(labels))
        with torch.no_grad():
            self.first.bias[:12] = -1000.0

    def forward(self, inputs):
        return self.last(functional.relu(self.first(inputs.flatten(1))))


def exploding(shape, labels):
    """Every layer multiplies the size of what it is given."""
    net = layers(shape, labels, 64, 6, torch.nn.ReLU)
    for part in net:
        if isinstance(part, torch.nn.Linear):
            torch.nn.init.normal_(part.weight, std=3.0)
    return net


def sigmoids(shape, labels):
    """Twelve layers of sigmoids."""
    return layers(shape, labels, 16, 12, torch.nn.Sigmoid)


def dropping(shape, labels):
    """A model that answers otherwise in training mode."""
    nn = torch.nn
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), 16), nn.ReLU(), nn.Dropout(0.5),
                         nn.Linear(16, len(labels)))  # fmt: skip


class Wakes(Method):
    """Distils from a teacher that it puts into training mode, if told to."""

    source: ClassVar[str] = "nowhere"
    roles: ClassVar = {
        "teacher": Role("asked"),
        "student": Role("learns", learns=True),
    }
    wakes: bool = True

    def transfer(self, bench):
        """One stage."""
        teacher, student = bench.model("teacher"), bench.model("student")
        if self.wakes:
            teacher.module.train()

        def loss(model, batch, rng):
            with torch.no_grad():
                soft = teacher.logits(batch.inputs).softmax(dim=1)
            return {"soft": functional.cross_entropy(model.logits(batch.inputs), soft)}

        bench.fit(student, bench.task().train, loss)
        yield Stage("distilled", student, learned=bench.task().name)
