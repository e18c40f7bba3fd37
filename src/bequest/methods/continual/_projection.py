"""Learning task after task by projected gradients: what GPM, TRGP and CUBER share.

Steps are numbered as in CUBER, of which the others are modes: in GPM every old task is in regime
1, in TRGP in 1 or 2. The weights of linear and convolution layers learn; all other parameters
(biases, normalisation) and running statistics stay as the first task left them. With one head per
task, heads are free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Requires, Role
from bequest.lazy import torch
from bequest.methods.continual._layers import (
    Scaled,
    others,
    protected_layers,
    representations,
    with_statistics,
)
from bequest.methods.continual._memory import Learnt, Memory, Protection
from bequest.methods.continual._sequence import (
    LEARNER_OF_LABELS,
    Learner,
    SuccessiveMethod,
    answering,
)
from bequest.ops.subspaces import next_bases, off
from bequest.transfer.learning import own_loss

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bequest.core.live import Batch, Model
    from bequest.core.pack import Pack
    from bequest.methods.continual._layers import ByLayer, Pairs
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.terms import Term


class Projection(SuccessiveMethod):
    """Base of methods that project gradients off the subspaces that old tasks use."""

    roles: ClassVar[Mapping[str, Role]] = LEARNER_OF_LABELS
    fit_defaults: ClassVar[Mapping[str, Any]] = {"optimizer": {"use": "sgd", "lr": 0.01}}
    requires: ClassVar[Requires] = Requires(optimizer="sgd", plain=True, least_tasks=2)

    threshold: float | tuple[float, ...] = Field(
        0.97, description="Share of a layer's energy to protect, in (0, 1]; one, or one per layer."
    )
    threshold_growth: float = Field(
        0.003, ge=0, lt=1, description="Added to the threshold with each further task, up to 1."
    )
    samples: int = Field(
        125, ge=1, description="Training samples that subspaces and gradients are taken from."
    )

    def check(self) -> list[Problem]:
        """Thresholds are shares."""
        found = super().check()
        given = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,)
        if not given or not all(0 < share <= 1 for share in given):
            found.append(Problem("must be above 0 and at most 1", field=("threshold",)))
        return found

    def learner(self, bench: Bench, model: Model) -> ProjectionLearner:
        """What learns the tasks under one seed."""
        return ProjectionLearner(self, bench, model)

    def thresholds(self, layers: Collection[str], number: int) -> dict[str, float]:
        """The threshold of each layer for the task `number`, which counts from 0.

        Raises:
            RequestError: there is neither one for all layers nor one for each.
        """
        given = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,)
        if len(given) not in (1, len(layers)):
            what = f"there are {len(given)} thresholds, but {len(layers)} layers to protect"
            fix = f"give one for all, or one for each of {', '.join(layers)}"
            raise RequestError(Problem(what, fix, ("method", "threshold")))
        shares = given if len(given) > 1 else given * len(layers)
        grown = [min(1.0, share + self.threshold_growth * number) for share in shares]
        return dict(zip(layers, grown, strict=True))


class ProjectionLearner(Learner):
    """Learns the tasks of one seed; by itself it protects all that old tasks use."""

    as_released = False

    def __init__(self, method: Projection, bench: Bench, model: Model) -> None:
        super().__init__(bench, model)
        self.method = method
        self.layers = protected_layers(model)
        self.method.thresholds(self.layers, 0)  # a wrong number of them is said before any work
        self.memory = Memory()
        self._frozen: list[torch.nn.Parameter] = []

    def before_task(self, task: TaskView) -> None:
        """Steps 1 and 2: find the regimes of old tasks, and open the task's effective weights."""
        if self.memory.learnt:
            self._freeze()
        self.asked = answering(self.model, task.name)
        self.protection = Protection(self.memory, self.regimes(task))
        self.keep = [self.protection]

    def regimes(self, task: TaskView) -> dict[str, dict[str, int]]:
        """By layer and old task: 1, 2 or 3."""
        return {layer: dict.fromkeys(self.memory.learnt, 1) for layer in self.layers}

    def modules(self, task: TaskView) -> dict[str, Any]:
        """The model, and whatever trains beside it."""
        return {"student": self.asked}

    def loss(self, modules: Any, batch: Batch, rng: torch.Generator) -> Mapping[str, Term]:
        """Step 3: the loss of the task."""
        for part in with_statistics(self.model.module) if self.memory.learnt else ():
            part.eval()
        return {"hard": own_loss(modules["student"], batch)}

    def on_gradient(self, modules: Any, step: int) -> None:
        """Step 4: no weight moves within the subspaces of protected tasks."""
        for name, layer in self.layers.items():
            slope, basis = layer.weight.grad, self.protection.basis(name, layer.weight)
            if slope is not None and basis is not None:
                layer.weight.grad = off(slope.flatten(1), basis).view_as(slope)

    def after_task(self, task: TaskView) -> None:
        """Steps 6 and 7: keep the subspaces that the task uses, and its effective weights."""
        found = self.bench.remember(f"subspaces of {task.name}", lambda: self._looked_at(task))
        # What was looked up in the journal lies on the CPU.
        slopes = {name: slope.to(self.layers[name].weight)
                  for name, slope in found["gradients"].items()}  # fmt: skip
        kept = Learnt(found["own"], slopes, self.pairs())
        self.memory.add(task.name, kept, found["new"])

    def gradients(self, batch: Batch) -> ByLayer:
        """By layer, what is kept of the gradient of the task just learnt: nothing."""
        return {}

    def pairs(self) -> Pairs:
        """By layer and old task, what the task's effective weights are made of: nothing."""
        return {}

    def shown(self, task: TaskView) -> Remembering:
        """The model with the effective weights of every task so far, as they now are."""
        learnt = {name: kept.pairs for name, kept in self.memory.learnt.items()}
        return Remembering(self.model, learnt | {task.name: self.pairs()})

    def packs(self, task: TaskView) -> Mapping[str, Pack]:
        """What the task's effective weights are made of."""
        return self.memory.packs(task.name)

    def sample(self, task: TaskView, name: str) -> Batch:
        """A random batch of the task; `name` decides which."""
        rows = torch.randperm(len(task.train), generator=self.bench.rng(f"{name} {task.name}"))
        return task.train.batch(rows[: self.method.samples].to(self.bench.device))

    def end(self) -> None:
        """Let all that was frozen train again, in whatever comes after."""
        for weight in self._frozen:
            weight.requires_grad_(True)

    def _freeze(self) -> None:
        for weight in others(self.model, self.layers):
            weight.requires_grad_(False)
            self._frozen.append(weight)

    def _looked_at(self, task: TaskView) -> dict[str, ByLayer]:
        batch = self.sample(task, "subspaces")
        shares = self.method.thresholds(self.layers, len(self.memory.learnt))
        found = {
            layer: next_bases(seen, self._accumulated(layer, seen), shares[layer],
                              as_released=self.as_released)
            for layer, seen in representations(self.asked, self.layers, batch.inputs).items()
        }  # fmt: skip
        return {
            "own": {layer: bases.own for layer, bases in found.items()},
            "new": {layer: bases.new for layer, bases in found.items()},
            "gradients": self.gradients(batch),
        }

    def _accumulated(self, layer: str, seen: torch.Tensor) -> torch.Tensor:
        return self.memory.accumulated.get(layer, seen[:, :0])


@dataclass(eq=False)
class Remembering:
    """A model that answers every task it has learnt with that task's effective weights.

    Without a task, or asked by one it has not learnt, it answers with its plain weights.

    pairs: by task, what its effective weights are made of; see `Scaled`.
    """

    model: Any
    pairs: Mapping[str, Pairs]
    answers: Collection[str] = frozenset({"logits"})

    def __post_init__(self) -> None:
        self.module: torch.nn.Module = self.model.module
        self.labels: tuple[str, ...] = tuple(self.model.labels)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """One unnormalised score per label for inputs [batch, …]: [batch, labels]."""
        logits: torch.Tensor = self.model.logits(inputs)
        return logits

    def for_task(self, name: str) -> Any:
        """The model as it answers for a task.

        Raises:
            NotLearned: it has one head per task, and none for this one.
        """
        asked, pairs = answering(self.model, name), self.pairs.get(name)
        return Scaled(asked, pairs) if pairs else asked
