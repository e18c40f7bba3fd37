"""Folders of weights lined up with the base by name, before they are merged or made into a pack.

The rules are those of live models. What stands in which row is read from the tokenizer and the
config beside the weights; rows are never moved here, so another order is refused.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.core.errors import BequestError, Problem, RequestError
from bequest.ops.statistics import is_count
from bequest.store.files import read_json
from bequest.transfer.parents import FIX, Parent, alike, digests, flat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bequest.core.pack import Pack
    from bequest.store.checkpoints import Checkpoint

# Tables that older files of transformers hold and newer ones compute.
_TABLES = (".inv_freq", ".masked_bias", "position_ids")
_WORDS = ("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model")
_NUMBER = re.compile("[0-9]{1,9}")
_MOST_SHOWN = 3
_PANIC = "PanicException"  # of the tokenizers' Rust; it is no Exception


class LinedUp(NamedTuple):
    """Checkpoints that have the base's weights by the base's names, and what a user should know."""

    others: list[Checkpoint]
    notes: list[str]


def line_up(base: Checkpoint, others: Sequence[Checkpoint]) -> LinedUp:
    """Checkpoints by the base's names; copies of a tied weight are taken as tied.

    Every merge and every pack of files goes through here.

    Raises:
        RequestError: one is not like the base.
    """
    found: list[Checkpoint] = []
    notes = list(base.notes)
    own = parent_of(base)
    for other in others:
        name = f"`{other.path}`"
        lined, told = _tied(base, other, name)
        _, more = alike(own, parent_of(lined), name)
        notes += [*other.notes, *told, *more, *_tables(base, lined, name)]
        found.append(lined)
    return LinedUp(found, notes)


def parent_of(found: Checkpoint) -> Parent:
    """What must be known of a checkpoint to line it up.

    Raises:
        RequestError: a file beside its weights is damaged.
    """
    folder = found.path
    config = _json(folder / "config.json") if (folder / "config.json").is_file() else {}
    there = folder / "tokenizer.json"
    words = {} if there.is_file() else {
        name: f"content {_digest(folder / name)}" for name in _WORDS if (folder / name).is_file()
    }  # fmt: skip
    return Parent(
        shapes=_shapes(found),
        kinds={name: one.entry.kind for name, one in found.tensors.items() if one.is_weight},
        tokenizer=_Tokenizer(there) if there.is_file() else None,
        labels=_labels(config),
        settings=_flat(config, folder),
        parts=words,
    )


def is_table(name: str) -> bool:
    """Whether a tensor of this name is a table that follows from the config, and no weight."""
    return name.endswith(_TABLES)


def refuse_other_reading(pack: Pack, base: Checkpoint) -> None:
    """Make sure that a base has the tokens and labels, in their order, that a pack was made with.

    Raises:
        RequestError: it has not.
    """
    told = {kind: pack.about[kind] for kind in ("tokens", "labels") if kind in pack.about}
    here = digests(parent_of(base)) if told else {}
    for kind, digest in told.items():
        if here.get(kind, digest) != digest:
            what = f"the {kind} of `{base.path}` are not those that the pack was made with"
            fix = "their names or their order differ: apply it to the model that it was made from"
            raise RequestError(Problem(what, fix))


class _Tokenizer:
    """A tokenizer.json as `matched` compares tokenizers; without torch and transformers."""

    def __init__(self, path: Path) -> None:
        self._path, self._text = path, path.read_bytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tokenizer) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    @cached_property
    def backend_tokenizer(self) -> Any:
        """As transformers calls it."""
        import tokenizers

        try:
            return tokenizers.Tokenizer.from_buffer(self._text)
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
                raise
            raise RequestError(Problem(f"`{self._path}` is damaged: {error}")) from error

    def get_vocab(self) -> dict[str, int]:
        """The number of each token."""
        found: dict[str, int] = self.backend_tokenizer.get_vocab(with_added_tokens=True)
        return found


def _tied(base: Checkpoint, other: Checkpoint, name: str) -> tuple[Checkpoint, list[str]]:
    """A checkpoint by the base's names, where one of both stores a tied weight twice."""
    tensors, notes = dict(other.tensors), []
    for more in [each for each in _shapes(other) if each not in base.tensors]:
        if is_table(more) or (twin := _copy_of(more, other, base.tensors)):
            del tensors[more]
        if not is_table(more) and twin:
            notes.append(f"`{more}` of {name} is a copy of its `{twin}`, tied in the base")
    for less in [each for each in _shapes(base) if each not in other.tensors]:
        if is_table(less):
            tensors[less] = base.tensors[less]
        elif twin := _copy_of(less, base, other.tensors):
            tensors[less] = other.tensors[twin]
            notes.append(f"`{less}` of the base is a copy of its `{twin}`, tied in {name}")
    return replace(other, tensors=tensors), notes


def _copy_of(name: str, within: Checkpoint, known: Mapping[str, Any]) -> str | None:
    """Another weight with the same bytes that both checkpoints have."""
    own = within.tensors[name]
    for each, place in within.tensors.items():
        alike = place.entry.kind == own.entry.kind and place.entry.shape == own.entry.shape
        if each != name and each in known and alike and np.array_equal(place.bytes(), own.bytes()):
            return each
    return None


def _tables(base: Checkpoint, other: Checkpoint, name: str) -> list[str]:
    """A note on whole numbers of one only.

    Raises:
        RequestError: tables or whole numbers differ that are no counts.
    """
    odd, alone = [], []
    for each in {**base.tensors, **other.tensors}:
        one, two = base.tensors.get(each), other.tensors.get(each)
        if is_count(each) or not (is_table(each) or not (one or two).is_weight):  # type: ignore[union-attr]
            continue
        if one is None or two is None:
            alone.append(each)
        elif not np.array_equal(one.bytes(), two.bytes()):
            odd.append(each)
    if odd:
        what = f"`{odd[0]}` differs between the base and {name}, and is not a weight"
        raise RequestError(Problem(what, f"only weights can be merged; {FIX}"))
    if not alone:
        return []
    shown = ", ".join(f"`{each}`" for each in alone[:_MOST_SHOWN])
    return [f"{len(alone)} tensors that are not weights are in one of base and {name}: {shown}"]


def _shapes(found: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: place.entry.shape for name, place in found.tensors.items() if place.is_weight}


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the logits in their order, where a config has them."""
    told = config.get("id2label")
    if not isinstance(told, dict) or not all(map(_NUMBER.fullmatch, told)):
        return ()
    return tuple(str(told[key]) for key in sorted(told, key=int))


def _flat(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    try:
        found = flat(config)
    except RecursionError as error:
        raise RequestError(Problem(f"`{folder / 'config.json'}` is nested too deeply")) from error
    if "rope_theta" in found:  # where transformers wrote it before version 5
        found.setdefault("rope_parameters.rope_theta", found.pop("rope_theta"))
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except BequestError as error:
        raise RequestError(str(error)) from error
    if not isinstance(found, dict):
        raise RequestError(Problem(f"`{path}` must hold a JSON object"))
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
