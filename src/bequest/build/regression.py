"""Tasks that ask for a number: which value of a target an input has."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.answered import refuse_nan
from bequest.build.classification import answering, as_inputs, device_of, fingerprint
from bequest.build.showing import features, rows_of
from bequest.build.splitting import divide
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Target
from bequest.core.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.assemble import Prepared, Sides
    from bequest.build.settings import SplitSettings
    from bequest.build.splitting import Pool
    from bequest.core.live import Model, Purpose, Split, SplitName

    Numbers = NDArray[np.float64]


@dataclass(eq=False)
class Regression:
    """A live task that asks for the value of `target`; see `core.live.Task`.

    labels: the name of the target. target: its name, and mean and deviation of its training values.
    preparation: what was done to the raw data, JSON-like; part of the fingerprint.
    """

    name: str
    purpose: Purpose
    kind: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    target: Target
    splits: Mapping[SplitName, Split]
    fingerprint: str
    notes: tuple[str, ...] = ()
    asks: str = "predict"
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """Every answer of `model` on the test split, on the device its parameters are on.

        Columns, in the unit of the target: `prediction`, `target`, `error` (prediction − target)
        and, where the targets of the test differ, `centred` (target − their mean).

        Raises:
            NotNumbers: a prediction is NaN or infinite.
        """
        test = self.splits["test"]
        parts = [slice(start, start + batch_size) for start in range(0, len(test), batch_size)]
        with answering(model.module):
            prediction = np.concatenate([_predicted(model, test.inputs[rows]) for rows in parts])
        refuse_nan(prediction, "predictions", finite=True)
        target = values_of(test)
        columns = {"prediction": prediction, "target": target, "error": prediction - target}
        if np.ptp(target):
            columns["centred"] = target - target.mean()
        return Outcomes(test.ids, columns, test.unit, test.group, labels=self.labels)

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The test samples of these ids as named values; see `core.live.Showing`."""
        test = self.splits["test"]
        found = test.inputs[rows_of(test, ids)]
        return [features(sample, self.preparation) for sample in found]


def regression(
    settings: SplitSettings,
    name: str,
    target: str,
    pool: Pool,
    values: Numbers,
    prepare: Callable[[Sides], Prepared],
    notes: Sequence[str] = (),
) -> Regression:
    """The live task of the samples in `pool`, features [width], and the values of its target.

    pool: its `targets` are 0 everywhere, as no sample has a label. values: [n]. prepare: from the
    rows of each side to its inputs, and a JSON-like account of what was done to them.

    Raises:
        RequestError: a side would be empty, or all training values are equal.
    """
    sides, found = divide(pool, settings)
    inputs, done = prepare(sides)
    splits = {
        side: replace(pool.split(rows, inputs[side]), targets=None, values=values[rows])
        for side, rows in sides.items()
    }
    about = _target(target, values_of(splits["train"]))
    asked = {"kind": "features", "target": about._asdict(), **done}
    return Regression(
        name=name,
        purpose=settings.purpose,
        kind="features",
        shape=tuple(inputs["train"].shape[1:]),
        labels=(target,),
        target=about,
        splits=splits,
        fingerprint=fingerprint((target,), splits, asked),
        notes=(*notes, *found, *_torn(pool.ids, values), *_constant(splits["test"])),
        preparation=done,
    )


def values_of(split: Split) -> Numbers:
    """The numbers to be predicted, [n]."""
    if split.values is None:
        raise ValueError("the samples have no numbers to be predicted")
    return split.values


def _predicted(model: Any, inputs: Any) -> Numbers:
    asked = as_inputs(inputs, device_of(model.module))
    found: Numbers = model.predict(asked).reshape(len(inputs)).double().cpu().numpy()
    return found


def _target(name: str, train: Numbers) -> Target:
    """The target by its training values, [n].

    Raises:
        RequestError: they are all equal.
    """
    if not np.ptp(train):
        what = f"all {len(train)} training values of `{name}` are {train[0]:g}"
        raise RequestError(Problem(what, "a target needs at least two values", ("target",)))
    return Target(name, float(train.mean()), float(train.std()))


def _torn(ids: NDArray[np.int64], values: Numbers) -> list[str]:
    """What to say of inputs that stand there with several values of the target."""
    _, codes = np.unique(ids, return_inverse=True)
    low, high = (np.full(codes.max(initial=-1) + 1, edge) for edge in (np.inf, -np.inf))
    np.minimum.at(low, codes, values)
    np.maximum.at(high, codes, values)
    torn = int(np.sum(low < high))
    what = f"{torn} of the repeated samples have several values of the target; the first was kept"
    return [what] if torn else []


def _constant(test: Split) -> list[str]:
    values = values_of(test)
    what = f"all {len(values)} values of the test are {values[0]:g}, so that r2 is not defined"
    return [] if np.ptp(values) else [what]
