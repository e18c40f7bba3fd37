"""The same work by Avalanche, where it is installed; bequest never needs it."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.build.classification import Classification

_STRATEGIES = {"sequential": "Naive", "replay": "Replay", "ewc": "EWC"}


def version() -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version("avalanche-lib")
    except metadata.PackageNotFoundError:
        return None


def learn(
    name: str,
    model: torch.nn.Module,
    tasks: Sequence[Classification],
    *,
    epochs: int,
    batch: int,
    rate: float,
    memory: int,
    strength: float,
) -> torch.nn.Module:
    """`model` after Avalanche's strategy of the same idea, without any evaluation."""
    benchmarks = importlib.import_module("avalanche.benchmarks")
    training = importlib.import_module("avalanche.training")
    plugins = importlib.import_module("avalanche.training.plugins")
    splits: list[Any] = [task.splits["train"] for task in tasks]
    tensors = [(torch.from_numpy(s.inputs), torch.from_numpy(s.targets)) for s in splits]
    benchmark = benchmarks.tensors_benchmark(
        train_tensors=tensors, test_tensors=tensors[:1], task_labels=[0] * len(tensors)
    )
    own: dict[str, dict[str, Any]] = {
        "replay": {"mem_size": memory},
        "ewc": {"ewc_lambda": strength},
    }
    strategy = getattr(training, _STRATEGIES[name])(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=rate),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=batch,
        train_epochs=epochs,
        evaluator=plugins.EvaluationPlugin(),
        **own.get(name, {}),
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    model.by_peer = True  # type: ignore[assignment]
    return model
