"""Similar domains in a row help each other and forget the rest; random order keeps more."""

from __future__ import annotations

import numpy as np
from _claim import Demand, checked
from domains import DOMAINS, WIDTH, walked

UNIT = "perplexity"
DEMANDS = (
    Demand("single", "similar when learned", by=0.0),
    Demand("similar at the end", "random at the end", by=0.0),
    Demand("similar forgetting", "random forgetting", by=0.0),
    Demand("random bwt over given", "similar bwt over given", by=0.0),
    Demand("random fwt over given", "similar fwt over given", by=0.0),
)


def measure(seed):
    """Mean perplexities, and their differences, for both orders.

    The same of a wider network, on which nothing is demanded: the paper's finding that larger
    models forget less does not show on a problem as small as this.
    """
    wide = {f"wide {name}": value for name, value in _measured(seed, 32).items()}
    return _measured(seed, WIDTH) | wide


def _measured(seed, width):
    found = walked(seed, width)
    values = {"given": _mean(found["given"]), "single": _mean(found["single"])}
    for order in ("similar", "random"):
        learned, grid = found[order]
        perplexity = np.exp(grid / 100)
        before = np.exp(found["given"][[DOMAINS.index(name) for name in learned]] / 100)
        gain = before - perplexity  # [stage, domain]
        values |= {
            f"{order} when learned": perplexity.diagonal().mean(),
            f"{order} at the end": perplexity[-1].mean(),
            f"{order} forgetting": (perplexity[-1] - perplexity.diagonal()).mean(),
            f"{order} bwt over given": gain[np.tril_indices(len(gain), -1)].mean(),
            f"{order} fwt over given": gain[np.triu_indices(len(gain), 1)].mean(),
        }
    return {name: round(float(value), 3) for name, value in values.items()}


def _mean(log_perplexities):
    return np.exp(log_perplexities / 100).mean()


test_demands = checked(measure, DEMANDS)
