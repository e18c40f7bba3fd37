"""What must be known of models to line their weights up by name, and whether they are alike.

Shapes say nothing of which row is which token or label, and settings such as the number of heads
change what a model does without changing a shape. Live models and folders are compared here, by
the same rules.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.build.tokens import matched
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

FIX = "packs and merges are for models fine-tuned from one and the same base"
_SHOWN = 3
# Fields of a config.json that don't change what given weights answer; names are kept apart.
_NO_MATTER = re.compile(
    r"(^|\.)(_.*|.*version|.*dtype|.*token_id|.*drop.*|.*initializ.*|init_.*|output_.*|use_cache"
    r"|(id2label|label2id|task_specific_params)(\..*)?|num_labels|problem_type|finetuning_task"
    r"|return_dict.*|torchscript|auto_map"
    r"|gradient_checkpointing|pruned_heads|pretraining_tp|vocab_size|unsloth.*"
    r"|chunk_size_feed_forward|use_bfloat16|.*attn_implementation|.*loss_coef|tokenizer_class"
    r"|max_length|min_length|do_sample|num_beams.*|temperature|top_[kp]|typical_p|.*penalty"
    r"|num_return_sequences|bad_words_ids|suppress_tokens|begin_suppress_tokens|prefix)$"
)
# Fields of which the base's is taken, with a note.
_LENGTHS = re.compile(r"(^|\.)(max_position_embeddings|n_positions|n_ctx|model_max_length)$")


@dataclass(frozen=True)
class Parent:
    """A model that is merged, or that a pack is made of.

    shapes, kinds: of its weights, by name; tokenizer: how texts become tokens, or None; labels: of
    its logits, in the order in which its weights give them; settings: fields of its config; parts:
    what its layers are, by path; token_rows, label_rows: weights with a row for each token, or for
    each label.
    """

    shapes: Mapping[str, tuple[int, ...]]
    kinds: Mapping[str, str] = field(default_factory=dict)
    tokenizer: Any = None
    labels: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    token_rows: tuple[str, ...] = ()
    label_rows: tuple[str, ...] = ()


class Alike(NamedTuple):
    """How another model's weights are put in the base's order, and what a user should know.

    rows: for some weights, which row of the other stands in each place; notes: sentences.
    """

    rows: Mapping[str, Rows]
    notes: tuple[str, ...]


def alike(base: Parent, other: Parent, name: str) -> Alike:
    """Line a model up with the base: by the content of tokens, the names of labels and weights.

    name: what the other is called in messages.

    Raises:
        RequestError: they are not alike, or rows are in another order and it is not known which
            weights have them.
    """
    tokens, labels = _tokens(base, other, name), _labels(base, other, name)
    refuse_unlike(base.shapes, other.shapes, name)
    notes = [*_settings(base, other, name), *_kinds(base, other, name)]
    _refuse_other_parts(base, other, name)
    rows: dict[str, Rows] = {}
    if tokens is not None:
        rows |= _placed(base, base.token_rows, tokens, f"the tokens of {name}", len(tokens))
        notes.append(f"the tokens of {name} were put in the order of the base's")
    if labels is not None:
        rows |= _placed(base, base.label_rows, labels, f"the labels of {name}", 0)
        notes.append(f"the labels of {name} were put in the order of the base's")
    return Alike(rows, tuple(notes))


def refuse_unlike(
    base: Mapping[str, tuple[int, ...]], other: Mapping[str, tuple[int, ...]], name: str = "donor"
) -> None:
    """Make sure that two models have weights of the same names and shapes.

    Raises:
        RequestError: they have not; names the first that differ.
    """
    odd = [each for each in {**base, **other} if base.get(each) != other.get(each)]
    if odd:
        told = "; ".join(
            f"`{each}` {_shape(base, each)}, {_shape(other, each)}" for each in odd[:_SHOWN]
        )
        what = f"base and {name} differ in {len(odd)} weights: {told} (base, {name})"
        raise RequestError(Problem(what, FIX))


def digests(parent: Parent) -> dict[str, str]:
    """Digests of a model's tokens and labels in their order, of those that it has."""
    found = {}
    if parent.labels:
        found["labels"] = _digest(list(parent.labels))
    if parent.tokenizer is not None:
        # Those that were added may be told in several files, so they are left out.
        words = parent.tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
        found["tokens"] = _digest(sorted(words.items()))
    return found


def flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The fields of a config, those of configs within by dotted names."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = list(value) if isinstance(value, tuple) else value
    return found


