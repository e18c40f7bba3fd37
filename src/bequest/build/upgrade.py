"""What an upgrade of an embedder comes to, in NumPy alone: a new encoder's vectors, made readable
for an old index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.store.files import atomic
from bequest.store.packs import read_pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.core.pack import Pack

    Floats = NDArray[np.float32]

KIND = "basis"
ROWS = 2048  # made at a time: what is between the products stays in the cache
_NOTHING: Any = np.zeros(0, np.float32)
_LEAST = np.float32(1e-12)  # of a length; as torch's `normalize`


class Upgrade:
    """The layers that a method of compatibility learnt behind an encoder.

    With h = `trunk` · vector + `trunk_bias` (or the vector itself), f its first numbers made one
    long and o = `gate` · max(h, 0) + `gate_bias` made one long, the vector is `basis` · [o, f].
    A method leaves out what it doesn't have.

    given: numbers in the encoder's vectors; width: in new ones; old_width: how many of these, the
    first, are compared with old vectors.
    """

    def __init__(self, pack: Pack) -> None:
        tensors = {
            name: np.ascontiguousarray(values, np.float32) for name, values in pack.tensors.items()
        }
        self._trunk, self._trunk_bias = tensors.get("trunk"), tensors.get("trunk_bias", _NOTHING)
        self._gate, self._gate_bias = tensors.get("gate"), tensors.get("gate_bias", _NOTHING)
        self._basis = tensors.get("basis")
        self.old_width = int(pack.about["old_width"])
        self.given = int(pack.about["given"])
        self._hidden = self.given if self._trunk is None else len(self._trunk)
        self._extra = 0 if self._gate is None else len(self._gate)
        own = self._hidden if self._basis is None else len(self._basis) - self._extra
        self._own, self.width = own, own + self._extra
        self._check(tensors)

    def apply(self, vectors: NDArray[Any], *, compatible: bool = False) -> Floats:
        """New vectors, float32 [n, width].

        vectors: the encoder's, [n, given]. compatible: only the part that is compared with old
        vectors, each made one long, for an index of the old width; [n, old_width].

        Raises:
            ValueError: vectors are of another width, or no numbers.
        """
        vectors = np.asarray(vectors)
        found = np.empty((len(vectors), self.old_width if compatible else self.width), np.float32)
        self._into(vectors, found, compatible=compatible)
        return found

    def apply_file(
        self, source: Path | str, target: Path | str, *, compatible: bool = False
    ) -> None:
        """The same from one `.npy` file to another, some rows at a time; whole or not at all.

        Raises:
            RequestError: the source can't be read, is of another width or holds no numbers.
            StoreError: the target can't be written.
        """
        from pathlib import Path

        vectors = _loaded(source)
        if vectors.ndim != 2 or vectors.shape[1] != self.given or vectors.dtype.kind not in "fiu":
            what = f"{source} holds {list(vectors.shape)} {vectors.dtype}"
            raise RequestError(Problem(what, f"vectors of {self.given} are needed"))
        shape = (len(vectors), self.old_width if compatible else self.width)
        with atomic(Path(target)) as temporary:
            found = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            self._into(vectors, found, compatible=compatible)
            found.flush()

    def _into(self, vectors: NDArray[Any], found: Floats, *, compatible: bool) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != self.given or vectors.dtype.kind not in "fiu":
            raise ValueError(f"vectors are {list(vectors.shape)}; they must be [n, {self.given}]")
        rows = min(ROWS, len(vectors))
        hidden = np.empty((rows, self._hidden), np.float32)
        joined = np.empty((rows, self.width), np.float32)
        for start in range(0, len(vectors), ROWS):
            part = np.asarray(vectors[start : start + ROWS], np.float32)
            out = found[start : start + ROWS]
            self._block(part, hidden[: len(part)], joined[: len(part)], out)
            if compatible:
                _to_unit(out, out)

    def _block(self, part: Floats, hidden: Floats, joined: Floats, out: Floats) -> None:
        """New vectors of some rows, or their first numbers where `out` is narrower."""
        h = part
        if self._trunk is not None:
            h = np.matmul(part, self._trunk.T, out=hidden)
            h += self._trunk_bias
        _to_unit(h[:, : self._own], joined[:, self._extra :])
        if self._gate is not None:
            beside = np.maximum(h, 0, out=hidden) @ self._gate.T
            beside += self._gate_bias
            _to_unit(beside, joined[:, : self._extra])
        if self._basis is None:
            out[:] = joined[:, : out.shape[1]]
        else:
            np.matmul(joined, self._basis[: out.shape[1]].T, out=out)

    def _check(self, tensors: Mapping[str, Floats]) -> None:
        """Refuse tensors that don't fit each other.

        Raises:
            RequestError: they don't.
        """
        shapes = {
            "trunk": (self._hidden, self.given),
            "trunk_bias": (self._hidden,),
            "gate": (self._extra, self._hidden),
            "gate_bias": (self._extra,),
            "basis": (self.width, self.width),
        }
        pairs = [("trunk", "trunk_bias"), ("gate", "gate_bias")]
        alone = any((one in tensors) != (other in tensors) for one, other in pairs)
        outside = not (0 < self._own <= self._hidden and 0 < self.old_width <= self.width)
        odd = [name for name, each in tensors.items() if each.shape != shapes.get(name)]
        if odd or alone or outside:
            what = f"the pack's tensors don't fit each other ({', '.join(odd) or 'sizes'})"
            raise RequestError(Problem(what, "was it made by another version?"))


def load_upgrade(path: Path) -> Upgrade:
    """The upgrade in a pack.

    Raises:
        RequestError: there is none, or it is damaged.
    """
    try:
        return Upgrade(read_pack(path, KIND, whole=True))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        what = f"{path} is no upgrade of an embedder, or damaged"
        raise RequestError(Problem(what, "name a pack that a step delivered")) from error


def _loaded(source: Path | str) -> NDArray[Any]:
    """The array in a `.npy` file, memory-mapped."""
    try:
        found = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise RequestError(Problem(f"{source} can't be read: {error}")) from error
    if not isinstance(found, np.ndarray):
        raise RequestError(Problem(f"{source} holds several arrays", "name a `.npy` file"))
    return found


def _to_unit(vectors: Floats, out: Floats) -> None:
    squares = np.einsum("ij,ij->i", vectors, vectors)
    np.sqrt(squares, out=squares)
    lengths = cast("Floats", np.maximum(squares, _LEAST, out=squares))
    np.divide(vectors, lengths[:, None], out=out)
