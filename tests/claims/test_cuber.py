"""CUBER: a later task that agrees with a weak first one improves it, which TRGP can't."""

from __future__ import annotations

from dataclasses import dataclass

from _claim import Demand, checked
from moved_concepts import measured


@dataclass(frozen=True)
class OnAverage(Demand):
    """Over the seeds, the mean difference is at least `by`, and its 95 % interval above zero."""

    def __str__(self):
        return f"on average {super().__str__()}"

    def judged(self, per_seed):
        found = super().judged(per_seed)
        return {**found, "held": found["mean"] >= self.by and found["interval"][0] > 0}


BACKWARD = Demand("cuber_bwt", "trgp_bwt", by=1.0)
DEMANDS = (BACKWARD, OnAverage("cuber_acc", "trgp_acc", by=1.0))


def measure(seed):
    """Accuracy and backward transfer of fine-tuning, GPM, TRGP and CUBER."""
    return measured(seed, ("fine_tuning", "gpm", "trgp", "cuber"))


test_demands = checked(measure, (BACKWARD,))
