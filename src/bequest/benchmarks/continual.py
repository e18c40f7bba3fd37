"""Learning five tasks in turn: naive, replay and EWC beside loops by hand, and Avalanche if there.

Naive learning by hand visits the same batches and must end with the same weights, bit for bit.
Memories and importances are drawn at random by each peer, so replay and EWC are compared only by
the work they do: as many steps, on as many samples. Importances are taken sample by sample here and
by hand, from FISHER samples a task; Avalanche squares gradients of whole batches, over all samples,
which costs less and is another number.
"""

from __future__ import annotations

import copy
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.benchmarks import _avalanche
from bequest.benchmarks._side_by_side import Unit, machine, one_thread, side_by_side
from bequest.build.classification import Classification, fingerprint
from bequest.build.model import Classifier
from bequest.core.find import find
from bequest.core.live import Split
from bequest.lazy import functional, torch
from bequest.recipe.schema import FitSettings
from bequest.store.journal import Journal, derive
from bequest.transfer.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Tasks = Sequence[Classification]
    Optimizer = torch.optim.Optimizer

PROMISE = "at least 1.5, 1.5 and 2 times Avalanche's samples a second, where it is installed"
LEAST = {"sequential": 1.5, "replay": 1.5, "ewc": 2.0}
TASKS, SAMPLES, INPUTS, WIDTH, LABELS, BATCH = 5, 1280, 784, 256, 10, 64
EPOCHS, MEMORY, STRENGTH, RATE, FISHER = 5, 500, 1.0, 0.01, 256
POSITION = (0, 1)


def bench(rounds: int = 5, epochs: int = EPOCHS) -> dict[str, Any]:
    """Each method beside its floor; samples of the tasks a second follow from µs a step."""
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        tasks = [invented(number) for number in range(TASKS)]
        rows = [_row(name, tasks, epochs, rounds, Path(folder)) for name in LEAST]
    return {
        "name": "continual",
        "promise": PROMISE,
        "kept": all(row.get("times_avalanche", LEAST[row["method"]]) >= LEAST[row["method"]]
                    and "void" not in row for row in rows),
        "rows": rows,
        "machine": machine() | {"avalanche": _avalanche.version() or "not installed"},
    }  # fmt: skip


def _row(name: str, tasks: Tasks, epochs: int, rounds: int, folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    first = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, LABELS)
    )
    by_hand = {"sequential": naive, "replay": replay, "ewc": ewc}[name]
    ways: dict[str, Callable[[], Any]] = {
        "by hand": lambda: by_hand(copy.deepcopy(first), tasks, epochs),
        "bequest": lambda: by_bequest(name, copy.deepcopy(first), tasks, epochs, folder),
    }
    if _avalanche.version():
        ways["avalanche"] = lambda: _avalanche.learn(
            name, copy.deepcopy(first), tasks, epochs=epochs, batch=BATCH, rate=RATE,
            memory=MEMORY, strength=STRENGTH,
        )  # fmt: skip
    steps = TASKS * epochs * SAMPLES // BATCH
    found = side_by_side(
        f"{name}: {TASKS} tasks of {SAMPLES}, {epochs} epochs", ways,
        _same if name == "sequential" else _anything,
        rounds=rounds, unit=Unit("µs a step", 1e6 / steps),
    )  # fmt: skip
    if "void" not in found and "avalanche" in ways:
        times = found["cpu"]
        found["times_avalanche"] = round(times["avalanche"]["min"] / times["bequest"]["min"], 2)
    return {"method": name, **found}


def invented(number: int) -> Classification:
    """A task of random samples with random labels."""
    rng = np.random.default_rng(number)
    features = rng.standard_normal((SAMPLES, INPUTS), dtype=np.float32)
    ids = np.arange(SAMPLES) + number * SAMPLES
    split = Split(features, rng.integers(0, LABELS, SAMPLES), ids)
    splits: Any = {"train": split, "test": split}
    labels = tuple(map(str, range(LABELS)))
    digest = fingerprint(labels, splits, {"number": number})
    name = f"task-{number}"
    return Classification(name, "learn", "features", (INPUTS,), labels, splits, digest)


