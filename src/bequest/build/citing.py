"""Highlights and the documents they are taken from, as a live task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from bequest.build.answered import refuse_nan
from bequest.build.classification import answering, fingerprint
from bequest.build.documents import records
from bequest.build.finding import fetched
from bequest.build.showing import passages_of
from bequest.build.splitting import content_ids, sampled
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.tasks.cite import Cite
    from bequest.core.live import Model, Preferred, Purpose, SplitName


class Sentence(NamedTuple):
    """A sentence, and the highlight that it supports or an empty text."""

    text: str
    highlight: str


class Query(NamedTuple):
    """A highlight, the number of its document and the place of the right sentence in it."""

    highlight: str
    document: int
    right: int


@dataclass(eq=False)
class Citing:
    """A live task that asks which sentence supports a highlight; see `core.live.Task`.

    queries: one for each test sample; pages: the sentences of each document.
    """

    name: str
    purpose: Purpose
    splits: Mapping[SplitName, Split]
    fingerprint: str
    queries: Sequence[Query]
    pages: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    asks: str = "prefer"
    kind: str = "text"
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """Where the right sentence stands among those of its document, best first.

        Columns: `correct` (whether it is the first), `reciprocal_rank`, and `calls`: texts that
        were scored for a highlight. Of sentences held equally good the first in the document comes
        first. The sentence chosen is the transcript. The model cuts batches itself.
        """
        del batch_size
        pages = [self.pages[query.document] for query in self.queries]
        with answering(model.module):
            found: Preferred = cast("Any", model).prefer(
                [query.highlight for query in self.queries], pages
            )
        refuse_nan(found.values, "scores of sentences")
        each = np.split(found.values, np.cumsum(found.lengths)[:-1])
        orders = [np.argsort(-values, kind="stable") for values in each]
        ranks = np.array([
            1 + int(np.flatnonzero(order == query.right)[0])
            for order, query in zip(orders, self.queries, strict=True)
        ])  # fmt: skip
        columns = {
            "correct": (ranks == 1).astype(np.uint8),
            "reciprocal_rank": (1 / ranks).astype(np.float32),
            "calls": found.calls.astype(np.int32),
        }
        chosen = tuple(page[order[0]] for page, order in zip(pages, orders, strict=True))
        test = self.splits["test"]
        return Outcomes(test.ids, columns, test.unit, transcript=chosen)

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The highlights of these ids with their sentences; see `core.live.Showing`."""
        return passages_of(self.splits["test"], ids)


def citing(settings: Cite, name: str) -> Citing:
    """The highlights that the settings name; there is nothing to train on.

    Raises:
        RequestError: the file can't be used, or no document with a highlight has two sentences.
    """
    pages, alone = _pages(settings)
    queries = list(_queries(pages))
    if not queries:
        what = f"`{settings.path}` has no highlight in a document of two sentences or more"
        fix = "sentences of one document must have the same value in the column `document`"
        raise RequestError(Problem(what, fix, ("path",)))
    texts = [tuple(sentence.text for sentence in page) for page in pages]
    ids = content_ids(
        "\x1f".join((one.highlight, str(one.right), *texts[one.document])).encode()
        for one in queries
    )
    chosen = sampled(ids, settings.samples)
    queries, ids = [queries[row] for row in chosen.tolist()], ids[chosen]
    owners = content_ids("\x1f".join(texts[one.document]).encode() for one in queries)
    right = tuple(texts[one.document][one.right] for one in queries)
    highlights = tuple(one.highlight for one in queries)
    splits: dict[SplitName, Split] = {
        "train": Split(Texts(()), None, ids[:0]),
        "test": Split(Texts(right, highlights), None, ids, unit=owners),
    }
    note = f"{alone} documents or ends of documents with one sentence were left out"
    return Citing(
        name=name,
        purpose=settings.purpose,
        splits=splits,
        fingerprint=fingerprint((), splits, {"kind": "cite"}),
        queries=queries,
        pages=texts,
        notes=(note,) if alone else (),
    )


def _pages(settings: Cite) -> tuple[list[list[Sentence]], int]:
    """Documents in pieces of at most so many sentences, and how many had only one."""
    documents: dict[str, dict[str, Sentence]] = {}
    for one in records(str(fetched(settings.path)), settings.where):
        text = one.text(settings.sentence).strip()
        if not text:
            raise RequestError(Problem(f"`{one.place}` has an empty `{settings.sentence}`"))
        owner = documents.setdefault(one.word(settings.document), {})
        # A sentence that is repeated is the same candidate, and supports what its first one does.
        owner.setdefault(text, Sentence(text, one.word(settings.highlight)))
    size = settings.sentences
    cut = [
        list(page.values())[start : start + size]
        for page in documents.values()
        for start in range(0, len(page), size)
    ]
    whole = [page for page in cut if len(page) > 1]
    return whole, len(cut) - len(whole)


def _queries(pages: Sequence[Sequence[Sentence]]) -> Iterator[Query]:
    seen = set()
    for number, page in enumerate(pages):
        for place, sentence in enumerate(page):
            if sentence.highlight and (number, sentence.highlight) not in seen:
                seen.add((number, sentence.highlight))
                yield Query(sentence.highlight, number, place)
