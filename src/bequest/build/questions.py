"""Questions and answers as a live task: how likely the right answer is, and what is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.chats import turns
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
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.documents import Record
    from bequest.build.tasks.qa import Qa
    from bequest.core.live import Model, Purpose, SplitName

QUESTION = "{question}"


@dataclass(frozen=True)
class Asked:
    """A question as a model is asked it.

    prompt, answer: put one behind the other. reworded: the right answer in other words, or the same
    again; wrong: answers of the same form that are wrong; none where none are known. also: further
    answers that are as right.
    """

    prompt: str
    answer: str
    reworded: str = ""
    wrong: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(eq=False)
class Questions:
    """A live task that asks how likely the right answers are; see `core.live.Task`.

    longest: tokens that a model which can complete texts may answer with; 0 for no such answers.
    tested: the test questions, in their order.
    as_released: whether words are cut as by the `rouge-score` package; see `comparing.words`.
    """

    name: str
    purpose: Purpose
    splits: Mapping[SplitName, Split]
    fingerprint: str
    longest: int
    tested: tuple[Asked, ...]
    as_released: bool = False
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
        model that completes texts wrote: `exact` (0 or 1), `rouge_l_recall` and `rouge_l_f1`, the
        best over all right answers.
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
            columns |= _beside(self.tested, said, as_released=self.as_released)
        return Outcomes(test.ids, columns, test.unit, test.group, transcript=said)

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The test questions of these ids with their answers; see `core.live.Showing`."""
        return passages_of(self.splits["test"], ids)


def questions(settings: Qa, name: str) -> Questions:
    """The questions of a file; all of them on both sides, unless some are held out.

    Raises:
        RequestError: the file can't be used, or too few questions are in it.
    """
    read, left = _read(settings)
    distinct = _first_of_each(read)
    chosen = sampled(ids_of(distinct), settings.samples)
    found = [distinct[row] for row in chosen.tolist()]
    if not found:
        raise RequestError(Problem(f"`{settings.path}` holds no questions", field=("path",)))
    if twice := len(read) - len(distinct):
        left.append(f"{twice} questions that are there again with the same answer were left out")
    ids = ids_of(found)
    sides, notes = _sides(ids, settings)
    notes = [*left, *notes]
    return asking(found, ids, sides, notes, name, settings, as_released=settings.as_released)


def asking(
    found: Sequence[Asked],
    ids: NDArray[np.int64],
    sides: Mapping[SplitName, NDArray[np.int64]],
    notes: Sequence[str],
    name: str,
    settings: Any,
    *,
    closed: bool = True,
    as_released: bool = False,
) -> Questions:
    """The live task of these questions.

    sides: rows of each; settings: has `purpose` and `generate`; closed: whether the end of an
    answer is a part of it; as_released: see `Questions`.
    """
    if not all(one.wrong for one in found):
        found = [replace(one, reworded="", wrong=()) for one in found]
    splits = {side: _split(found, ids, rows, closed) for side, rows in sides.items()}
    tested = tuple(found[row] for row in sides["test"].tolist())
    asked: dict[str, Any] = {"kind": "qa", "generate": settings.generate}
    if as_released:
        asked["as_released"] = True
    wrong = [[one.reworded, *one.wrong] for one in tested if one.wrong]
    if any(one.also for one in tested):
        asked["also"] = [one.also for one in tested]
    return Questions(
        name=name,
        purpose=settings.purpose,
        splits=splits,
        fingerprint=fingerprint((), splits, {**asked, "wrong": wrong} if wrong else asked),
        longest=settings.generate,
        tested=tested,
        as_released=as_released,
        notes=tuple(notes),
    )


def ids_of(found: Sequence[Asked]) -> NDArray[np.int64]:
    """Content ids of questions with their answers."""
    return content_ids(f"{one.prompt}\x1f{one.answer}".encode() for one in found)


def _first_of_each(asked: Sequence[Asked]) -> list[Asked]:
    """The first of those with the same question and answer."""
    first: dict[tuple[str, str], Asked] = {}
    for one in asked:
        first.setdefault((one.prompt, one.answer), one)
    return list(first.values())


def _read(settings: Qa) -> tuple[list[Asked], list[str]]:
    """All questions of the file, and what was left out of it."""
    named = (settings.question, settings.answer, settings.paraphrased, settings.perturbed)
    found, silent = list[Asked](), 0
    for one in records(str(fetched(settings.path))):
        if settings.question in one.fields or settings.messages not in one.fields:
            found.append(asked_of(one, settings.template, *named))
            continue
        answers = turns(one.fields[settings.messages], one.place)
        found += [phrased(settings.template, *turn, turn.answer, ()) for turn in answers]
        silent += not answers
    note = f"{silent} conversations in which the assistant answers nothing were left out"
    return found, [note] if silent else []


def asked_of(
    one: Record, template: str, question: str, answer: str, reworded: str, wrong: str
) -> Asked:
    """The question that a record holds in these fields; the last two may be missing.

    Raises:
        RequestError: a field is missing, empty or no text.
    """
    asks = one.text(question).strip()
    if not asks:
        raise RequestError(Problem(f"`{one.place}` has an empty `{question}`"))
    if not _is_there(one.value(answer)):
        raise RequestError(Problem(f"`{one.place}` has an empty `{answer}`"))
    right = _texts(one, answer)
    again = one.word(reworded) if reworded in one.fields else ""
    found = phrased(template, asks, right[0], again or right[0], _texts(one, wrong))
    return replace(found, also=tuple(right[1:]))


def phrased(
    template: str, question: str, answer: str, reworded: str, wrong: Sequence[str]
) -> Asked:
    """A question as the template puts it; a blank stands before each answer."""
    blank = "" if template[-1].isspace() else " "
    right, again, *others = (blank + text for text in (answer, reworded, *wrong))
    return Asked(template.replace(QUESTION, question), right, again, tuple(others))


def _is_there(value: Any) -> bool:
    return bool(value.strip() if isinstance(value, str) else value is not None and value != [])


def _texts(one: Record, field: str) -> list[str]:
    """The answers in a field: a list, or a single one; none where it has no such field.

    A whole number is its digits.
    """
    value = one.fields.get(field)
    if value is None:
        return []
    several = value if isinstance(value, list) else [value]
    said = [str(each) if type(each) is int else each for each in several]
    found = [text.strip() for text in said if isinstance(text, str)]
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


def _beside(
    tested: Sequence[Asked], said: Sequence[str], *, as_released: bool
) -> dict[str, NDArray[Any]]:
    """How near what was said is to the right answer that is nearest."""
    recall, f1, exact = [], [], []
    for one, text in zip(tested, said, strict=True):
        right = (one.answer, *one.also)
        each = [rouge_l(answer, text, as_released=as_released) for answer in right]
        recall.append(max(found for found, _ in each))
        f1.append(max(found for _, found in each))
        exact.append(any(same(answer, text) for answer in right))
    return {
        "exact": np.array(exact, np.uint8),
        "rouge_l_recall": np.array(recall, np.float32),
        "rouge_l_f1": np.array(f1, np.float32),
    }
