"""What a frozen model says about every training sample, computed once and looked up by id."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import StaleCache
from bequest.lazy import torch
from bequest.store.files import atomic, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bequest.core.live import Batch


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
        if not torch.equal(self._ids[places], ids):
            raise StaleCache("a sample is not in the cache: it was made for other data")
        return self._values[self._order[places]].to(batch.ids.device)


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
        _verify(description, made_from)
    else:
        _fill(path, len(ids), answers)
        write_json(description, dict(made_from))
    return Recalled(_open(path, len(ids)), ids)


def _fill(path: Path, count: int, answers: Iterator[torch.Tensor]) -> None:
    # Plain writes: a full disk is an error here, where a memory map would kill the process.
    blocks = (answer.detach().cpu().numpy() for answer in answers)
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


def _open(path: Path, count: int) -> np.ndarray[Any, Any]:
    try:
        # Copy-on-write: torch wants writable memory, the file stays as it is.
        values: np.ndarray[Any, Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StaleCache(f"{path} is damaged ({error}); delete it and resume") from error
    if len(values) != count:
        raise StaleCache(f"{path} holds {len(values)} answers for {count} samples")
    return values


def _verify(description: Path, made_from: Mapping[str, str]) -> None:
    then = read_json(description)
    if then != dict(made_from):
        changed = [key for key in made_from if then.get(key) != made_from[key]]
        raise StaleCache(
            f"{description} was made from other {', '.join(changed)} "
            f"({json.dumps(then)}); put them back, or delete it and resume"
        )
