"""Packs on the weights of a model on disk: put on, taken off and checked, tensor by tensor.

Nothing is subtracted: with a pack on it a model is a new folder, which says what it was made of,
and without it is made again from the base. So the base comes back bit for bit, whatever was
rounded.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import BequestError, Problem, RequestError
from bequest.core.progress import Silent
from bequest.store.checkpoints import (
    checkpoint,
    chunks,
    copy_rest,
    extremes,
    fingerprint,
    floats,
    new_folder,
    rounded,
    streamed,
)
from bequest.store.files import read_json, write_json
from bequest.store.fingerprints import begun, of_model
from bequest.store.packs import read_pack
from bequest.store.weight_files import is_there
from bequest.transfer.lining_up_files import refuse_other_reading
from bequest.transfer.weights import DAMAGE, opened_parts, refuse_other_base, refuse_sick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.core.pack import Pack
    from bequest.core.progress import Progress
    from bequest.ops.forms import Change
    from bequest.store.checkpoints import Checkpoint, Place

RECORD, PACKS = "bequest_packs.json", "packs"
_MEGA = 1 << 20
_KEYS = {"base", "base_path", "packs", "result"}
_SILENT = Silent()


def applied(
    base: Path, packs: Sequence[Path], out: Path, progress: Progress = _SILENT
) -> dict[str, Any]:
    """Write a model with packs on it into a new folder; several sum up, in their order.

    What lies beside the base's weights is copied, and the packs with it. Gives the record.

    Raises:
        RequestError: a pack is of another base, damaged or not fitting, or `out` is there.
    """
    return _made(base, packs, out, progress)


def removed(
    model: Path, name: str, out: Path, base: Path | None = None, progress: Progress = _SILENT
) -> dict[str, Any]:
    """Write a model without one of its packs into a new folder, from its base and the other packs.

    Without the last one the weights' files are the base's, byte for byte. base: where it lies, if
    it was moved.

    Raises:
        RequestError: the model has no such pack, or its base is not there or another one.
    """
    record = record_of(model)
    if name not in record["packs"]:
        there = ", ".join(record["packs"]) or "none"
        raise RequestError(Problem(f"`{model}` has no pack `{name}`", f"it has {there}"))
    place = base or Path(record["base_path"])
    if not is_there(place):
        what = f"the base of `{model}` is not at `{place}` any more"
        raise RequestError(Problem(what, "say where it is with `--base`"))
    rest = [_pack_in(model, each) for each in record["packs"] if each != name]
    return _made(place, rest, out, progress, record["base"])


def verified(path: Path, base: Path | None = None, progress: Progress = _SILENT) -> dict[str, Any]:
    """Check a pack, and whether it belongs to a base; or a model with packs, and whether its
    weights are those that were written.

    Raises:
        RequestError: something is not as it should be.
    """
    if path.is_dir():
        record = record_of(path)
        for name in record["packs"]:
            opened_parts(read_pack(_pack_in(path, name), "skill", whole=True))
        found = _print_of(checkpoint(path), progress)
        if found != record["result"]:
            what = f"the weights in `{path}` were changed after packs were put on"
            raise RequestError(Problem(what, "put the packs on the base anew"))
        if base and (other := _print_of(checkpoint(base), progress)) != record["base"]:
            raise _not_the_base(base, other, record["base"])
        return {"kind": "model", **record}
    pack = read_pack(path, "skill", whole=True)
    for change in opened_parts(pack).values():
        _tried(change)
    if base:
        there = checkpoint(base)
        refuse_other_base(pack, _print_of(there, progress))
        refuse_other_reading(pack, there)
    return {"kind": "pack", "base": pack.base, "weights": len(pack.tensors)}


def record_of(model: Path) -> dict[str, Any]:
    """What a model with packs says of itself.

    Raises:
        RequestError: no pack was put on it, or the record is damaged.
    """
    if not (model / RECORD).is_file():
        raise RequestError(Problem(f"`{model}` has no packs on it", f"there is no {RECORD}"))
    try:
        record = read_json(model / RECORD)
    except BequestError as error:
        raise RequestError(str(error)) from error
    names = record.get("packs") if isinstance(record, dict) else None
    if not isinstance(names, list) or set(record) != _KEYS or not all(map(_is_name, names)):
        raise RequestError(Problem(f"`{model / RECORD}` is damaged"))
    if not all(isinstance(record[key], str) for key in _KEYS - {"packs"}):
        raise RequestError(Problem(f"`{model / RECORD}` is damaged"))
    found: dict[str, Any] = record
    return found


def _made(
    base: Path, packs: Sequence[Path], out: Path, progress: Progress, expected: str = ""
) -> dict[str, Any]:
    """The folder `out`; expected: the base's fingerprint, where it is known."""
    found, read = checkpoint(base), _read(packs)
    for note in found.notes:
        progress.note(note)
    for pack in read.values():
        refuse_other_reading(pack, found)
    with new_folder(out) as folder:
        before, after = _written(found, list(read.values()), folder, progress)
        for pack in read.values():
            refuse_other_base(pack, before)
        if expected not in ("", before):
            raise _not_the_base(base, before, expected)
        record = {
            "base": before,
            "base_path": str(base.resolve()),
            "packs": list(read),
            "result": after,
        }
        copy_rest(found, folder)
        if packs:
            _copy_packs(packs, folder)
            write_json(folder / RECORD, record)
        elif is_there(base / RECORD):  # the base has packs of its own
            _copy_packs([_pack_in(base, name) for name in record_of(base)["packs"]], folder)
        return record


