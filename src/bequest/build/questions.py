"""Questions and answers as a live task: how likely the right answer is, and what is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.classification import fingerprint
from bequest.build.comparing import rouge_l, same
from bequest.build.completions import completions
from bequest.build.documents import records
from bequest.build.finding import fetched
from bequest.build.likelihood import likelihoods
from bequest.build.showing import passages_of
from bequest.build.splitting import Pool, content_ids, divide, spread
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.tasks.qa import Qa
    from bequest.core.live import Model, Purpose, SplitName

QUESTION = "{question}"


@dataclass(eq=False)
class Questions:
    """A live task that asks how likely the right answers are; see `core.live.Task`.

    longest: tokens that a model which can complete texts may answer with; 0 for no such answers.
    """

    name: str
    purpose: Purpose
    splits: Mapping[SplitName, Split]
    fingerprint: str
    longest: int
    notes: tuple[str, ...] = ()
    asks: str = "logprob"
    kind: str = "text"
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """How likely the right answer to each test question is, and what the model answers.

        Columns: `text_nll` (nats), `tokens` and `bytes` of the right answer, `probability` (of a
        token of it, geometric mean); and of what a model that completes texts wrote: `exact` (0 or
        1), `rouge_l_recall` and `rouge_l_f1`. Batches are cut by length, so `batch_size` is not
        needed.
        """
        del batch_size
        test = self.splits["test"]
        texts = cast("Texts", test.inputs)
        columns = dict(likelihoods(model, texts))
        tokens = np.maximum(columns["tokens"], 1)
        columns["probability"] = np.exp(-columns["text_nll"] / tokens).astype(np.float32)
        said = None
        if self.longest and "complete" in model.answers:
            said = completions(model, texts.prompts, self.longest)
            columns |= _beside(texts.texts, said)
        return Outcomes(test.ids, columns, test.unit, test.group, transcript=said)

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The test questions of these ids with their answers; see `core.live.Showing`."""
        return passages_of(self.splits["test"], ids)


def questions(settings: Qa, name: str) -> Questions:
    """The questions of a file; all of them on both sides, unless some are held out.

    Raises:
        RequestError: the file can't be used, or too few questions are in it.
    """
    pairs = spread(list(dict.fromkeys(_pairs(settings))), settings.samples)
    if not pairs:
        raise RequestError(Problem(f"`{settings.path}` holds no questions", field=("path",)))
    ids = content_ids("\x1f".join(pair).encode() for pair in pairs)
    sides, notes = _sides(ids, settings)
    splits = {side: _split(pairs, ids, rows) for side, rows in sides.items()}
    return Questions(
        name=name,
        purpose=settings.purpose,
        splits=splits,
        fingerprint=fingerprint((), splits, {"kind": "qa", "generate": settings.generate}),
        longest=settings.generate,
        notes=tuple(notes),
    )


def _pairs(settings: Qa) -> Iterator[tuple[str, str]]:
    """Prompt and answer of every record; a blank stands between them."""
    blank = "" if settings.template[-1].isspace() else " "
    for one in records(str(fetched(settings.path))):
        question, answer = (
            one.text(field).strip() for field in (settings.question, settings.answer)
        )
        if not answer:
            raise RequestError(Problem(f"`{one.place}` has an empty `{settings.answer}`"))
        yield settings.template.replace(QUESTION, question), blank + answer


def _sides(
    ids: NDArray[np.int64], settings: Qa
) -> tuple[dict[SplitName, NDArray[np.int64]], list[str]]:
    if not settings.held_out:
        trained = spread(range(len(ids)), settings.train_samples)
        return {"train": np.array(trained), "test": np.arange(len(ids))}, []
    return divide(Pool(ids, np.zeros_like(ids), np.zeros(len(ids), np.int8)), settings)


def _split(
    pairs: Sequence[tuple[str, str]], ids: NDArray[np.int64], rows: NDArray[np.int64]
) -> Split:
    prompts, answers = zip(*(pairs[row] for row in rows.tolist()), strict=True)
    return Split(Texts(answers, prompts, closed=True), None, ids[rows])


def _beside(expected: Sequence[str], said: Sequence[str]) -> dict[str, NDArray[Any]]:
    both = list(zip(expected, said, strict=True))
    recall, f1 = np.array([rouge_l(*pair) for pair in both], np.float32).T
    exact = np.array([same(*pair) for pair in both], np.uint8)
    return {"exact": exact, "rouge_l_recall": recall, "rouge_l_f1": f1}
