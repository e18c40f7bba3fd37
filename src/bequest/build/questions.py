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
from bequest.build.likelihood import likelihoods, remembered
from bequest.build.memorising import spans
from bequest.build.showing import passages_of
from bequest.build.splitting import Pool, content_ids, divide, sampled
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.documents import Record
    from bequest.build.tasks.qa import Qa
    from bequest.core.live import Model, Purpose, SplitName

QUESTION = "{question}"


@dataclass(frozen=True)
class Asked:
    """A question as a model is asked it.

    prompt, answer: put one behind the other. reworded: the right answer in other words, or the same
    again; wrong: answers of the same form that are wrong; none where none are known.
    """

    prompt: str
    answer: str
    reworded: str = ""
    wrong: tuple[str, ...] = ()


@dataclass(eq=False)
class Questions:
    """A live task that asks how likely the right answers are; see `core.live.Task`.

    longest: tokens that a model which can complete texts may answer with; 0 for no such answers.
    tested: the test questions, in their order.
    """

    name: str
    purpose: Purpose
    splits: Mapping[SplitName, Split]
    fingerprint: str
    longest: int
    tested: tuple[Asked, ...]
    notes: tuple[str, ...] = ()
    asks: str = "logprob"
    kind: str = "text"
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """How likely the right answer to each test question is, and what the model answers.

        Columns: those of `likelihood.remembered`, `probability` (of a token of the right answer,
        geometric mean); where wrong answers are known `reworded_loss` and `wrong_loss` (nats, mean
        over tokens and wrong answers), and `wrong_probability`, summed over them; and of what a
        model that completes texts wrote: `exact` (0 or 1), `rouge_l_recall` and `rouge_l_f1`.
        Batches are cut by length, so `batch_size` is not needed.
        """
        del batch_size
        test = self.splits["test"]
        texts = cast("Texts", test.inputs)
        columns = dict(remembered(model, texts))
        columns["probability"] = np.exp(-columns["loss"]).astype(np.float32)
        columns |= _against_wrong(model, self.tested, texts.closed)
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
    found = list(_distinct(_read(settings)))
    chosen = sampled(ids_of(found), settings.samples)
    found = [found[row] for row in chosen.tolist()]
    if not found:
        raise RequestError(Problem(f"`{settings.path}` holds no questions", field=("path",)))
    ids = ids_of(found)
    sides, notes = _sides(ids, settings)
    return asking(found, ids, sides, notes, name, settings)


def asking(
    found: Sequence[Asked],
    ids: NDArray[np.int64],
    sides: Mapping[SplitName, NDArray[np.int64]],
    notes: Sequence[str],
    name: str,
    settings: Any,
    *,
    closed: bool = True,
) -> Questions:
    """The live task of these questions.

    sides: rows of each; settings: has `purpose` and `generate`; closed: whether the end of an
    answer is a part of it.
    """
    if not all(one.wrong for one in found):
        found = [Asked(one.prompt, one.answer) for one in found]
    splits = {side: _split(found, ids, rows, closed) for side, rows in sides.items()}
    tested = tuple(found[row] for row in sides["test"].tolist())
    asked = {"kind": "qa", "generate": settings.generate}
    wrong = [[one.reworded, *one.wrong] for one in tested if one.wrong]
    return Questions(
        name=name,
        purpose=settings.purpose,
        splits=splits,
        fingerprint=fingerprint((), splits, {**asked, "wrong": wrong} if wrong else asked),
        longest=settings.generate,
        tested=tested,
        notes=tuple(notes),
    )


def ids_of(found: Sequence[Asked]) -> NDArray[np.int64]:
    """Content ids of questions with their answers."""
    return content_ids(f"{one.prompt}\x1f{one.answer}".encode() for one in found)


def _distinct(asked: Iterator[Asked]) -> Iterator[Asked]:
    """The first of those with the same question and answer."""
    seen = set()
    for one in asked:
        if (one.prompt, one.answer) not in seen:
            seen.add((one.prompt, one.answer))
            yield one