def _copy_packs(packs: Sequence[Path], folder: Path) -> None:
    (folder / PACKS).mkdir()
    for path in packs:
        shutil.copyfile(path, folder / PACKS / f"{path.stem}.safetensors")


def _read(paths: Sequence[Path]) -> dict[str, Pack]:
    read: dict[str, Pack] = {}
    for path in paths:
        if path.stem in read:
            raise RequestError(Problem(f"two packs are called `{path.stem}`", "rename one"))
        read[path.stem] = read_pack(path, "skill", whole=True)
    if len({pack.base for pack in read.values()}) > 1:
        raise RequestError(Problem("the packs belong to different bases"))
    return read


def _written(
    found: Checkpoint, packs: Sequence[Pack], folder: Path, progress: Progress
) -> tuple[str, str]:
    """Write all weights with the packs on them; fingerprints of what they were and are."""
    opened = [opened_parts(pack) for pack in packs]
    for pack, parts in zip(packs, opened, strict=True):
        _refuse_unfitting(found, pack, parts)
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    told = _telling(progress, "weights", found.size)
    for file, start in found.heads.items():
        own = {name: place for name, place in found.tensors.items() if place.file == file}
        with streamed(folder / file.name) as write, file.open("rb") as source:
            write(source.read(start))
            for name, place in own.items():
                changes = [parts[name] for parts in opened if name in parts]
                _tensor(write, name, place, changes, before, after)
                told(place.entry.end - place.entry.begin)
    progress.end()
    return of_model(before), of_model(after)


def _tensor(
    write: Callable[[Any], None],
    name: str,
    place: Place,
    changes: Sequence[Change],
    before: dict[str, str],
    after: dict[str, str],
) -> None:
    """Write one tensor, and note its fingerprints if it is of a floating type."""
    about = name, place.entry.kind, place.entry.shape
    was, now = begun(*about), begun(*about)
    for old, new in _blocks(place, changes):
        write(new)
        was.update(old.data)
        if changes:
            now.update(new.data)
    if place.is_weight:
        before[name] = was.hexdigest()
        after[name] = (now if changes else was).hexdigest()


def _blocks(
    place: Place, changes: Sequence[Change]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Bytes as they were, and with the changes, piece by piece."""
    data, kind = place.bytes(), place.entry.kind
    if not changes:
        yield from ((part, part) for part in chunks(data))
        return
    step = max(change.step for change in changes)
    size = len(data) // changes[0].size
    for start in range(0, changes[0].size, step):
        old = data[start * size : (start + step) * size]
        block = floats(old, kind)
        for change in changes:
            try:
                change.add(start, block)
            except DAMAGE as error:
                raise RequestError(Problem(f"the pack is damaged: {error}")) from error
        refuse_sick(place.name, extremes(block, kind))
        yield old, rounded(block, kind).view(np.uint8)


def _tried(change: Change) -> None:
    """Add a change to nothing, so that all of it is looked at."""
    try:
        for start in range(0, change.size, change.step):
            change.add(start, np.zeros(min(change.step, change.size - start), np.float32))
    except DAMAGE as error:
        raise RequestError(Problem(f"the pack is damaged: {error}")) from error


def _refuse_unfitting(found: Checkpoint, pack: Pack, parts: Mapping[str, Change]) -> None:
    shapes = found.shapes()
    for name in parts:
        told = tuple(pack.about["parts"][name]["shape"])
        if shapes.get(name) != told:
            what = f"`{found.path}` has no weight `{name}` of shape {list(told)} and 16 or 32 bits"
            raise RequestError(Problem(what, "a pack fits the very model it was made from"))


def _not_the_base(base: Path, found: str, expected: str) -> RequestError:
    what = f"`{base}` is not the base: {found} instead of {expected}"
    return RequestError(Problem(what, "name the model that the packs were put on"))


def _print_of(found: Checkpoint, progress: Progress) -> str:
    told = _telling(progress, "fingerprint", found.size)
    made = fingerprint(found, told)
    progress.end()
    return made


def _telling(progress: Progress, work: str, size: int) -> Callable[[int], None]:
    """Tells of bytes that were worked on, in megabytes."""
    done, whole = 0, max(1, size // _MEGA)
    progress.begin(work, whole)

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress.advance(max(1, min(done // _MEGA, whole)), whole, {})

    return told


def _pack_in(model: Path, name: str) -> Path:
    return model / PACKS / f"{name}.safetensors"


def _is_name(name: Any) -> bool:
    if not isinstance(name, str) or not name.isprintable() or name in ("", ".", ".."):
        return False
    return Path(name).name == name
