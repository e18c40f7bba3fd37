"""KTF: noise helps a target of few labels if it has classes, whichever; one without them harms.

The controlled problem of the method's card: ten classes, three labels and 60 samples without in
each, measured on these. Sources are noise: with class means, with small ones, under exchanged
names, uniform, under shuffled labels, and around one common mean.
"""

from __future__ import annotations

from _claim import Demand, checked
from adapting import SOURCES, accuracies, sources, step, target

DEMANDS = (
    Demand("structured", "nnt", by=5.0),
    Demand("exchanged", "structured", by=-3.0),
    Demand("structured", "exchanged", by=-3.0),
    Demand("structured", "uniform", by=0.0),
    Demand("uniform", "common", by=0.0),
    Demand("nnt", "common", by=0.0),
)


def measure(seed):
    """Accuracies with each source, and without any."""
    steps = [step(name, "shda_ktf", name, steps=300) for name in SOURCES]
    tasks = {"target": target(seed), **sources(seed)}
    return accuracies(seed, tasks, [step("nnt", "nnt", ""), *steps])


test_demands = checked(measure, DEMANDS)