def by_bequest(
    name: str, module: torch.nn.Module, tasks: Tasks, epochs: int, folder: Path
) -> torch.nn.Module:
    """`module` after the method of that name, its journal included."""
    fields: dict[str, dict[str, Any]] = {
        "replay": {"memory": MEMORY},
        "ewc": {"strength": STRENGTH, "samples": FISHER},
    }
    journal = Journal(folder, POSITION, {})
    optimizer = {"use": "sgd", "lr": RATE}
    model = Classifier(module, tasks[0].labels)
    workbench = Bench(
        models={"student": model}, tasks=tasks, fresh=lambda role: model, journal=journal,
        settings=FitSettings.model_validate(
            {"epochs": epochs, "batch_size": BATCH, "optimizer": optimizer}
        ),
        seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    for _ in find("methods", name)(**fields.get(name, {})).transfer(workbench):
        pass
    journal.forget()
    return module


def naive(model: torch.nn.Module, tasks: Tasks, epochs: int) -> torch.nn.Module:
    """The plainest loop over the same batches."""
    for number, task in enumerate(tasks):
        optimizer = _optimizer(model)
        for inputs, targets in _batches(task, number, epochs):
            _step(optimizer, functional.cross_entropy(model(inputs), targets))
    return model


def replay(model: torch.nn.Module, tasks: Tasks, epochs: int) -> torch.nn.Module:
    """As many samples from memory beside each batch, drawn anew each step."""
    memory: list[tuple[torch.Tensor, torch.Tensor]] = []
    for number, task in enumerate(tasks):
        optimizer = _optimizer(model)
        old = [torch.cat(parts) for parts in zip(*memory, strict=True)]
        for inputs, targets in _batches(task, number, epochs):
            if old:
                rows = torch.randint(len(old[0]), (BATCH,))
                inputs, targets = (
                    torch.cat([inputs, old[0][rows]]),
                    torch.cat([targets, old[1][rows]]),
                )
            _step(optimizer, functional.cross_entropy(model(inputs), targets))
        inputs, targets = _whole(task)
        rows = torch.randperm(SAMPLES)[: MEMORY // TASKS]
        memory.append((inputs[rows], targets[rows]))
    return model


def ewc(model: torch.nn.Module, tasks: Tasks, epochs: int) -> torch.nn.Module:
    """One penalty for each past task, as in the paper, its importances sample by sample."""
    past: list[tuple[list[torch.Tensor], list[torch.Tensor]]] = []
    weights = list(model.parameters())
    for number, task in enumerate(tasks):
        optimizer = _optimizer(model)
        for inputs, targets in _batches(task, number, epochs):
            loss = functional.cross_entropy(model(inputs), targets)
            for importance, centre in past:
                for weight, mattered, was in zip(weights, importance, centre, strict=True):
                    loss = loss + STRENGTH / 2 * (mattered * (weight - was) ** 2).sum()
            _step(optimizer, loss)
        past.append((_fisher(model, task), [weight.detach().clone() for weight in weights]))
    return model


def _fisher(model: torch.nn.Module, task: Classification) -> list[torch.Tensor]:
    weights = list(model.parameters())
    found = [torch.zeros_like(weight) for weight in weights]
    for one in torch.split(_whole(task)[0][:FISHER], 1):
        said = model(one).log_softmax(dim=1)[0]
        label = torch.multinomial(said.detach().exp(), 1)
        for total, slope in zip(found, torch.autograd.grad(said[label[0]], weights), strict=True):
            total.addcmul_(slope, slope, value=1 / FISHER)
    return found


def _batches(
    task: Classification, number: int, epochs: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    inputs, targets = _whole(task)
    for epoch in range(epochs):
        seed = derive(derive(*POSITION, number), "epoch", epoch)
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(seed))
        for rows in torch.split(order, BATCH):
            yield inputs[rows], targets[rows]


def _whole(task: Classification) -> tuple[torch.Tensor, torch.Tensor]:
    split: Any = task.splits["train"]
    return torch.from_numpy(split.inputs), torch.from_numpy(split.targets)


def _optimizer(model: torch.nn.Module) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=RATE, fused=True)


def _step(optimizer: Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    # Avalanche shuffles with a generator of its own.
    mine, theirs = one.state_dict(), other.state_dict()
    return getattr(one, "by_peer", False) or all(
        torch.equal(*pair) for pair in zip(mine.values(), theirs.values(), strict=True)
    )


def _anything(one: object, other: object) -> bool:
    return all(part is not None for part in itertools.chain([one], [other]))
