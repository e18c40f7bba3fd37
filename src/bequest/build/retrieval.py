"""Searching as a live task: which items of a gallery a model ranks first for each query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.answered import refuse_nan
from bequest.build.batches import by_length
from bequest.build.classification import answering, as_inputs, device_of
from bequest.build.embedding import Search, Vectors
from bequest.build.showing import features, passage, picture
from bequest.build.stored import PROBES, compared, made_one_long
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts
from bequest.core.outcomes import Outcomes
from bequest.lazy import torch
from bequest.ops.retrieval import judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from bequest.build.stored import Compared
    from bequest.core.live import Model, Purpose, Split, SplitName
    from bequest.ops.retrieval import Relevance
    from bequest.transfer.bench import Bench

    Floats = NDArray[np.float32]
    Asked = Callable[[Any, Split, str], Floats]

COLUMNS = frozenset(
    {"first_rank", "average_precision", "gain", "recall_1", "recall_5", "recall_10", "recall_100"}
)
_AT_ONCE = 4096


@dataclass(eq=False)
class Retrieval:
    """A live task that ranks a gallery for queries; see `core.live.Task`.

    splits: the test split is the queries; others are what there is to learn from.
    gallery: what is searched; its targets are not read.
    belongs: which items belong to which query.
    stored: vectors of the gallery as they lie in the user's index, row by row; None if none do.
    """

    name: str
    purpose: Purpose
    kind: str
    shape: tuple[int, ...]
    splits: Mapping[SplitName, Split]
    gallery: Split
    belongs: Relevance
    fingerprint: str
    stored: Floats | None = None
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    asks: str = "embed"

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """Rank the gallery for every query that anything belongs to.

        Columns: see `ops.retrieval.worth`. A `Search` answers queries with one model and finds them
        among the vectors of another; any other model among its own.

        Raises:
            RequestError: the stored vectors can't be compared with the model's.
            NotNumbers: a vector holds NaN or an infinite number.
        """
        return self._recorded(model, lambda one, split, _: _asked(one, split, batch_size))

    def audit(self, model: Model, bench: Bench) -> Outcomes:
        """The same; what a frozen encoder answers is asked once in a run."""

        def asked(one: Any, split: Split, part: str) -> Floats:
            if isinstance(one, Vectors) and one.frozen:
                return _mapped(one, asked(one.inner, split, part))
            rows = bench.rows(split, f"{self.fingerprint}:{part}")
            return cast("Floats", bench.recall(one, rows, "embed", shared=True).of(rows.ids))

        return self._recorded(model, asked)

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The queries of these ids; see `core.live.Showing`."""
        test = self.splits["test"]
        row = {sample: number for number, sample in enumerate(test.ids.tolist())}
        found = test.inputs[np.array([row[sample] for sample in ids.tolist()], np.int64)]
        if isinstance(found, Texts):
            return [passage(found.whole(number)) for number in range(len(found))]
        shown = picture if self.kind == "image" and len(self.shape) == 3 else features
        return [shown(sample) for sample in found]

    def _recorded(self, model: Any, asked: Asked) -> Outcomes:
        test, rows = self.splits["test"], self.belongs.matched()
        searcher = model.query if isinstance(model, Search) else model
        queries, gallery = asked(searcher, test, "test"), self._vectors(model, asked)
        refuse_nan(queries, "vectors of queries", finite=True)
        refuse_nan(gallery, "vectors of the gallery", finite=True)
        columns = judged(queries, gallery, self.belongs)
        unit = None if test.unit is None else test.unit[rows]
        group = None if test.group is None else test.group[rows]
        return Outcomes(test.ids[rows], columns, unit, group)

    def index_notes(self, model: Model) -> list[str]:
        """What a user should know of the stored vectors beside the old model's, by a few items.

        Raises:
            RequestError: the model did not make them.
        """
        found = self._beside(model)
        if not found.made:
            what = f"the stored vectors of task `{self.name}` are not those of the old model"
            fix = "name the model that made them, and how: prompts, pooling, length, normalisation"
            raise RequestError(Problem(f"{what}, by {len(self._few())} of them", fix))
        notes = []
        if found.odd:
            odd, few = len(found.odd), len(self._few())
            notes.append(f"{odd} of {few} vectors of the index are not those of this model")
        if found.by_direction:
            notes.append("the vectors of the index have other lengths; directions are compared")
        return notes

    def _vectors(self, model: Any, asked: Asked) -> Floats:
        """The gallery's vectors: those stored, where they are meant, else as the model gives.

        Where a model's vectors are compared by cosine, all are made one long.
        """
        searched = isinstance(model, Search)
        maker = model.gallery if searched else model
        stored = self.stored if not searched or model.stored else None
        by_cosine = getattr(maker, "similarity", "dot") == "cosine"
        if stored is not None:
            found = self._beside(maker)
            if searched and not found.made:
                self.index_notes(maker)
            if found.made:
                return made_one_long(stored) if found.by_direction or by_cosine else stored
        vectors = asked(maker, self.gallery, "gallery")
        return made_one_long(vectors) if by_cosine else vectors

    def _beside(self, model: Any) -> Compared:
        """What a few stored vectors are beside the model's own."""
        few = self._few()
        with answering(model.module):
            inputs = as_inputs(self.gallery.inputs[few], device_of(model.module))
            own = model.embed(inputs).float().cpu().numpy()
        return compared(own, np.asarray(cast("Floats", self.stored)[few], np.float32))

    def _few(self) -> NDArray[np.int64]:
        """Places of some items, at even distances."""
        return np.linspace(0, len(self.gallery) - 1, min(PROBES, len(self.gallery))).astype(
            np.int64
        )


def _asked(model: Any, split: Split, batch_size: int) -> Floats:
    inputs, rows = split.inputs, np.arange(len(split))
    ends = range(batch_size, len(rows), batch_size)
    parts = [*by_length(inputs)] if isinstance(inputs, Texts) else np.split(rows, ends)
    device = device_of(model.module)
    with answering(model.module):
        found = [model.embed(as_inputs(inputs[part], device)).float().cpu() for part in parts]
    order = np.argsort(np.concatenate(parts))
    return cast("Floats", torch.cat(found).numpy()[order])


def _mapped(model: Vectors, vectors: Floats) -> Floats:
    """The layers behind the encoder, some vectors at a time."""
    device = device_of(model.module)
    with answering(model.module):
        blocks = torch.split(torch.from_numpy(vectors), _AT_ONCE)
        return cast("Floats", torch.cat([model.mapped(b.to(device)).cpu() for b in blocks]).numpy())
