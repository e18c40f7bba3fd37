"""Prompts as a live task: what a model writes behind each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.classification import fingerprint
from bequest.build.comparing import holds, repetition
from bequest.build.completions import completions, proposals
from bequest.build.documents import documents, has_records, records
from bequest.build.finding import fetched
from bequest.build.scripts import pieces
from bequest.build.showing import passages_of
from bequest.build.splitting import content_ids, sampled
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.documents import Record
    from bequest.build.tasks.complete import Complete
    from bequest.core.live import Model, Purpose, SplitName


@dataclass(eq=False)
class Prompts:
    """A live task that has prompts completed; see `core.live.Task`.

    longest: tokens of a completion at most; draws: how often each prompt is completed.
    judged: whether it is known what completions should hold: the texts of the test split.
    """

    name: str
    purpose: Purpose
    splits: Mapping[SplitName, Split]
    fingerprint: str
    longest: int
    temperature: float
    draws: int
    judged: bool
    notes: tuple[str, ...] = ()
    asks: str = "complete"
    kind: str = "text"
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """What the model writes behind every prompt, `draws` times, kept as transcript.

        Columns: `characters`, `words` (characters in scripts without blanks), `repetition` (share
        of runs of four words that stood before) and, where it is known what should be said,
        `contains` (0 or 1). A model that proposes several answers is right if any of them is.
        Batches are cut by length, so `batch_size` is not needed.
        """
        del batch_size
        test = self.splits["test"]
        texts, ids = cast("Texts", test.inputs), test.ids
        proposed = self._proposed(model, texts.prompts)
        said = tuple("\n".join(dict.fromkeys(several)) for several in proposed)
        columns = {
            "characters": np.array([len(text) for text in said], np.int32),
            "words": np.array([len(pieces(text)) for text in said], np.int32),
            "repetition": np.array([repetition(text) for text in said], np.float32),
        }
        if self.judged:
            both = zip(texts.texts * self.draws, proposed, strict=True)
            right = [any(holds(wanted, one) for one in several) for wanted, several in both]
            columns["contains"] = np.array(right, np.uint8)
        draw = np.repeat(np.arange(self.draws, dtype=np.int32), len(ids))
        return Outcomes(
            np.tile(ids, self.draws),
            columns,
            draw=draw if self.draws > 1 else None,
            transcript=said,
        )

    def _proposed(self, model: Model, prompts: tuple[str, ...]) -> list[Sequence[str]]:
        """The answers to every prompt, once for each draw; most models give one."""
        if "propose" in model.answers:
            return list(proposals(model, prompts, self.longest)) * self.draws
        rounds = (
            completions(model, prompts, self.longest, self.temperature) for _ in range(self.draws)
        )
        return [(text,) for one in rounds for text in one]

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The prompts of these ids; see `core.live.Showing`."""
        return passages_of(self.splits["test"], ids)


def prompts(settings: Complete, name: str) -> Prompts:
    """The prompts that the settings give or name; there is nothing to train on.

    Raises:
        RequestError: a file can't be used, or holds no prompt.
    """
    read = _pairs(settings)
    every = list(dict.fromkeys(read))
    if not every:
        raise RequestError(Problem(f"`{settings.path}` holds no prompt", field=("path",)))
    ids = content_ids("\x1f".join(pair).encode() for pair in every)
    chosen = sampled(ids, settings.samples)
    found, ids = [every[row] for row in chosen.tolist()], ids[chosen]
    splits: dict[SplitName, Split] = {
        "train": _split([], ids[:0]),
        "test": _split(found, ids),
    }
    asked = {"kind": "complete", **settings.model_dump(include={"tokens", "temperature", "draws"})}
    return Prompts(
        name=name,
        purpose=settings.purpose,
        splits=splits,
        fingerprint=fingerprint((), splits, asked),
        longest=settings.tokens,
        temperature=settings.temperature,
        draws=settings.draws,
        judged=settings.expected is not None,
        notes=_notes(len(read) - len(every)),
    )


def _notes(twice: int) -> tuple[str, ...]:
    return (f"{twice} prompts that are there again were left out",) if twice else ()


def _pairs(settings: Complete) -> list[tuple[str, str]]:
    """Every prompt, and what its completion should hold; empty where that isn't known."""
    if settings.path is None:
        return [(prompt, "") for prompt in settings.prompts]
    place = str(fetched(settings.path))
    if not has_records(place):
        (_, text), *_ = documents(place)
        return [(line, "") for line in text.splitlines() if line.strip()]
    return [
        _pair(one, settings.column, settings.expected) for one in records(place, settings.where)
    ]


def _pair(one: Record, column: str, expected: str | None) -> tuple[str, str]:
    held = one.word(expected) if expected else ""
    if expected and not held:
        raise RequestError(Problem(f"`{one.place}` has an empty `{expected}`"))
    prompt = one.text(column)
    if not prompt.strip():
        raise RequestError(Problem(f"`{one.place}` has an empty `{column}`"))
    return prompt, held


def _split(pairs: Sequence[tuple[str, str]], ids: NDArray[np.int64]) -> Split:
    texts = Texts(tuple(said for _, said in pairs), tuple(prompt for prompt, _ in pairs))
    return Split(texts, None, ids)
