"""Folders of weights as they lie on disk, read and written piece by piece; no torch, no pickle.

A checkpoint is a folder with one or more safetensors files (sharded or not), or one such file.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.store.files import explain
from bequest.store.fingerprints import of_model, of_tensor
from bequest.store.tensor_header import read_header
from bequest.store.weight_files import WeightFiles, is_there, some, weight_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.store.tensor_header import Entry

CHUNK = 1 << 20  # bytes that are looked at together
_SYNCED = 1 << 24  # bytes that are sent to disk together
FLOATING = {"F16": np.float16, "F32": np.float32, "BF16": np.uint16}
_WEIGHTS = {*FLOATING, "F64", "F8_E4M3", "F8_E5M2"}
_LEFT_OUT = {
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".onnx",
    ".gguf",
}  # fmt: skip
ADAPTERS = "adapter_config.json"
# What reading a header that lies may raise.
_DAMAGE = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)


class Place(NamedTuple):
    """Where a tensor lies: the file, what its header says, and the tensor's name."""

    file: Path
    entry: Entry
    start: int
    name: str

    def bytes(self) -> NDArray[np.uint8]:
        """Its bytes, mapped and not read."""
        size = self.entry.end - self.entry.begin
        if not size:
            return np.empty(0, np.uint8)
        found = np.memmap(self.file, np.uint8, "r", self.start + self.entry.begin, (size,))
        return found.view(np.ndarray)  # whose slices are faster to make

    @property
    def is_weight(self) -> bool:
        """Whether it is of a floating type, and so counts in fingerprints."""
        return self.entry.kind in _WEIGHTS

    @property
    def can_change(self) -> bool:
        """Whether changes can be added to it."""
        return self.entry.kind in FLOATING


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a model by name, in the order in which they lie in the files.

    left_out: other safetensors files beside them, which are not read.
    """

    path: Path
    heads: Mapping[Path, int]
    tensors: Mapping[str, Place]
    left_out: tuple[Path, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What a user should know of how it was read."""
        if not self.left_out:
            return []
        names = some([file.name for file in self.left_out])
        return [f"left out of `{self.path}`, as its model is in other files: {names}"]

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(place.entry.end - place.entry.begin for place in self.tensors.values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of what changes can be added to."""
        return {name: one.entry.shape for name, one in self.tensors.items() if one.can_change}


def checkpoint(path: Path) -> Checkpoint:
    """The weights in a folder or file; only headers are read.

    Raises:
        RequestError: there are none, a file is damaged, a name stands twice, or the index and the
            files don't agree.
    """
    there = is_there(path)
    if there and path.is_dir():
        if (path / ADAPTERS).is_file():
            fix = "merge them into their model (`merge_and_unload`) and save that"
            raise RequestError(Problem(f"`{path}` holds adapters, not a whole model", fix))
        listed = weight_files(path)
    else:
        listed = WeightFiles((path,), {}, ())
    if not there or not listed.files:
        what = f"`{path}` holds no weights" if there else f"`{path}` does not exist"
        raise RequestError(Problem(what, "name a folder with safetensors files, or one such file"))
    heads: dict[Path, int] = {}
    tensors: dict[str, Place] = {}
    for file in listed.files:
        heads[file], found = _tensors(file)
        if twice := found.keys() & tensors.keys():
            raise RequestError(Problem(f"`{path}` holds `{min(twice)}` twice"))
        tensors |= found
    if listed.index:
        _refuse_other_weights(path, listed.index, tensors)
    return Checkpoint(path, heads, tensors, listed.left_out)


def fingerprint(found: Checkpoint, told: Callable[[int], None] = lambda count: None) -> str:
    """Which weights they are; every byte is read once.

    told: called with the bytes of each tensor when it was read.
    """
    prints = {}
    for name, place in found.tensors.items():
        if place.is_weight:
            data = place.bytes()
            prints[name] = of_tensor(name, place.entry.kind, place.entry.shape, chunks(data))
            told(data.nbytes)
    return of_model(prints)


def chunks(data: NDArray[np.uint8], size: int = CHUNK) -> Iterator[NDArray[np.uint8]]:
    """The bytes piece by piece."""
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


def floats(data: NDArray[np.uint8], kind: str) -> NDArray[np.float32]:
    """Numbers of a floating type as a copy in float32."""
    own = data.view(FLOATING[kind])
    if kind == "BF16":
        return (own.astype(np.uint32) << 16).view(np.float32)
    return np.array(own, np.float32)


def rounded(values: NDArray[np.float32], kind: str) -> NDArray[Any]:
    """float32 as another floating type, to the nearest and ties to even, as torch does it."""
    if kind != "BF16":
        with np.errstate(over="ignore"):
            return values.astype(FLOATING[kind], copy=False)
    bits = values.view(np.uint32)
    near = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), near)


def extremes(values: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """The smallest and the largest of some numbers once they are rounded, which keeps their order.

    Both are NaN where one of them is.
    """
    ends = np.array([values.min(), values.max()], np.float32)
    return floats(rounded(ends, kind).view(np.uint8), kind)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends, and is gone if it fails.

    Raises:
        RequestError: `out` is there already.
        StoreError: it can't be written.
    """
    if out.exists():
        raise RequestError(Problem(f"`{out}` is there already", "name a new folder"))
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(out)
    except OSError as error:
        raise explain(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def streamed(path: Path) -> Iterator[Callable[[Any], None]]:
    """Writes bytes to a new file that goes to disk meanwhile, and lies there when the block ends.

    Syncing piece by piece from a second thread takes no longer than the slower of work and disk.

    Raises:
        OSError: it can't be written.
    """
    with path.open("wb", buffering=0) as out, ThreadPoolExecutor(1) as apart:
        synced: Future[object] = apart.submit(int)
        fresh = 0

        def write(data: Any) -> None:
            nonlocal synced, fresh
            rest = memoryview(data)
            rest = rest.cast("B") if rest.nbytes else rest  # none of nothing can be cast
            fresh += rest.nbytes
            while rest:
                rest = rest[out.write(rest) :]
            if fresh >= _SYNCED and synced.done():
                synced.result()
                synced, fresh = apart.submit(os.fdatasync, out.fileno()), 0

        yield write
        synced.result()
        os.fsync(out.fileno())


def copy_rest(found: Checkpoint, folder: Path) -> None:
    """Copy what lies beside the weights: settings, tokenizer; no other weights, and no folders."""
    if not found.path.is_dir():
        return
    for file in sorted(found.path.iterdir()):
        if file.is_file() and file.suffix not in _LEFT_OUT:
            shutil.copyfile(file, folder / file.name)


def _refuse_other_weights(
    path: Path, index: Mapping[str, Path], tensors: Mapping[str, Place]
) -> None:
    """Make sure that every weight lies where the index says, and that it names every weight."""
    where = {name: place.file for name, place in tensors.items()}
    if odd := [name for name in {**index, **where} if index.get(name) != where.get(name)]:
        what = f"the index of `{path}` and its files differ in {some(odd)}"
        raise RequestError(Problem(what, "save the model again with `save_pretrained`"))


def _tensors(file: Path) -> tuple[int, dict[str, Place]]:
    """Bytes before the tensors, and these in order."""
    try:
        with file.open("rb") as opened:
            header = read_header(opened)
    except OSError as error:
        raise RequestError(Problem(f"`{file}` can't be read: {error.strerror}")) from error
    except _DAMAGE as error:
        raise RequestError(Problem(f"`{file}` is no safetensors file, or damaged")) from error
    ordered = sorted(header.entries.items(), key=lambda item: item[1].begin)
    return header.start, {name: Place(file, entry, header.start, name) for name, entry in ordered}
