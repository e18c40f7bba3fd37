"""What a frozen model says about every training sample, computed once and looked up by id."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import StaleCache, StoreError
from bequest.lazy import torch
from bequest.store.files import atomic, read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bequest.core.live import Batch

_CONTENTS = "contents"


class Recalled:
    """Answers of a frozen model, memory-mapped, by sample id.

    values: [n, …]; ids: int64 [n], in any order.
    """

    def __init__(self, values: np.ndarray[Any, Any], ids: torch.Tensor) -> None:
        self._values = torch.from_numpy(values)
        self._ids, self._order = torch.sort(ids.cpu())

    def __call__(self, batch: Batch) -> torch.Tensor:
        """The answers for the samples of `batch`, on its device: [batch, …].

        Raises:
            StaleCache: a sample was never asked about.
        """
        ids = batch.ids.cpu()
        places = torch.searchsorted(self._ids, ids).clamp_(max=len(self._ids) - 1)
        if not torch.equal(self._ids.index_select(0, places), ids):
            raise StaleCache("a sample is not in the cache: it was made for other data")
        rows = self._order.index_select(0, places)
        return self._values.index_select(0, rows).to(batch.ids.device)


def recall(
    path: Path, made_from: Mapping[str, str], ids: torch.Tensor, answers: Iterator[torch.Tensor]
) -> Recalled:
    """Open the cache at `path`, or fill it from `answers`: batches in the order of `ids`.

    made_from: fingerprints of weights, data and transform.

    Raises:
        StaleCache: the file there was made from something else.
    """
    description = path.with_suffix(".cache.json")
    if description.exists():
        try:
            _verify(path, description, made_from)
        except (StoreError, StaleCache) as error:
            raise StaleCache(f"{error}; delete {description} and resume to ask again") from error
    else:
        _fill(path, len(ids), answers)
        write_sealed(description, {**made_from, _CONTENTS: _contents(path)})
    return Recalled(_open(path), ids)


def _fill(path: Path, count: int, answers: Iterator[torch.Tensor]) -> None:
    # Plain writes: a full disk is an error here, where a memory map would kill the process.
    blocks = map(_as_array, answers)
    first = next(blocks)
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (count, *first.shape[1:]),
    }
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in itertools.chain([first], blocks):
            file.write(np.ascontiguousarray(block).data)


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


def _verify(path: Path, description: Path, made_from: Mapping[str, str]) -> None:
    then = read_sealed(description)
    contents = then.pop(_CONTENTS, None)
    if changed := [key for key in {**then, **made_from} if then.get(key) != made_from.get(key)]:
        raise StaleCache(f"{path} was made from other {', '.join(changed)}")
    if contents != _contents(path):
        raise StaleCache(f"{path} was changed since it was made")


def _contents(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError as error:
        raise StoreError(f"{path} could not be read: {error.strerror}") from error
