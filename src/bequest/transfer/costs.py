"""What work costs: time is measured where it is done, memory here."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from bequest.lazy import torch

_STATM = Path("/proc/self/statm")


def peak_memory() -> float:
    """Memory in use, in bytes: on the accelerator where there is one, else of the process.

    On Linux it is what the process holds now, without files mapped into it; the caller keeps the
    largest of several readings. Elsewhere it is the most the process ever held.
    """
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    if _STATM.exists():
        _, resident, shared, *_ = map(int, _STATM.read_text().split())
        return float((resident - shared) * os.sysconf("SC_PAGE_SIZE"))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
