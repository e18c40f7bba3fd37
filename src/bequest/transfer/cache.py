"""What a frozen model says about every training sample, computed once and looked up by id."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import StaleCache, StoreError
from bequest.core.live import Ragged
from bequest.lazy import torch
from bequest.store.files import atomic, read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bequest.core.live import Batch

_CONTENTS, _LENGTHS = "contents", "lengths"


class Recalled:
    """Answers of a frozen model, memory-mapped, by sample id.

    values: [n, …], or of texts [tokens, …]; ids: int64 [n], in any order; lengths: of texts, the
    tokens of each, [n].
    """

    def __init__(
        self,
        values: np.ndarray[Any, Any],
        ids: torch.Tensor,
        lengths: Sequence[int] | None = None,
    ) -> None:
        self._values = torch.from_numpy(values)
        self._ids, self._order = torch.sort(ids.cpu())
        self._lengths = None if lengths is None else torch.tensor(lengths)
        self._ends = None if self._lengths is None else self._lengths.cumsum(0)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """The answers for the samples of `batch`, on its device: [batch, …].

        Of texts those for all tokens, one text after another: [tokens, …].

        Raises:
            StaleCache: a sample was never asked about.
        """
        return self.at(batch.ids)

    def of(self, ids: torch.Tensor) -> np.ndarray[Any, Any]:
        """The answers for the samples of these ids, [n, …], on the CPU."""
        found: np.ndarray[Any, Any] = self.at(ids.cpu()).numpy()
        return found

    def at(self, wanted: torch.Tensor) -> torch.Tensor:
        """The answers for the samples of these ids, on the device of the ids."""
        ids = wanted.cpu()
        places = torch.searchsorted(self._ids, ids).clamp_(max=len(self._ids) - 1)
        if not torch.equal(self._ids.index_select(0, places), ids):
            raise StaleCache("a sample is not in the cache: it was made for other data")
        rows = self._order.index_select(0, places)
        if self._lengths is not None and self._ends is not None:
            rows = _spans(self._ends[rows], self._lengths[rows])
        return self._values.index_select(0, rows).to(wanted.device)


def recall(
    path: Path,
    made_from: Mapping[str, str],
    ids: torch.Tensor,
    answers: Iterator[torch.Tensor | Ragged],
) -> Recalled:
    """Open the cache at `path`, or fill it from `answers`: batches in the order of `ids`.

    made_from: fingerprints of weights, data and transform.

    Raises:
        StaleCache: the file there was made from something else.
    """
    description = path.with_suffix(".cache.json")
    if description.exists():
        try:
            lengths = _verified(path, description, made_from)
        except (StoreError, StaleCache) as error:
            raise StaleCache(f"{error}; delete {description} and resume to ask again") from error
    else:
        lengths = _fill(path, answers)
        told = {**made_from, _CONTENTS: _contents(path)}
        write_sealed(description, told if lengths is None else {**told, _LENGTHS: lengths})
    return Recalled(_open(path), ids, lengths)


def _spans(ends: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """All places of spans of `lengths` that lie before `ends`, one span after another."""
    passed = lengths.cumsum(0)
    return torch.arange(int(passed[-1])) + (ends - passed).repeat_interleave(lengths)


def _fill(path: Path, answers: Iterator[torch.Tensor | Ragged]) -> list[int] | None:
    """Write every answer; gives the tokens of each text where they are texts'."""
    # Plain writes: a full disk is an error here, where a memory map would kill the process.
    lengths: list[int] | None = None
    count = 0
    with atomic(path) as temporary, temporary.open("wb") as file:
        for answer in answers:
            values = answer.values if isinstance(answer, Ragged) else answer
            block = _as_array(values)
            if not count:
                _write_header(file, block, 0)
            if isinstance(answer, Ragged):
                lengths = [*(lengths or ()), *answer.lengths.tolist()]
            count += len(block)
            file.write(np.ascontiguousarray(block).data)
        file.seek(0)
        _write_header(file, block, count)
    return lengths


def _write_header(file: Any, block: np.ndarray[Any, Any], count: int) -> None:
    # NumPy leaves room for the first number to grow, so that this can be written over.
    header = {
        "descr": np.lib.format.dtype_to_descr(block.dtype),
        "fortran_order": False,
        "shape": (count, *block.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, header)


def _as_array(answer: torch.Tensor) -> np.ndarray[Any, Any]:
    answer = answer.detach().cpu()
    if answer.dtype is torch.bfloat16:  # NumPy has none
        answer = answer.float()
    array: np.ndarray[Any, Any] = answer.numpy()
    return array


def _open(path: Path) -> np.ndarray[Any, Any]:
    # Copy-on-write: torch wants writable memory, the file stays as it is.
    values: np.ndarray[Any, Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    return values


def _verified(path: Path, description: Path, made_from: Mapping[str, str]) -> list[int] | None:
    then = read_sealed(description)
    contents = then.pop(_CONTENTS, None)
    lengths: list[int] | None = then.pop(_LENGTHS, None)
    if changed := [key for key in {**then, **made_from} if then.get(key) != made_from.get(key)]:
        raise StaleCache(f"{path} was made from other {', '.join(changed)}")
    if contents != _contents(path):
        raise StaleCache(f"{path} was changed since it was made")
    return lengths


def _contents(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError as error:
        raise StoreError(f"{path} could not be read: {error.strerror}") from error
