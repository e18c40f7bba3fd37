"""Knowledge grafting: a fully fine-tuned model becomes its base and a small pack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from bequest.core.errors import Problem
from bequest.core.pack import Pack
from bequest.core.parts import Method, Role
from bequest.core.stage import Stage
from bequest.lazy import torch
from bequest.methods.graft._calibration import calibrate
from bequest.methods.graft._compression import (
    BITS,
    SKILL,
    Bits,
    Compression,
    Settings,
    directions_of,
    share_of,
)
from bequest.methods.graft._parts import linear_layers, parts_of
from bequest.methods.graft._router import Examples, examples, routed
from bequest.ops.gptq import Rounding
from bequest.transfer.learning import LEARNS
from bequest.transfer.lining_up import line_up, reading
from bequest.transfer.weights import changes, fingerprint_of, graft, put

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.live import Model
    from bequest.ops.factors import Factors, Group, Part
    from bequest.ops.gptq import SecondMoments
    from bequest.transfer.bench import Bench, TaskView

Share = Annotated[float, Field(gt=0, le=1)]


class Graftllm(Method):
    """Compress what fine-tuning changed into a pack, plug it into the base, route among packs.

    Embeddings and the output layer are pruned, projections of attention and MLPs become a few
    directions in few bits, norms and biases are kept whole. With one donor the base ends with the
    pack on it. With several it stays as it was: each pack is shown on a copy, and a router, which
    may also choose no pack, is shown after each but the first; no earlier pack is changed by later
    ones. Donors and tasks to learn belong to each other in their order, where they are as many.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "base": Role("the model that packs are put on", answers=LEARNS, learns=True),
        "donors": Role("fine-tuned copies of it, a skill each", answers=LEARNS, many=True),
    }
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30,
        "batch_size": 64,
        "optimizer": {"use": "adamw", "lr": 3.0e-3},
    }
    source: ClassVar[str] = "Du et al. 2025, Knowledge Grafting (GraftLLM), arXiv 2505.18502"

    budget: float | None = Field(
        0.1, gt=0, le=4, description="Size of a pack as a share of the whole change in float16; "
        "ranks and pruning follow from it. Null: from the fields below.",
    )  # fmt: skip
    alpha: Share = Field(0.5, description="Share of entries kept of embeddings and output layer.")
    beta: Share = Field(0.9, description="Share of σ² kept of projections without a fixed rank.")
    rank_attention: int | None = Field(
        None, ge=0, description="Directions of projections of attention; null: by `beta`."
    )
    rank_mlp: int | None = Field(
        None, ge=0, description="Directions of other projections; null: by `beta`."
    )
    bits: tuple[tuple[Bits, Share], ...] = Field(
        BITS, min_length=1, description="Bits of directions from the largest down, each with the "
        "share of directions that have them; 16 and 32 are not rounded.",
    )  # fmt: skip
    groupsize: int = Field(128, ge=-1, description="Columns that share a grid; -1 for all.")
    act_order: bool = Field(
        True, description="Whether columns with large inputs are rounded first."
    )
    percdamp: float = Field(0.01, gt=0, description="Damping, as a share of the mean moment.")
    calibration: int = Field(128, ge=1, description="Training samples that calibrate, at the most.")
    router: Literal["several", "always", "never"] = Field(
        "several", description="When inputs are routed: with several packs, with one too, or never."
    )
    router_samples: int = Field(
        256, ge=1, description="Training samples of each task that teach the router, at the most."
    )
    as_released: bool = Field(
        False, description="Calibrate all groups but the first with a block's own outputs as its "
        "inputs, as the released code does.",
    )  # fmt: skip

    def check(self) -> list[Problem]:
        """Shares of directions sum up to 1, and grids have a size."""
        problems = []
        if abs(sum(share for _, share in self.bits) - 1) > 1e-6:
            problems.append(Problem("the shares must sum up to 1", field=("bits",)))
        if self.groupsize == 0:
            problems.append(Problem("write -1 for one grid a row", field=("groupsize",)))
        return problems

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """A stage with each pack, and with the router over the packs so far."""
        base, donors = bench.model("base"), bench.models("donors")
        for note in line_up(base, donors).notes:
            bench.note(note)
        tasks = bench.tasks("learn")
        matched = len(tasks) == len(donors)
        names = [task.name for task in tasks] if matched else None
        route = self.router == "always" or (self.router == "several" and len(donors) > 1)
        alone = len(donors) == 1
        models: list[Model] = [bench.copy(base) if route and alone else base]
        for number, donor in enumerate(donors):
            own = [tasks[number]] if matched else tasks
            pack = self._packed(bench, base, donor, own, number)
            model = base if alone else bench.copy(base)
            graft(model.module, pack)
            models.append(model)
            name = names[number] if names else f"pack-{number + 1}"
            at: dict[str, float | str] = {"pack": name, "size": round(share_of(pack), 6)}
            line = "main" if alone else "alone"
            yield Stage(f"with-{name}", model, of="base", line=line, at=at, deliver={name: pack})
            if route and (number or alone):
                seen = tasks[: number + 1] if matched else tasks
                learned = name if matched and not alone else None
                yield self._routed(bench, models, seen, f"routed-{number + 1}", learned)

    def _packed(
        self, bench: Bench, base: Model, donor: Model, tasks: Sequence[TaskView], number: int
    ) -> Pack:
        """The pack of a donor; made once, and kept in the journal."""

        def made() -> dict[str, Any]:
            pack = self.compressed(bench.copy(base), donor, _inputs(tasks, self.calibration))
            # What a pack says of itself may have any names.
            about = json.dumps(dict(pack.about))
            return {"about": about, "base": pack.base, "tensors": list(pack.tensors.items())}

        told = bench.remember(f"pack {number + 1}", made)
        return Pack(SKILL, dict(told["tensors"]), json.loads(told["about"]), told["base"])

    def compressed(self, base: Model, donor: Model, inputs: Sequence[Any]) -> Pack:
        """What the donor has beyond the base, as a pack.

        base: a copy of its own, which is changed; inputs: for calibration, of one or more tasks.
        """
        lined = line_up(base, [donor])
        deltas = changes(lined.base, lined.others[0])
        shapes = {name: delta.shape for name, delta in deltas.items()}
        found = Compression(self.settings(), shapes, parts_of(base.module))
        print_of_base = fingerprint_of(base.module)
        apart = set(found.factored_names())
        for name, delta in deltas.items():
            if name not in apart:
                found.take(name, delta)
        put(base.module, found.kept)
        _Factoring(base, deltas, found).all(inputs, self.as_released)
        return found.pack(print_of_base, {"method": "graftllm", **reading(base)})

    def settings(self) -> Settings:
        """The fields that decide what is kept."""
        rounding = Rounding(self.groupsize, self.act_order, self.percdamp, half_scales=True)
        return Settings(
            rounding,
            self.budget,
            self.alpha,
            self.beta,
            self.rank_attention,
            self.rank_mlp,
            self.bits,
        )

    def _routed(
        self,
        bench: Bench,
        models: Sequence[Model],
        tasks: Sequence[TaskView],
        name: str,
        learned: str | None,
    ) -> Stage:
        def made() -> list[Any]:
            taught = [*tasks, *bench.tasks("retain")]
            return [tuple(examples(models, task, self.router_samples)) for task in taught]

        found = [Examples(*each) for each in bench.remember(f"examples of {name}", made)]
        model = routed(bench, name, models, found)
        return Stage(name, model, of="base", learned=learned, at={"pack": "routed"})


