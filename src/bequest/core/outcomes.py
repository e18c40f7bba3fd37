"""What is recorded of each sample at one stage; every metric derives from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcomes:
    """The answers of one model on the test samples of one task.

    All arrays have one entry per sample.

    sample: content ids, unique unless `draw` says how often a sample was asked.
    columns: what the task records, by name (`correct`, `nll`, `confidence` …); float or integer.
    unit: what intervals resample (student, document, patient); the sample itself when None.
    group: a name per sample for worst-group metrics; None when the task has no groups.
    draw: number of the repeated ask of the same sample; 0 everywhere when None.
    transcript: what the model wrote, word for word; None where it wrote nothing.
    shown: arrays for the page that belong to no single sample, by name.
    """

    sample: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]]
    unit: NDArray[np.int64] | None = None
    group: NDArray[np.str_] | None = None
    draw: NDArray[np.int32] | None = None
    labels: tuple[str, ...] = field(default=(), compare=False)
    transcript: tuple[str, ...] | None = field(default=None, compare=False)
    shown: Mapping[str, NDArray[Any]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        own = {"unit": self.unit, "group": self.group, "draw": self.draw}
        parts = {**self.columns, **own, "transcript": self.transcript}
        for name, values in parts.items():
            if values is not None and len(values) != len(self.sample):
                raise ValueError(
                    f"outcomes: column {name} has {len(values)} entries, "
                    f"but there are {len(self.sample)} samples"
                )

    def same(self, other: Outcomes) -> bool:
        """Whether both hold the same answers to the same samples.

        Content ids of two tasks may differ for what a model sees as the same; numbers such as a
        loss that are equal for every sample tell that it is.
        """
        import numpy as np

        if self.columns.keys() != other.columns.keys():
            return False
        telling = any(values.dtype.kind == "f" for values in self.columns.values())
        alike = telling or np.array_equal(self.sample, other.sample)
        return alike and all(
            np.array_equal(values, other.columns[name]) for name, values in self.columns.items()
        )

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def units(self) -> NDArray[np.int64]:
        """What intervals resample: one id per sample, equal for samples of the same unit."""
        return self.sample if self.unit is None else self.unit
