"""One thread for small models, where sharing a batch between threads costs more than it saves."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.core.live import Model
    from bequest.runner.preparing import Prepared

# Measured on two cores with MLPs and CNNs: below this a second thread makes a training step slower
# (by 2.8 times for the smallest), above it faster.
WORTH_SHARING = 1e8


@contextmanager
def fitting_threads(prepared: Prepared) -> Iterator[None]:
    """Run the block on one thread where every model is small, else on as many as torch has.

    It depends on the request and not on the machine's load, so equal requests end with equal bits.
    A number of threads that the user set (OMP_NUM_THREADS) stays.
    """
    before = torch.get_num_threads()
    small = prepared.device.type == "cpu" and _most_work(prepared) < WORTH_SHARING
    if small and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _most_work(prepared: Prepared) -> float:
    plan = prepared.plan
    batch = max(step.fit.batch_size for step in plan.steps)
    shape = next(iter(prepared.tasks.values())).shape
    models = (prepared.build(name, plan.seeds[0]) for name in plan.models)
    return max(_work(model, (batch, *shape)) for model in models)


def _work(model: Model, shape: tuple[int, ...]) -> float:
    """Floating-point operations of one forward pass over a batch."""
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.module(torch.zeros(shape))
    except Exception:  # noqa: BLE001 — a module of the user's own may want other inputs
        return 2.0 * shape[0] * sum(weight.numel() for weight in model.module.parameters())
    return float(counter.get_total_flops())
