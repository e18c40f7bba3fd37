"""The same training step by pyKT, where it is installed; bequest never needs it."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bequest.lazy import torch


def version() -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version("pykt-toolkit")
    except metadata.PackageNotFoundError:
        return None


def network(concepts: int, width: int) -> torch.nn.Module:
    """pyKT's DKT without dropout, with new weights."""
    made: torch.nn.Module = importlib.import_module("pykt.models.dkt").DKT(
        concepts, width, dropout=0.0
    )
    return made


def loss(model: Any, concept: torch.Tensor, right: torch.Tensor, mask: torch.Tensor) -> Any:
    """pyKT's own loss. concept, right: int64 [batch, steps]; mask: of predicted steps."""
    training = importlib.import_module("pykt.models.train_model")
    names = ("qseqs", "cseqs", "rseqs", "tseqs")
    before = dict(zip(names, (concept, concept, right, concept), strict=True))
    data: dict[str, Any] = {name: values[:, :-1] for name, values in before.items()}
    data |= {f"shft_{name}": values[:, 1:] for name, values in before.items()}
    return training.model_forward(model, {**data, "masks": mask, "smasks": mask})
