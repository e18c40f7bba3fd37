"""NNt: what few labels give by themselves is far above chance, and far below what more give."""

from __future__ import annotations

from _claim import Demand, checked
from adapting import CLASSES, accuracies, step, target

DEMANDS = (Demand("three labels", "chance", by=50.0), Demand("twelve labels", "three labels", 5.0))


def measure(seed):
    """Accuracies on the samples without labels, with three and with twelve labels a class."""
    few, more = (
        accuracies(seed, {"target": target(seed, labelled)}, [step("nnt", "nnt", "")])["nnt"]
        for labelled in (3, 12)
    )
    return {"three labels": few, "twelve labels": more, "chance": 100 / CLASSES}


test_demands = checked(measure, DEMANDS)
