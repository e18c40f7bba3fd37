"""A pack from two checkpoints on disk, without building the models: by names and shapes alone.

Nobody sees inputs here, so factors are rounded to the nearest code of their grid; a recipe with
`use: graftllm` calibrates them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.methods.graft._compression import Compression, Settings, directions_of, largest, skill
from bequest.methods.graft._parts import by_name, entries_within
from bequest.ops import forms
from bequest.ops.gptq import Rounding
from bequest.ops.statistics import is_statistic
from bequest.store.checkpoints import checkpoint, fingerprint, floats
from bequest.transfer.lining_up_files import line_up, parent_of
from bequest.transfer.parents import digests

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.core.pack import Pack
    from bequest.core.progress import Progress
    from bequest.ops.layout import Kept
    from bequest.store.checkpoints import Checkpoint

    Array = NDArray[Any]

METHODS: Mapping[str, str] = {
    "graft": "pruned embeddings, directions of projections in few bits, the rest whole",
    "magnitude": "the largest entries of every tensor, in float16",
    "signs": "one bit for each entry of matrices and a scale (BitDelta), the rest whole",
    "delta": "every number of the change, in float32",
}


def made(base: Path, tuned: Path, method: str, budget: float, progress: Progress) -> Pack:
    """What a tuned checkpoint has beyond its base, by the base's names.

    method: one of `METHODS`; budget: share of the change's size in float16, for the first two.

    Raises:
        RequestError: the checkpoints are not alike, nothing differs, or a weight does of a type
            that no pack changes.
    """
    before = checkpoint(base)
    lined = line_up(before, [checkpoint(tuned)])
    after = lined.others[0]
    for note in lined.notes:
        progress.note(note)
    differing = [name for name in _shapes(before) if not _same(name, before, after)]
    for name in differing:
        one, other = before.tensors[name], after.tensors[name]
        if not (one.can_change and other.can_change):
            what = f"`{name}` differs and is {one.entry.kind} in the base, {other.entry.kind} tuned"
            raise RequestError(Problem(what, "packs change weights of F16, BF16 and F32"))
    own = fingerprint(before)
    shapes = {name: before.tensors[name].entry.shape for name in differing}
    if not shapes:
        raise RequestError(Problem(f"`{tuned}` has the same weights as `{base}`"))
    found = _Making(method, budget, shapes, digests(parent_of(before)))
    progress.begin(f"pack of {len(shapes)} weights", len(shapes))
    for number, name in enumerate(shapes, 1):
        found.take(name, _delta(before, after, name))
        progress.advance(number, len(shapes), {})
    progress.end()
    return found.pack(own)


class _Making:
    """Takes changes in by one of the methods."""

    def __init__(
        self,
        method: str,
        budget: float,
        shapes: Mapping[str, tuple[int, ...]],
        reading: Mapping[str, str],
    ) -> None:
        self._method, self._budget, self._shapes = method, budget, shapes
        self._about = {"method": method, **reading}
        settings = Settings(Rounding(half_scales=True), budget=budget)
        self._compression = Compression(settings, shapes, by_name(shapes))
        self._apart = set(self._compression.factored_names())
        self._kept: dict[str, Kept] = {}

    def take(self, name: str, delta: Array) -> None:
        """Keep what the method keeps of a change."""
        if self._method == "graft" and name in self._apart:
            factors, found = directions_of(delta, name), self._compression
            groups = found.groups(name, factors)
            found.take_apart(name, found.rounded(name, factors, [], groups, None))
        elif self._method == "graft":
            self._compression.take(name, delta)
        elif self._method == "magnitude" and not is_statistic(name):
            count = entries_within(2 * self._budget * delta.size, delta.size, value_bits=16)
            self._kept[name] = forms.sparse(delta, largest(delta, count), 16)
        elif self._method == "signs" and delta.ndim > 1:
            self._kept[name] = forms.signs(delta)
        else:
            self._kept[name] = forms.whole(delta)

    def pack(self, base: str) -> Pack:
        """All of it."""
        if self._method == "graft":
            return self._compression.pack(base, self._about)
        return skill(self._kept, self._shapes, base, self._about)


def _shapes(found: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: place.entry.shape for name, place in found.tensors.items() if place.is_weight}


def _same(name: str, before: Checkpoint, after: Checkpoint) -> bool:
    one, other = before.tensors[name], after.tensors[name]
    return one.entry.kind == other.entry.kind and np.array_equal(one.bytes(), other.bytes())


def _delta(before: Checkpoint, after: Checkpoint, name: str) -> Array:
    one, other = before.tensors[name], after.tensors[name]
    was, is_now = (floats(each.bytes(), each.entry.kind) for each in (one, other))
    for whose, values in (("base", was), ("tuned model", is_now)):
        if not np.isfinite(values).all():
            raise RequestError(Problem(f"`{name}` of the {whose} has numbers that are not finite"))
    delta = is_now - was
    if not np.isfinite(delta).all():
        raise RequestError(Problem(f"`{name}` of the tuned model minus the base is not finite"))
    return delta.reshape(one.entry.shape)
