"""Random numbers that depend on a position in the run and on nothing else."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def generator(seed: int, device: Any = "cpu") -> torch.Generator:
    """A fresh torch generator."""
    return torch.Generator(device).manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python, and put them back afterwards.

    Dropout and initialisation draw from the global ones; so does code that isn't ours.
    """
    with kept():
        seed_all(seed)
        yield


def seed_all(seed: int) -> None:
    """Seed the global generators of torch, NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def deterministic() -> Iterator[None]:
    """Use algorithms that give the same bits each time, wherever torch has one."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


@contextmanager
def kept() -> Iterator[None]:
    """Put the global generators back afterwards; libraries draw from them even when imported."""
    before = global_state()
    try:
        yield
    finally:
        restore(before)


def global_state() -> dict[str, Any]:
    """The state of all global generators, as tensors, arrays and JSON."""
    name, keys, position, has_gauss, cached = np.random.get_state()
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [str(name), np.asarray(keys).astype(np.int64), position, has_gauss, cached],
        "python": [version, np.array(internal, dtype=np.int64), gauss],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore(state: dict[str, Any]) -> None:
    """Put every global generator into the given state."""
    torch.set_rng_state(state["torch"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.asarray(keys).astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(int(word) for word in internal), gauss))
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])
