"""A frozen model in training mode while the loss asks it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bequest.runner.doctor.finding import Finding, NotAtHand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bequest.runner.doctor.chart import Chart

NAME = "teacher in training mode"
# Parts whose answers depend on the mode in no way; of others, a user's own among them, who knows?
_ALIKE = frozenset(
    {"Conv1d", "Conv2d", "Conv3d", "Embedding", "Flatten", "GELU", "GroupNorm", "Identity",
     "LayerNorm", "Linear", "MaxPool2d", "ReLU", "RMSNorm", "Sigmoid", "SiLU", "Softmax", "Tanh",
     "AdaptiveAvgPool2d", "AvgPool2d"}
)  # fmt: skip


def look(chart: Chart) -> Iterator[Finding]:
    """Frozen models that a fit found in training mode right after the loss had asked them."""
    if not chart.health:
        raise NotAtHand("the log says nothing of it: no fit began, or an older version wrote it")
    found: dict[tuple[str, str], list[tuple[int, list[str]]]] = defaultdict(list)
    for line in chart.health:
        for name, kinds in line.get("training", {}).items():
            found[line["step"], name].append((line["seed"], kinds))
    for (step, name), times in found.items():
        yield _finding(chart.health, step, name, times)


def _finding(
    health: Sequence[dict[str, Any]], step: str, name: str, times: Sequence[tuple[int, list[str]]]
) -> Finding:
    kinds = sorted({kind for _, own in times for kind in own})
    matters = [kind for kind in kinds if kind not in _ALIKE]
    looks = sum(line["step"] == step for line in health)
    seeds = sorted({seed for seed, _ in times})
    means = (
        f"{', '.join(matters)} may answer otherwise than when the model is used: what is learned "
        "from it is noisy, or statistics of batches go into a model that should not change"
        if matters
        else "its parts answer alike in both modes, so nothing is spoilt yet"
    )
    return Finding(
        NAME,
        "serious" if matters else "minor",
        {"step": step, "model": name, "seed": seeds[0]},
        f"`{name}` takes no gradient, but {', '.join(kinds)} in it stood in training mode at "
        f"{len(times)} of {looks} looks, under {len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        means,
        "call `.eval()` on its module, leave it out of the modules that are fitted, or ask it by "
        "`bench.recall`; bench.model and bench.copy(frozen=True) give it in eval mode",
        {"looks": looks, "in_training_mode": len(times)},
    )
