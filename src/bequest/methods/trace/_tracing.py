"""What all methods of knowledge tracing share: the loss, and the epoch chosen by validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from bequest.build.tracer import log_odds, summed_nll
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Method, Requires, Role
from bequest.core.stage import Stage
from bequest.lazy import numpy as np
from bequest.ops.ranking import area_under_curve
from bequest.transfer.terms import Mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.build.trace_histories import Histories
    from bequest.core.live import Batch, Model
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class TraceMethod(Method):
    """Base of methods that train a network to predict a student's next answer.

    network: the model it trains, as after `use:`; any model of the user's own is trained too.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "student": Role("the network that learns", answers=("trace",), learns=True)
    }
    requires: ClassVar[Requires] = Requires(validation=True)
    network: ClassVar[str] = ""

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the network after training, as it was at the epoch that validated best.

        Raises:
            RequestError: the network is that of another method.
        """
        network, task = bench.model("student"), bench.task("learn")
        own = getattr(network, "network", self.network)
        if own != self.network:
            what = f"`{self.network}` trains a model `use: {self.network}`, not `use: {own}`"
            raise RequestError(Problem(what, f"use method `{own}`"))
        held_out = cast("Histories", task.validation.split.inputs)

        def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            return {"next_answer": Mean(*summed_nll(model, batch.inputs))}

        bench.fit(network, task.train, loss, select=lambda: ranked(network, held_out))
        yield Stage("trained", network, learned=task.name)


def ranked(model: Model, histories: Histories) -> float:
    """Area under the ROC curve of all predicted entries; 0.5 where all have the same answer."""
    odds, right = log_odds(model, histories), histories.right[histories.before() >= 0]
    if right.min() == right.max():
        return 0.5
    return float(area_under_curve(odds, right, np.full(len(odds), 1 / len(odds))))
