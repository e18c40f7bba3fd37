"""What methods share that adapt across kinds of inputs: networks, full batches, checks of data.

A target of few labels and many samples without learns beside a source whose rows are of another
dimension and mean other things. No sample of one belongs to one of the other; only the number of
classes is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from pydantic import Field

from bequest.core.errors import Problem, RequestError
from bequest.core.parts import ModelSpec
from bequest.lazy import functional, torch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench, TaskView

SLOPE = 0.2  # of LeakyReLU below 0, as the framework of the released code has it
DEVIATION = 0.01  # of all initial weights and biases, which are cut at twice this
PENALTY = "Half of it times all squared weights is added to the loss (the paper's tau); no biases."


class Everything(NamedTuple):
    """All samples of a step of training: these methods take the full batch.

    step: optimiser steps done. source: its targets are indices into the labels of the target.
    target: inputs [n, …] of the target, those with labels first. labelled: those alone.
    """

    step: int
    source: Batch
    labelled: Batch
    target: torch.Tensor


@dataclass(eq=False)
class Projecting:
    """A classifier of the target: inputs are taken into a space shared with a source, and labelled.

    module: `projector` and `classifier`. unit: whether rows end with length 1 in that space.
    """

    module: Any
    labels: tuple[str, ...]
    unit: bool
    answers: Collection[str] = frozenset({"logits", "project"})

    def project(self, inputs: torch.Tensor) -> torch.Tensor:
        """Rows of length 1 (inputs [batch, …], flattened) in the shared space: [batch, width]."""
        found = self.module["projector"](unit_rows(inputs))
        return unit_rows(found) if self.unit else cast("torch.Tensor", found)

    def classify(self, projected: torch.Tensor) -> torch.Tensor:
        """One score per label for rows of the shared space: [batch, labels]."""
        return cast("torch.Tensor", self.module["classifier"](projected))

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """One unnormalised score per label for inputs [batch, …]: [batch, labels]."""
        return self.classify(self.project(inputs))


class ProjectingNetwork(ModelSpec):
    """Base of the networks of methods that adapt: dense layers with LeakyReLU, and a classifier.

    unit: whether rows end with length 1 in the shared space; halfway: whether a layer of half the
    way from the inputs' width to that of the space lies before it.
    """

    answers: ClassVar[Collection[str]] = frozenset({"logits", "project"})
    takes: ClassVar[Collection[str]] = frozenset({"features", "image"})
    unit: ClassVar[bool] = False
    halfway: ClassVar[bool] = False

    width: int = Field(256, ge=1, le=65_536, description="Width of the shared space.")

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Projecting:
        """New weights for inputs of any `shape`, which are flattened."""
        classifier = _small(torch.nn.Linear(self.width, len(labels)))
        layers = {"projector": self.projector(prod(shape)), "classifier": classifier}
        return Projecting(torch.nn.ModuleDict(layers), labels, self.unit)

    def projector(self, inputs: int) -> torch.nn.Module:
        """New layers from so many inputs into the shared space."""
        between = [(inputs + self.width) // 2] if self.halfway else []
        return projector([inputs, *between, self.width])


def projector(widths: Sequence[int]) -> torch.nn.Module:
    """Dense layers of these widths, LeakyReLU behind each."""
    layers = [
        layer
        for width, following in pairwise(widths)
        for layer in (_small(torch.nn.Linear(width, following)), torch.nn.LeakyReLU(SLOPE))
    ]
    return torch.nn.Sequential(*layers)


def _small(layer: torch.nn.Linear) -> torch.nn.Linear:
    for drawn in (layer.weight, layer.bias):
        torch.nn.init.trunc_normal_(drawn, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)
    return layer


def unit_rows(inputs: torch.Tensor) -> torch.Tensor:
    """Inputs [batch, …] as rows of length 1, [batch, width]; rows of zeros stay."""
    return functional.normalize(inputs.flatten(1), dim=1)


def squared_weights(module: torch.nn.Module) -> torch.Tensor:
    """The sum of all squared weights, biases left out."""
    weights = [each for each in module.parameters() if each.ndim > 1]
    return torch.stack([each.square().sum() for each in weights]).sum()


def one_hot(targets: torch.Tensor, classes: int, like: torch.Tensor) -> torch.Tensor:
    """Which class each row has, in the type of `like`: [batch, classes]."""
    return functional.one_hot(targets, classes).to(like.dtype)


def everything(bench: Bench) -> Callable[[int, Any, torch.Generator], Everything]:
    """Full batches of the step's source and target, for `bench.fit`."""
    source, target = bench.task("source"), bench.task("target")
    taught, labelled = source.train.all(), target.train.all()
    places = torch.tensor(matched(source.labels, target.labels), device=taught.ids.device)
    taught = taught._replace(targets=places[taught.targets])
    inputs = torch.cat([labelled.inputs, target.unlabelled.all().inputs])
    return lambda step, modules, rng: Everything(step, taught, labelled, inputs)


def matched(source: Sequence[str], target: Sequence[str]) -> list[int]:
    """For each label of the source the place of its class among those of the target.

    Classes with the same names belong together; where the names differ, those at the same place.
    """
    if set(source) == set(target):
        return [list(target).index(label) for label in source]
    return list(range(len(source)))


def data_problems(tasks: Sequence[TaskView]) -> Iterator[Problem]:
    """What keeps a source and a target from being adapted to each other."""
    sources = [task for task in tasks if task.purpose == "source"]
    targets = [task for task in tasks if task.purpose == "target"]
    for purpose, found in (("source", sources), ("target", targets)):
        for extra in found[1:]:
            what = f"a step adapts one {purpose}, but there is `{found[0].name}` too"
            yield Problem(what, "name one of each with `tasks:` of the step", ("tasks", extra.name))
    if len(sources) == 1 and len(targets) == 1:
        yield from _pair_problems(sources[0], targets[0])


def _pair_problems(source: TaskView, target: TaskView) -> Iterator[Problem]:
    ours, theirs = len(target.labels), len(source.labels)
    if ours != theirs:
        what = f"the source has {theirs} classes, the target `{target.name}` {ours}"
        fix = "they must have equally many; which they are, and their names, does not matter"
        yield Problem(what, fix, ("tasks", source.name))
    targets = source.train.split.targets
    occurring = set() if targets is None else set(targets.tolist())
    empty = [label for place, label in enumerate(source.labels) if place not in occurring]
    if empty:
        names = ", ".join(f"`{label}`" for label in empty[:10])
        what = f"the source has no training sample of the class {names}"
        yield Problem(what, "every class of the source needs one", ("tasks", source.name))
    try:
        target.unlabelled  # noqa: B018 — it says what is missing
    except RequestError as error:
        yield from (problem.under("tasks", target.name) for problem in error.problems)
