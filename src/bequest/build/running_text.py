"""Running text as a live task: how likely a language model finds each passage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.classification import fingerprint
from bequest.build.documents import documents, filled, has_records, records
from bequest.build.finding import fetched
from bequest.build.likelihood import likelihoods
from bequest.build.passages import passages
from bequest.build.showing import passages_of
from bequest.build.splitting import Pool, content_ids, divide, sampled
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.tasks.language import Language
    from bequest.core.live import Model, Purpose, SplitName


@dataclass(eq=False)
class RunningText:
    """A live task that asks how likely passages are; see `core.live.Task`."""

    name: str
    purpose: Purpose
    splits: Mapping[SplitName, Split]
    fingerprint: str
    notes: tuple[str, ...] = ()
    asks: str = "logprob"
    kind: str = "text"
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """`text_nll` (nats), `tokens` and `bytes` of every test passage; a unit is a document.

        Batches are cut by length, so `batch_size` is not needed.
        """
        del batch_size
        test = self.splits["test"]
        return Outcomes(
            test.ids, likelihoods(model, cast("Texts", test.inputs)), test.unit, test.group
        )

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The test passages of these ids; see `core.live.Showing`."""
        return passages_of(self.splits["test"], ids)


def running_text(settings: Language, name: str) -> RunningText:
    """The passages of the documents that the settings name, on three sides by document.

    Raises:
        RequestError: a file can't be used, or too few documents are there.
    """
    documents, owners = _documents(settings)
    _refuse_few(len(documents), settings)
    cut = [passages(text, settings.passage)[: settings.passages] for text in documents]
    texts = [piece for pieces in cut for piece in pieces]
    if not texts:
        raise RequestError(Problem(f"`{settings.path}` holds no text", field=("path",)))
    owner = np.repeat(owners, [len(pieces) for pieces in cut])
    nothing = np.zeros(len(texts), np.int64)
    ids = content_ids(text.encode() for text in texts)
    pool = Pool(ids, nothing, nothing.astype(np.int8), owner.astype(np.str_))
    sides, notes = divide(pool, settings)
    tested = sides["test"]
    sides["test"] = tested[sampled(ids[tested], settings.test_samples)]
    splits = {side: _split(texts, pool, owner, rows) for side, rows in sides.items()}
    digest = fingerprint((), splits, {"kind": "text", "passage": settings.passage})
    return RunningText(name, settings.purpose, splits, digest, tuple(notes))


def _refuse_few(documents: int, settings: Language) -> None:
    """Refuse fewer documents than sides, as each stays on one."""
    sides = 3 if settings.validation else 2
    if 0 < documents < sides:
        many = "one document" if documents == 1 else f"{documents} documents"
        what = f"`{settings.path}` is {many}, and a document stays on one of {sides} sides"
        fix = "give a folder with a file for each document, or a `.jsonl` file with one a line"
        raise RequestError(Problem(what, fix, ("path",)))


def _documents(settings: Language) -> tuple[list[str], NDArray[np.int64]]:
    """The documents that are taken, and their content ids: a document is known by its text."""
    place = str(fetched(settings.path))
    if has_records(place):
        template = settings.template or f"{{{settings.column}}}"
        found = [filled(template, one) for one in records(place, settings.where)]
    else:
        found = [text for _, text in documents(place)]
    ids = content_ids(text.encode() for text in found)
    rows = sampled(ids, settings.documents)
    return [found[row] for row in rows.tolist()], ids[rows]


def _split(
    texts: Sequence[str], pool: Pool, owner: NDArray[np.int64], rows: NDArray[np.int64]
) -> Split:
    chosen = Texts(tuple(texts[row] for row in rows.tolist()))
    return Split(chosen, None, pool.ids[rows], unit=owner[rows])
