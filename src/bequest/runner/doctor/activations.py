"""Units that are dead, and activations that explode."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.build.heads import NotLearned
from bequest.lazy import torch
from bequest.runner.doctor.finding import Finding, LeftOut, NotAtHand
from bequest.runner.doctor.flow import flow
from bequest.runner.roster import learns
from bequest.runner.unexpected import in_a_line
from bequest.transfer.streams import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.core.live import Model, Task
    from bequest.recipe.plan import Plan
    from bequest.runner.doctor.chart import Chart
    from bequest.runner.doctor.flow import Flow

DEAD, EXPLODING = "dead units", "exploding activations"
SERIOUS_DEAD, MINOR_DEAD = 0.9, 0.5  # share of a layer's units
GROWTH = 1e4  # of the largest layer to the first
_SAMPLES, _TEXTS = 512, 32  # of each task
_ASKED = (
    "logits",
    "logprob",
    "embed",
    "segment",
    "hazard",
    "trace",
    "predict",
)  # questions about inputs
_SOURCE_DEAD = "Lu et al. 2020, Dying ReLU and Initialization; the thresholds are ours"
_SOURCE_EXPLODING = "He et al. 2015, Delving Deep into Rectifiers, section 2.2; the limit is ours"


class _Patient(NamedTuple):
    """A model to look at: what it is called, and the tasks it is asked about."""

    name: str
    step: str
    seed: int
    tasks: tuple[str, ...]


def look(chart: Chart) -> Iterator[Finding | LeftOut]:
    """Every given and every delivered model, asked about training samples of its tasks."""
    dead: dict[tuple[str, str, str], list[tuple[float, int, int]]] = defaultdict(list)
    loud: dict[tuple[str, str], list[tuple[Flow, int]]] = defaultdict(list)
    missing: dict[str, list[int]] = defaultdict(list)
    for patient in _patients(chart.prepared.plan):
        try:
            seen = _seen(chart, patient)
        except NotAtHand as why:
            missing[f"`{patient.name}`: {why}"].append(patient.seed)
            continue
        for layer, alive in seen.alive.items():
            share = int((~alive).sum()) / len(alive)
            dead[patient.step, patient.name, layer].append((share, patient.seed, len(alive)))
        loud[patient.step, patient.name].append((seen, patient.seed))
    for what, seeds in missing.items():
        yield LeftOut(f"{DEAD}, {EXPLODING}", f"{what} (seed {', '.join(map(str, seeds))})")
    yield from _dead(dead)
    for (step, name), flows in loud.items():
        yield from _exploding(step, name, flows)


def _patients(plan: Plan) -> Iterator[_Patient]:
    for seed in plan.seeds:
        for name in plan.models:
            yield _Patient(name, "given", seed, tuple(plan.entries))
        for step in plan.steps:
            for role in step.models:
                if learns(step, role) and isinstance(step.models[role], str):
                    yield _Patient(f"{step.name}.{role}", step.name, seed, step.tasks)


def _seen(chart: Chart, patient: _Patient) -> Flow:
    if patient.step == "given":
        model = chart.given(patient.name, patient.seed)
    else:
        steps = {step.name: step for step in chart.plan.steps}
        role = patient.name.removeprefix(f"{patient.step}.")
        model = chart.delivered(steps[patient.step], role, patient.seed)
    asked = [task for name, task in chart.at_hand.items() if name in patient.tasks]
    try:
        questions = list(_questions(model, asked))
        seen = flow(model.module, questions)
    except Exception as error:
        raise NotAtHand(f"it can't be asked: {in_a_line(error)}") from error
    if not questions:
        raise NotAtHand("no task has training samples that it can be asked about")
    return seen


def _questions(model: Model, tasks: list[Task]) -> Iterator[Any]:
    """Calls that each ask the model about training samples of one task."""
    device = next((one.device for one in model.module.parameters()), torch.device("cpu"))
    for task in tasks:
        split = task.splits["train"]
        if task.asks not in model.answers or task.asks not in _ASKED or not len(split):
            continue
        try:
            asked = model.for_task(task.name) if hasattr(model, "for_task") else model
        except NotLearned:
            continue
        rows = torch.arange(min(len(split), _TEXTS if task.kind == "text" else _SAMPLES))
        inputs = Rows(split, device).batch(rows.to(device)).inputs
        yield partial(getattr(asked, task.asks), inputs)


def _dead(found: dict[tuple[str, str, str], list[tuple[float, int, int]]]) -> Iterator[Finding]:
    """One finding for each model: its worst layer under its worst seed."""
    worst: dict[tuple[str, str], tuple[float, int, int, str]] = {}
    for (step, name, layer), own in found.items():
        worst[step, name] = max(worst.get((step, name), (0.0, 0, 0, "")), (*max(own), layer))
    for (step, name), (share, seed, units, layer) in worst.items():
        if share < MINOR_DEAD:
            continue
        times = sum(one >= MINOR_DEAD for one, _, _ in found[step, name, layer])
        yield Finding(
            DEAD,
            "serious" if share >= SERIOUS_DEAD else "minor",
            {"step": step, "model": name, "layer": layer, "seed": seed},
            f"{round(share * units)} of {units} rectified units of `{layer}` are zero for every "
            f"sample ({share:.0%}); half or more of them are under {times} of "
            f"{len(found[step, name, layer])} seeds",
            "they answer nothing and get no gradient, so they won't come back"
            + (": nothing passes this layer" if share == 1 else ""),
            "lower fit.optimizer.lr, start from other weights or smaller biases, or use GELU or a "
            "leaky ReLU",
            {"share": share, "units": float(units)},
            _SOURCE_DEAD,
        )


def _exploding(step: str, name: str, flows: list[tuple[Flow, int]]) -> Iterator[Finding]:
    seen, seed = max(flows, key=lambda one: one[0].growth)
    if seen.growth < GROWTH:
        return
    layer, size = seen.largest
    yield Finding(
        EXPLODING,
        "serious",
        {"step": step, "model": name, "layer": layer, "seed": seed},
        f"`{layer}` answers with a size of {size:.2g} (root mean square), the first layer "
        f"`{next(iter(seen.sizes))}` with {next(iter(seen.sizes.values())):.2g}",
        "losses and gradients overflow or drown in rounding; a few steps end in NaN",
        "use an initialisation that keeps the size from layer to layer (He et al. 2015), "
        "normalisation, a lower fit.optimizer.lr, or fit.clip_norm",
        {"growth": seen.growth, "size": size} if seen.finite else {},
        _SOURCE_EXPLODING,
    )
