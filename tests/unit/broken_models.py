"""Networks that answer what is no number, or can't be trained on a single sample.

Recipes name them `broken_models:name`.
"""

from __future__ import annotations

from math import prod

from bequest.lazy import torch

HIGH = 0.8  # of the first feature


class Answering(torch.nn.Module):
    """A linear classifier whose answers are changed by a function of inputs and logits."""

    def __init__(self, shape, labels, change):
        super().__init__()
        self.layer = torch.nn.Linear(prod(shape), len(labels))
        self.change = change

    def forward(self, inputs):
        flat = inputs.flatten(1)
        return self.change(flat, self.layer(flat))


def nan_where_high(shape, labels):
    """Answers NaN where the first feature is high."""
    return Answering(shape, labels, lambda x, y: torch.where(x[:, :1] > HIGH, torch.nan, y))


def never_the_first(shape, labels):
    """Rules out the first label, by a logit of −∞."""
    mask = torch.zeros(len(labels)).index_fill(0, torch.tensor([0]), -torch.inf)
    return Answering(shape, labels, lambda x, y: y + mask)


def linear(shape, labels):
    """Nothing but a layer."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(prod(shape), len(labels)))


def nan_weight(shape, labels):
    """The same with a weight that is no number."""
    net = linear(shape, labels)
    with torch.no_grad():
        net[1].weight[0, 0] = torch.nan
    return net


def batch_norm(shape, labels):
    """Two layers with batch norm between them."""
    nn = torch.nn
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), 8), nn.BatchNorm1d(8), nn.ReLU(),
                         nn.Linear(8, len(labels)))  # fmt: skip
