"""A training step of DKT beside pyKT's, and beside the plain form that pyKT's takes.

The plain form gives a score to every concept after every answer, picks the asked one with a one-hot
product and takes the cross-entropy of probabilities in float64. Weights, batch and optimiser are
the same, and so are the losses of five steps, within the rounding of float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.benchmarks import _pykt
from bequest.benchmarks._side_by_side import Unit, machine, one_thread, side_by_side
from bequest.build.trace_histories import Histories, padded
from bequest.build.tracer import KIND, summed_nll
from bequest.lazy import functional, torch
from bequest.methods.trace.dkt import DktNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    Losses = list[float]

PROMISE = "a step at least 1.1 times as fast as pyKT's at 100 concepts, 4 times at 1,000"
LEAST = {100: 1.1, 1000: 4.0}
BATCH, ANSWERS, WIDTH, STEPS, RATE = 64, 200, 200, 5, 1e-3
_CLOSE = 1e-4


def bench(rounds: int = 4, batch: int = BATCH, answers: int = ANSWERS) -> dict[str, Any]:
    """Milliseconds a training step, for each number of concepts."""
    with one_thread():
        rows = [_row(concepts, rounds, batch, answers) for concepts in LEAST]
    return {
        "name": "tracing",
        "promise": PROMISE,
        "kept": all("void" not in row and row["times_faster"] >= LEAST[row["concepts"]]
                    for row in rows),
        "rows": rows,
        "machine": machine() | {"pykt": _pykt.version() or "not installed"},
    }  # fmt: skip


def _row(concepts: int, rounds: int, batch: int, answers: int) -> dict[str, Any]:
    histories = invented(concepts, batch, answers)
    weights = first_weights(concepts)
    ways: dict[str, Callable[[], Losses]] = {
        "one-hot": lambda: by_one_hot(weights, histories),
        "bequest": lambda: by_bequest(weights, histories),
    }
    if _pykt.version():
        ways["pykt"] = lambda: by_pykt(weights, histories)
    found = side_by_side(
        f"DKT: {batch} students of {answers} answers, {concepts} concepts", ways, _same,
        rounds=rounds, unit=Unit("ms a step", 1e3 / STEPS),
    )  # fmt: skip
    row = {"concepts": concepts, **found}
    if "void" not in found:
        peer = "pykt" if "pykt" in ways else "one-hot"
        least = {name: found["cpu"][name]["min"] for name in ways}
        row |= {"beside": peer, "times_faster": round(least[peer] / least["bequest"], 2)}
    return row


def invented(concepts: int, batch: int, answers: int) -> Histories:
    """Random answers to random concepts."""
    rng, size = np.random.default_rng(0), batch * answers
    names = tuple(map(str, range(concepts)))
    lengths, question = np.full(batch, answers), np.tile(np.arange(answers), batch)
    concept, right = rng.integers(0, concepts, size), rng.integers(0, 2, size)
    return Histories(names, lengths, concept, right, question)


def first_weights(concepts: int) -> dict[str, torch.Tensor]:
    """The weights that every way begins with, by their names here."""
    torch.manual_seed(0)
    names = tuple(map(str, range(concepts)))
    module = DktNetwork(width=WIDTH, dropout=0.0).build((ANSWERS,), KIND, names).module
    return {name: value.clone() for name, value in module.state_dict().items()}


def by_bequest(weights: dict[str, torch.Tensor], histories: Histories) -> Losses:
    """A few steps as a fit takes them, the making of tensors included."""
    tracer = DktNetwork(width=WIDTH, dropout=0.0).build((ANSWERS,), KIND, histories.names)
    tracer.module.load_state_dict(weights)

    def loss() -> torch.Tensor:
        total, count = summed_nll(tracer, histories)
        return total / count

    return _steps(tracer.module, loss, fused=True)


def by_one_hot(weights: dict[str, torch.Tensor], histories: Histories) -> Losses:
    """The plain form, with plain Adam as pyKT has it."""
    concepts, steps = len(histories.names), padded(histories)
    tracer = DktNetwork(width=WIDTH, dropout=0.0).build((ANSWERS,), KIND, histories.names)
    tracer.module.load_state_dict(weights)
    layers = tracer.layers

    def loss() -> torch.Tensor:
        hidden, _ = layers["lstm"](layers["embedding"](steps.codes(concepts)))
        likely = torch.sigmoid(layers["out"](hidden))
        asked = functional.one_hot(steps.concept[:, 1:], concepts)
        picked = (likely * asked).sum(-1).flatten().double()
        return functional.binary_cross_entropy(picked, steps.right[:, 1:].flatten().double())

    return _steps(tracer.module, loss, fused=None)


def by_pykt(weights: dict[str, torch.Tensor], histories: Histories) -> Losses:
    """pyKT's network and loss."""
    steps = padded(histories)
    model = _pykt.network(len(histories.names), WIDTH)
    names = {"embedding": "interaction_emb", "lstm": "lstm_layer", "out": "out_layer"}
    state = {}
    for name, value in weights.items():
        layer, _, rest = name.partition(".")
        state[f"{names[layer]}.{rest}"] = value
    model.load_state_dict(state)
    model.train()
    mask = steps.before[:, 1:] >= 0
    return _steps(model, lambda: _pykt.loss(model, steps.concept, steps.right, mask), fused=None)


def _steps(
    module: torch.nn.Module, loss: Callable[[], torch.Tensor], *, fused: bool | None
) -> Losses:
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE, fused=fused)
    found = []
    for _ in range(STEPS):
        value = loss()
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append(float(value.detach()))
    return found


def _same(one: Losses, other: Losses) -> bool:
    return bool(np.allclose(one, other, rtol=_CLOSE))