class _Factoring:
    """Takes the projections of a model apart, set by set, while inputs flow through it."""

    def __init__(self, base: Model, deltas: Mapping[str, Any], found: Compression) -> None:
        self._module, self._deltas, self._found = base.module, deltas, found
        self._model = base
        self._factors: dict[str, Factors] = {}
        self._parts: dict[str, list[Part]] = {}

    def all(self, inputs: Sequence[Any], as_released: bool) -> None:
        """Every layer; all its groups of directions at once, or as released one in each turn."""
        wanted = set(self._found.factored_names())
        layers = {
            path: layer
            for path, layer in linear_layers(self._module).items()
            if f"{path}.weight" in wanted
        }
        if layers:
            turns = len(self._found.settings.bits) if as_released else 1
            take = self._one_group if as_released else self._all_groups
            calibrate(self._model, inputs, layers, take, turns=turns, own_outputs=as_released)
        for name in wanted:
            if name not in self._parts:  # no input reaches the layer
                self._take(name, self._groups(name), None)
            self._found.take_apart(name, self._parts[name])

    def _all_groups(self, paths: list[str], moments: SecondMoments, turn: int) -> None:
        for path in paths:
            self._take(f"{path}.weight", self._groups(f"{path}.weight"), moments.mean)

    def _one_group(self, paths: list[str], moments: SecondMoments, turn: int) -> None:
        for path in paths:
            groups = self._groups(f"{path}.weight")[turn : turn + 1]
            self._take(f"{path}.weight", groups, moments.mean)

    def _groups(self, name: str) -> list[Group]:
        if name not in self._factors:
            self._factors[name] = directions_of(self._deltas[name], name)
        return self._found.groups(name, self._factors[name])

    def _take(self, name: str, groups: list[Group], moments: Any) -> None:
        """Round the next groups of directions, and let what comes behind see them."""
        done = self._parts.setdefault(name, [])
        parts = self._found.rounded(name, self._factors[name], done, groups, moments)
        done += parts
        put(self._module, {name: self._found.as_kept(name, parts)})


def _inputs(tasks: Sequence[TaskView], most: int) -> list[Any]:
    """Training inputs at even distances, as many of each task."""
    found = []
    for task in tasks:
        count = min(-(-most // len(tasks)), len(task.train))
        rows = torch.linspace(0, len(task.train) - 1, count).long()
        found.append(task.train.batch(rows.to(task.train.device)).inputs)
    return found
