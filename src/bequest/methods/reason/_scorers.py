"""Language models that judge texts: how likely is one, given another, in their order of reading."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.likelihood import likelihoods
from bequest.build.tokens import ids_of
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.core.live import Model

    Wordings = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Scorer:
    """A language model in one order of reading, with what stands beside question and answer.

    wordings: scoring and conditioning prompt of either order.
    """

    name: str
    model: Any
    wordings: Wordings

    @property
    def order(self) -> str:
        """In which it reads: "forward" or "backward"."""
        return getattr(self.model, "order", "forward")

    def scores(self, questions: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
        """log P(scoring + question | answer + conditioning), summed over tokens, in nats: [n].

        Both parts become tokens apart from each other. Read backward, the answer stands behind.

        Raises:
            RequestError: a question and its answer are longer than the model reads at once.
        """
        scoring, conditioning = self.wordings[self.order]
        texts = tuple(scoring + question for question in questions)
        if self.order == "backward":
            given = tuple(conditioning + answer for answer in answers)
        else:
            given = tuple(answer + conditioning for answer in answers)
        return -_told(self.model, Texts(texts, given))["text_nll"]

    def likeliest(self, questions: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
        """The wrong way round: log P(answer | question) for each token of the answer, in nats: [n].

        What stands beside the two is what the other order would read: so that here too the question
        is read first. A reconstruction where the model reads backward.

        Raises:
            RequestError: as for `scores`.
        """
        if self.order == "backward":
            scoring, conditioning = self.wordings["forward"]
            given = tuple(conditioning + scoring + question for question in questions)
        else:
            scoring, conditioning = self.wordings["backward"]
            given = tuple(scoring + question + conditioning for question in questions)
        return per_token(self.model, Texts(tuple(answers), given))


def wrong_way(scorer: Scorer) -> Scorer:
    """The same scorer under the name of its order, which baselines have."""
    return replace(scorer, name=scorer.order)


def scorers_of(models: Sequence[Model], wordings: Wordings) -> list[Scorer]:
    """The models as scorers, named `fo`, `ba`, `foba-forward` …; equal names get a number.

    A model that was taught both ways gives two.
    """
    found = [
        Scorer(name, model, wordings)
        for each in models
        for name, model in _ways(each)
    ]  # fmt: skip
    repeated, seen = Counter(one.name for one in found), Counter[str]()
    for place, one in enumerate(found):
        if repeated[one.name] > 1:
            seen[one.name] += 1
            found[place] = replace(one, name=f"{one.name}{seen[one.name]}")
    return found


def per_token(model: Any, texts: Texts) -> NDArray[np.float64]:
    """Mean log-probability of a token of each text, in nats."""
    told = _told(model, texts)
    mean: NDArray[np.float64] = -told["text_nll"] / np.maximum(told["tokens"], 1)
    return mean


def _ways(model: Any) -> list[tuple[str, Any]]:
    order = getattr(model, "order", "forward")
    if order == "both":
        return [
            ("foba-forward", replace(model, order="forward")),
            ("foba-reverse", replace(model, order="backward")),
        ]
    return [("ba" if order == "backward" else "fo", model)]


def _told(model: Any, texts: Texts) -> Mapping[str, NDArray[Any]]:
    _refuse_long(model, texts)
    return {name: each.astype(np.float64) for name, each in likelihoods(model, texts).items()}


def _refuse_long(model: Any, texts: Texts) -> None:
    """A text that goes on in another window would be scored without what it is to be given."""
    if not hasattr(model, "tokenizer"):
        return
    both = zip(ids_of(texts.texts, model.tokenizer), ids_of(texts.prompts, model.tokenizer),
               strict=True)  # fmt: skip
    longest = max((1 + len(text) + len(given) for text, given in both), default=0)
    if longest > model.longest:
        what = f"a question and its answer have {longest} tokens together, but a scorer reads "
        fix = "give it a larger `longest`, or shorter documents (`sentences:` of the task)"
        raise RequestError(Problem(f"{what}{model.longest} at once", fix))
