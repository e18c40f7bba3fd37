"""One thread for small models, where sharing a batch between threads costs more than it saves."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bequest.lazy import torch
from bequest.runner.facts import WORTH_SHARING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.runner.preparing import Prepared


@contextmanager
def fitting_threads(prepared: Prepared) -> Iterator[None]:
    """Run the block on one thread where every model is small, else on as many as torch has.

    It depends on the request and not on the machine's load, so equal requests end with equal bits.
    A number of threads that the user set (OMP_NUM_THREADS) stays.
    """
    before = torch.get_num_threads()
    most = max(facts.work for facts in prepared.facts.values())
    small = prepared.device.type == "cpu" and most < WORTH_SHARING
    if small and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
