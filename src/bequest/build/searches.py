"""Texts that search for texts, on two sides without a leak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bequest.build.classification import fingerprint
from bequest.build.indexed import lined_up
from bequest.build.retrieval import Retrieval
from bequest.build.splitting import content_ids, places, sampled
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split, Texts
from bequest.ops.retrieval import relevance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.searching import SearchSettings

_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Collected:
    """What is searched, and what searches it.

    items: text of each item by its name. queries: the names of the items that belong to each query.
    """

    items: Mapping[str, str]
    queries: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Sides:
    """tested: names of tested items; test, train: queries; torn: how many belong to both sides."""

    tested: frozenset[str]
    test: tuple[str, ...]
    train: tuple[str, ...]
    torn: int


def searches(settings: SearchSettings, name: str, found: Collected) -> Retrieval:
    """The task of some texts; every item lies in the gallery, and nothing tested is learnt from.

    Raises:
        RequestError: a query names an unknown item, nothing is left to test or to learn from, or
            the index doesn't fit the items.
    """
    _refuse_unknown(found)
    sides, at = _sides(settings, found), {item: row for row, item in enumerate(found.items)}
    owners = content_ids(found.queries[query][0].encode() for query in sides.test)
    test = _split(sides.test, ["query"] * len(sides.test), owners)
    gallery = _split(tuple(found.items.values()), ["document"] * len(at), None, tuple(found.items))
    splits = {"train": _lesson(settings, found, sides), "test": test}
    belongs = relevance([[at[item] for item in found.queries[query]] for query in sides.test])
    told = {"kind": "search", "matches": belongs.items.tolist(), "ends": belongs.ends.tolist()}
    digest = fingerprint((), {**splits, "gallery": gallery}, told)  # type: ignore[dict-item]
    index = settings.stored_in()
    stored, left_out = lined_up(index, tuple(found.items)) if index else (None, ())
    return Retrieval(
        name,
        settings.purpose,
        "text",
        (),
        splits,  # type: ignore[arg-type]
        gallery,
        belongs,
        digest,
        stored,
        (*_notes(sides), *left_out),
    )


def _refuse_unknown(found: Collected) -> None:
    for query, items in found.queries.items():
        for item in items:
            if item not in found.items:
                what = f"query `{query[:60]}` belongs to `{item}`, which is no item"
                raise RequestError(Problem(what, "name items by their ids"))


def _sides(settings: SearchSettings, found: Collected) -> _Sides:
    searched = sorted({item for items in found.queries.values() for item in items})
    ids = content_ids(item.encode() for item in searched)
    mine = places(ids, settings.split_seed) < settings.test
    tested = frozenset(searched[row] for row in np.flatnonzero(mine))
    where = {query: {item in tested for item in items} for query, items in found.queries.items()}
    test = tuple(query for query, there in where.items() if there == {True})
    train = tuple(query for query, there in where.items() if there == {False})
    if not test:
        fix = "give more queries, another share, or another `split_seed`"
        raise RequestError(Problem("no query is left to test", fix, ("test",)))
    return _Sides(tested, test, train, sum(len(there) == 2 for there in where.values()))


def _lesson(settings: SearchSettings, found: Collected, sides: _Sides) -> Split:
    """What is learnt from: texts with the item they belong to, or texts of items alone."""
    hidden = {*sides.test, *(found.items[item] for item in sides.tested)}
    if settings.labelled:
        owners = list(dict.fromkeys(found.queries[query][0] for query in sides.train))
    else:
        owners = [item for item in found.items if item not in sides.tested]
    ids = content_ids(item.encode() for item in owners)
    rows = sampled(ids, settings.train_items)
    chosen = dict.fromkeys(owners[row] for row in rows.tolist())
    texts = {found.items[item]: item for item in chosen}
    roles = dict.fromkeys(texts, "document")
    if settings.labelled:
        texts |= {
            query: found.queries[query][0]
            for query in sides.train
            if found.queries[query][0] in chosen
        }
    kept = {text: item for text, item in texts.items() if text not in hidden}
    classes = {item: number for number, item in enumerate(dict.fromkeys(kept.values()))}
    targets = [classes[item] for item in kept.values()] if settings.labelled else None
    return _split(tuple(kept), [roles.get(text, "query") for text in kept], None, targets=targets)


def _split(
    texts: Sequence[str],
    roles: Sequence[str],
    unit: NDArray[np.int64] | None,
    names: Sequence[str] = (),
    targets: Sequence[int] | None = None,
) -> Split:
    pairs = zip(names or texts, texts, strict=True)  # items of equal texts are still two
    ids = content_ids(_SEPARATOR.join(pair).encode() for pair in pairs)
    return Split(
        Texts(tuple(texts), roles=tuple(roles)),
        None if targets is None else np.array(targets, np.int64),
        ids,
        unit,
    )


def _notes(sides: _Sides) -> list[str]:
    if not sides.torn:
        return []
    return [f"{sides.torn} queries belong to items on both sides; they were left out"]