def _tokens(base: Parent, other: Parent, name: str) -> Rows | None:
    """Which row of the other has each of the base's tokens; None where all are the same."""
    ours, theirs = base.tokenizer, other.tokenizer
    if ours is None or theirs is None or ours == theirs:
        return None
    try:
        found = matched(ours, theirs)
    except RequestError as error:
        what = f"base and {name} can't be lined up: {error.problems[0].what}"
        raise RequestError(Problem(what, FIX)) from error
    if found is None:
        return None
    places = sorted(ours.get_vocab().values())
    if places != sorted(found):
        raise RequestError(Problem(f"the tokens of base and {name} have other numbers", FIX))
    rows = np.arange(max(places) + 1)
    rows[places] = found
    return rows


def _labels(base: Parent, other: Parent, name: str) -> Rows | None:
    """Which logit of the other has each of the base's labels; None where all are the same."""
    for who, labels in (("the base", base.labels), (name, other.labels)):
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            what = f"{who} has two logits named {_names(twice)}"
            raise RequestError(Problem(what, "give each label a name of its own"))
    if base.labels == other.labels or not (base.labels and other.labels):
        return None
    if odd := sorted({*base.labels} ^ {*other.labels}):
        what = f"base and {name} have other labels: {len(odd)} are of one only ({_names(odd)})"
        raise RequestError(Problem(what, FIX))
    return np.array([other.labels.index(label) for label in base.labels])


def _placed(
    base: Parent, names: Sequence[str], rows: Rows, whose: str, tokens: int
) -> dict[str, Rows]:
    """The order of rows for each weight that has such rows.

    tokens: how many tokens there are, where rows are tokens: no other weight may be as long.
    """
    what = f"{whose} are in another order than the base's"
    if not names:
        fix = (
            "which rows of its weights these are is not known; a recipe puts tokens and labels of "
            "`use: hf` models in order"
        )
        raise RequestError(Problem(what, fix))
    unknown = []
    if tokens:
        sizes = {tokens, *(base.shapes[name][0] for name in names)}
        unknown = [each for each, shape in base.shapes.items()
                   if each not in names and sizes & {*shape}]  # fmt: skip
    if unknown:
        fix = f"whether {_names(unknown)} have rows for them is not known; {FIX}"
        raise RequestError(Problem(what, fix))
    found = {}
    for name in names:
        size = base.shapes[name][0]
        if (rows[:size] >= size).any():
            raise RequestError(Problem(what, f"some have no row in `{name}`; {FIX}"))
        found[name] = np.concatenate([rows[:size], np.arange(len(rows), size)])
    return found


def _settings(base: Parent, other: Parent, name: str) -> Iterator[str]:
    """Notes on settings of one model only, and on those of which the base's is taken.

    Raises:
        RequestError: one differs that may change what the model does.
    """
    ours, theirs = base.settings, other.settings
    keys = [key for key in {**ours, **theirs} if not _NO_MATTER.search(key)]
    odd = [key for key in keys if ours.get(key) != theirs.get(key)]
    alone = [key for key in odd if not (key in ours and key in theirs)]
    if bad := [key for key in odd if key not in alone and not _LENGTHS.search(key)]:
        told = "; ".join(f"`{key}` {ours[key]!r}, {theirs[key]!r}" for key in bad[:_SHOWN])
        what = f"base and {name} differ in {len(bad)} settings: {told} (base, {name})"
        raise RequestError(Problem(what, FIX))
    if ours and theirs and alone:
        yield f"{_names(alone)} {_are(alone)} set in the config of only one of base and {name}"
    for key in odd:
        if key not in alone:
            told = f"{ours[key]} in the base and {theirs[key]} in {name}"
            yield f"`{key}` is {told}; the base's stays"


def _refuse_other_parts(base: Parent, other: Parent, name: str) -> None:
    ours, theirs = base.parts, other.parts
    if odd := [path for path in {**ours, **theirs} if ours.get(path) != theirs.get(path)]:
        told = "; ".join(
            f"`{path}` {ours.get(path, 'missing')}, {theirs.get(path, 'missing')}"
            for path in odd[:_SHOWN]
        )
        what = f"base and {name} differ in {len(odd)} parts: {told} (base, {name})"
        raise RequestError(Problem(what, FIX))


def _kinds(base: Parent, other: Parent, name: str) -> Iterator[str]:
    """A note on weights of other types."""
    odd = [each for each, kind in base.kinds.items() if other.kinds.get(each) != kind]
    if odd:
        kinds = f"{base.kinds[odd[0]]} in the base and {other.kinds.get(odd[0])} in {name}"
        yield f"{len(odd)} weights are of other types, such as `{odd[0]}`: {kinds}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return str(list(shapes[name])) if name in shapes else "missing"
