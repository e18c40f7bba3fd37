"""Labels that are asked for and can't be known: refused by name, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bequest.build.splitting import SIDES, TRAIN, other_seed, unseen
from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bequest.build.settings import SplitSettings
    from bequest.build.splitting import Pool, Sides
    from bequest.core.live import SplitName

_NAMED = 5
_ENOUGH = 10  # samples of one label, below it chance may do it
_ASKED: tuple[SplitName, ...] = ("validation", "test")


def refuse_unseen(pool: Pool, sides: Sides, labels: Sequence[str], settings: SplitSettings) -> None:
    """Refuse validation and test sides with labels that no training sample has.

    Such samples can't be answered right, so a score on them says nothing about a model. Neither
    does one on another side than the file that was named for it, where that has no labels.

    Raises:
        RequestError: says which labels, of how many samples, and what to do.
    """
    problems = [*_without_labels(pool, settings)]
    problems += [
        _problem(pool, sides, side, rows, labels, settings)
        for side in _ASKED
        if len(rows := unseen(pool, sides, side))
    ]
    if problems:
        raise RequestError(problems)


def single_label_notes(pool: Pool, sides: Sides, labels: Sequence[str]) -> list[str]:
    """Notes on sides in files of their own whose samples all have one label, though others exist.

    Such labels may be withheld, too: some publish 0 for all of them.
    """
    notes = []
    for side in (each for each in _ASKED if each in sides):
        own = pool.targets[sides[side]]
        brought = (pool.side[sides[side]] == SIDES.index(side)).all()
        if brought and len(own) >= _ENOUGH and len(np.unique(own)) == 1:
            told = f"every sample of {side} has the label `{labels[own[0]]}`"
            notes.append(f"{told}: if it stands for withheld labels, leave the {side} data out")
    return notes


def _without_labels(pool: Pool, settings: SplitSettings) -> Iterator[Problem]:
    """Files of sides that have no sample with a label, so that another side would be drawn."""
    for side in _ASKED:
        path = getattr(settings, f"{side}_path", None)
        if path and SIDES.index(side) not in pool.side:
            what, fix = f"no sample of `{path}` has a label", "leave the file out"
            yield Problem(what, f"{fix}, and a {side} side is drawn", (f"{side}_path",))


def _problem(
    pool: Pool,
    sides: Sides,
    side: SplitName,
    rows: NDArray[np.int64],
    labels: Sequence[str],
    settings: SplitSettings,
) -> Problem:
    codes, counts = np.unique(pool.targets[rows], return_counts=True)
    named = [f"`{labels[code]}` ({count})" for code, count in zip(codes, counts, strict=True)]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    what = (
        f"{len(rows)} of {len(sides[side])} samples of {side} have labels that no training "
        f"sample has: {', '.join(named[:_NAMED])}{more}"
    )
    brought = pool.side == SIDES.index(side)
    if not brought.any() or np.isin(codes, pool.targets[pool.side == TRAIN]).all():
        return Problem(what, _drawn_apart(pool, labels, settings))
    field = f"{side}_path"
    there = (field,) if getattr(settings, field, None) else ()
    if len(codes) == 1 and len(rows) == len(sides[side]):
        what = f"every sample of {side} has the label `{labels[codes[0]]}`, and none of training"
        fix = f"it looks withheld: leave the {side} data out, and a {side} side is drawn"
        return Problem(what, fix, there)
    known = [labels[code] for code in np.unique(pool.targets[sides["train"]])]
    fix = "write labels as in training, or leave these samples out"
    return Problem(what, fix, there, _meant(labels[codes[0]], known))


def _meant(label: str, known: Sequence[str]) -> str:
    """The known label that is the same but for its case or way of writing a number, or is close."""
    same = next((one for one in known if _plain(one) == _plain(label)), "")
    return same or ("" if _is_number(label) else did_you_mean(label, known))


def _plain(label: str) -> str:
    return f"{float(label):g}" if _is_number(label) else label.casefold().strip()


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _drawn_apart(pool: Pool, labels: Sequence[str], settings: SplitSettings) -> str:
    """What to do about labels that the training data have, but on another side or left out."""
    if 2 * len(labels) > len(pool.ids):
        many = f"{len(labels)} labels for {len(pool.ids)} samples"
        return f"these are {many}: numbers or names rather than classes"
    if settings.train_samples and settings.train_samples < len(labels):
        return f"`train_samples` must be {len(labels)} or more: one of every label"
    return other_seed(pool, settings) or "give more samples of these labels, or leave them out"
