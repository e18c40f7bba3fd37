"""A live model that traces what students know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bequest.build.answered import refuse_nan
from bequest.build.trace_histories import of_like_length, padded
from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.core.live import Ragged
from bequest.lazy import functional, torch
from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from bequest.build.trace_histories import Histories, Steps
    from bequest.core.live import Model

KIND = "answers"
ENTRIES = 8192  # of histories that are asked about at once, padding included


@dataclass(eq=False)
class Tracer:
    """Base of networks over the steps of histories, with the concepts they know.

    module: the layers by name; what is computed with them is the class's.
    labels: names of the concepts, by the network's numbers.
    network: what its architecture is called, as after `use:`.
    """

    module: torch.nn.Module
    labels: tuple[str, ...]
    network: str
    answers: Collection[str] = frozenset({"trace"})

    @property
    def layers(self) -> Any:
        """The layers, by name."""
        return self.module

    def asked(self, steps: Steps) -> torch.Tensor:
        """Log-odds that the answer of each predicted step is right: [predicted]."""
        raise NotImplementedError

    def trace(self, histories: Histories) -> Ragged:
        """Log-odds that each entry after a student's first question is right.

        Raises:
            RequestError: a student was asked about a concept that the model doesn't know.
        """
        device = next(self.module.parameters()).device
        steps = padded(histories, self._numbers(histories), device)
        return Ragged(self.asked(steps), (steps.before >= 0).sum(dim=1))

    def _numbers(self, histories: Histories) -> NDArray[np.int64] | None:
        if histories.names == self.labels:
            return None
        known = {name: number for number, name in enumerate(self.labels)}
        numbers = np.array([known.get(name, -1) for name in histories.names], np.int64)
        unknown = np.unique(histories.concept[numbers[histories.concept] < 0]).tolist()
        if unknown:
            raise RequestError(unknown_concepts([histories.names[i] for i in unknown], self.labels))
        return numbers


def read_out(states: torch.Tensor, layer: torch.nn.Linear, concept: torch.Tensor) -> torch.Tensor:
    """One score a state, for the concept that is asked: [predicted].

    Equal to the same entry of `layer(states)`, whose other entries nobody asks for: with a
    thousand concepts those would take most of a training step. states: [predicted, width].
    """
    weight = functional.embedding(concept, layer.weight)
    return (states * weight).sum(dim=1) + layer.bias[concept]


def unknown_concepts(names: list[str], known: tuple[str, ...]) -> Problem:
    """The problem of concepts that a model was not trained on."""
    few = ", ".join(f"`{name}`" for name in names[:8])
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    what = f"the concepts {few}{more} are unknown to the model"
    fix = f"it knows {len(known)}, from `{known[0]}` to `{known[-1]}`" if known else ""
    return Problem(what, fix, meant=did_you_mean(names[0], known))


def histories_only(who: str, kind: str, labels: tuple[str, ...]) -> None:
    """Refuse any inputs but histories.

    Raises:
        RequestError: the task has other inputs.
    """
    if kind != KIND or not labels:
        what = f"`{who}` takes histories of answers, but the inputs are {kind or 'unknown'}"
        raise RequestError(Problem(what, "give it a task like `use: trace`"))


def log_odds(model: Model, histories: Histories) -> NDArray[np.float64]:
    """What a model answers for every entry that has something before it, in their order.

    Raises:
        NotNumbers: an answer is NaN.
    """
    from bequest.build.classification import answering  # NumPy; a recipe is checked without it

    asked = histories.before() >= 0
    found = np.full(len(asked), np.nan)
    with answering(model.module):
        for places in of_like_length(histories, ENTRIES):
            entries = histories.entries(places)
            values = cast("Any", model).trace(histories[places]).values
            found[entries[asked[entries]]] = values.double().cpu().numpy()
    refuse_nan(found[asked])
    return found[asked]


def summed_nll(model: Any, histories: Histories) -> tuple[torch.Tensor, int]:
    """Negative log-likelihood of all answers but each student's first, in nats; and their number.

    An entry counts as one answer.
    """
    values = model.trace(histories).values
    right = histories.right[histories.before() >= 0]
    targets = torch.from_numpy(right).to(values)
    loss = functional.binary_cross_entropy_with_logits(values, targets, reduction="sum")
    return loss, len(right)
