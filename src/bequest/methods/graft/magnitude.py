"""The largest entries of a change, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.parts import Method
from bequest.core.stage import Stage
from bequest.methods.graft._compression import largest, share_of, skill
from bequest.methods.graft._merging import DONORS
from bequest.methods.graft._parts import entries_within
from bequest.ops.forms import sparse, whole
from bequest.ops.statistics import is_statistic
from bequest.transfer.lining_up import line_up, reading
from bequest.transfer.weights import changes, fingerprint_of, graft

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from bequest.core.pack import Pack
    from bequest.core.parts import Role
    from bequest.ops.layout import Kept
    from bequest.transfer.bench import Bench

    Array = NDArray[Any]


class Magnitude(Method):
    """Keep the largest entries of what fine-tuning changed, in float16, as a pack on the base.

    What every other compression of a change is compared with at equal size. Each tensor keeps its
    own largest entries.
    """

    roles: ClassVar[Mapping[str, Role]] = DONORS
    source: ClassVar[str] = (
        "magnitude pruning of a weight change, as in Yadav et al. 2023, arXiv 2306.01708, section 3"
    )

    density: float = Field(0.05, gt=0, le=1, description="Share of entries kept of each tensor.")
    budget: float | None = Field(
        None, gt=0, le=4, description="Size of the pack as a share of the whole change in float16, "
        "places of the entries included; takes the place of `density`.",
    )  # fmt: skip

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """A stage for each donor: the base itself with one, a copy with several."""
        base, donors = bench.model("base"), bench.models("donors")
        for note in line_up(base, donors).notes:
            bench.note(note)
        for number, donor in enumerate(donors):
            alone = len(donors) == 1
            name, pack = f"pack-{number + 1}", self.compressed(base, donor)
            model = base if alone else bench.copy(base)
            graft(model.module, pack)
            at: dict[str, float | str] = {"size": round(share_of(pack), 6)}
            line = "main" if alone else "alone"
            yield Stage(f"with-{name}", model, of="base", line=line, at=at, deliver={name: pack})

    def compressed(self, base: Any, donor: Any) -> Pack:
        """What is kept of the donor."""
        lined = line_up(base, [donor])
        deltas = changes(lined.base, lined.others[0])
        kept = {name: self.kept(name, delta) for name, delta in deltas.items()}
        shapes = {name: delta.shape for name, delta in deltas.items()}
        about = {"method": "magnitude", **reading(base)}
        return skill(kept, shapes, fingerprint_of(base.module), about)

    def kept(self, name: str, delta: Array) -> Kept:
        """The largest entries of a change; all of what batch norm measured, as it is no weight."""
        return whole(delta) if is_statistic(name) else sparse(delta, self.largest(delta), 16)

    def largest(self, delta: Array) -> NDArray[np.bool_]:
        """Which entries of a tensor are kept; at least one."""
        if self.budget is None:
            count = max(1, int(self.density * delta.size))
        else:
            count = entries_within(2 * self.budget * delta.size, delta.size, value_bits=16)
        return largest(delta, count)