def _read(settings: Qa) -> Iterator[Asked]:
    for one in records(str(fetched(settings.path))):
        named = (settings.question, settings.answer, settings.paraphrased, settings.perturbed)
        yield asked_of(one, settings.template, *named)


def asked_of(
    one: Record, template: str, question: str, answer: str, reworded: str, wrong: str
) -> Asked:
    """The question that a record holds in these fields; the last two may be missing.

    Raises:
        RequestError: a field is missing, empty or no text.
    """
    asks, right = (one.text(field).strip() for field in (question, answer))
    if not right:
        raise RequestError(Problem(f"`{one.place}` has an empty `{answer}`"))
    again = one.word(reworded) if reworded in one.fields else ""
    return phrased(template, asks, right, again or right, _wrong(one, wrong))


def phrased(
    template: str, question: str, answer: str, reworded: str, wrong: Sequence[str]
) -> Asked:
    """A question as the template puts it; a blank stands before each answer."""
    blank = "" if template[-1].isspace() else " "
    right, again, *others = (blank + text for text in (answer, reworded, *wrong))
    return Asked(template.replace(QUESTION, question), right, again, tuple(others))


def _wrong(one: Record, field: str) -> list[str]:
    """The wrong answers of a record: a list, or a single one; none where it has no such field."""
    value = one.fields.get(field)
    if value is None:
        return []
    several = value if isinstance(value, list) else [value]
    found = [text.strip() for text in several if isinstance(text, str)]
    if len(found) < len(several) or not all(found):
        what = f"`{one.place}`: `{field}` must be a text or a list of texts, none of them empty"
        raise RequestError(Problem(what))
    return found


def _sides(
    ids: NDArray[np.int64], settings: Qa
) -> tuple[dict[SplitName, NDArray[np.int64]], list[str]]:
    if not settings.held_out:
        trained = sampled(ids, settings.train_samples)
        return {"train": trained, "test": np.arange(len(ids))}, []
    return divide(Pool(ids, np.zeros_like(ids), np.zeros(len(ids), np.int8)), settings)


def _split(
    found: Sequence[Asked], ids: NDArray[np.int64], rows: NDArray[np.int64], closed: bool
) -> Split:
    here = [found[row] for row in rows.tolist()]
    answers, prompts = tuple(one.answer for one in here), tuple(one.prompt for one in here)
    return Split(Texts(answers, prompts, closed), None, ids[rows])


def _against_wrong(
    model: Model, tested: Sequence[Asked], closed: bool
) -> dict[str, NDArray[np.float32]]:
    """How likely right answers in other words are, beside wrong ones of the same form."""
    if not all(one.wrong for one in tested):
        return {}
    each = [text for one in tested for text in (one.reworded, *one.wrong)]
    sizes = [1 + len(one.wrong) for one in tested]
    prompts = [one.prompt for one, size in zip(tested, sizes, strict=True) for _ in range(size)]
    found = likelihoods(model, Texts(tuple(each), tuple(prompts), closed))
    loss = found["text_nll"].astype(np.float64) / np.maximum(found["tokens"], 1)
    right, wrong = zip(*((part[0], part[1:]) for part in spans(loss, sizes)), strict=True)
    return {
        "reworded_loss": np.array(right, np.float32),
        "wrong_loss": np.array([part.mean() for part in wrong], np.float32),
        "wrong_probability": np.array([np.exp(-part).sum() for part in wrong], np.float32),
    }


def _beside(expected: Sequence[str], said: Sequence[str]) -> dict[str, NDArray[Any]]:
    both = list(zip(expected, said, strict=True))
    recall, f1 = np.array([rouge_l(*pair) for pair in both], np.float32).T
    exact = np.array([same(*pair) for pair in both], np.uint8)
    return {"exact": exact, "rouge_l_recall": recall, "rouge_l_f1": f1}
