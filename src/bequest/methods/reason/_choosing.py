"""Models that answer with the best of several answers drawn from a generator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.comparing import words
from bequest.core.live import Texts
from bequest.lazy import torch
from bequest.methods.reason._scorers import per_token

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from bequest.methods.reason.trlm import Trlm
    from bequest.transfer.bench import Bench

    Judge = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]


@dataclass(eq=False)
class Generator:
    """A language model whose answers are drawn once, whoever asks for them and however often."""

    bench: Bench
    model: Any
    settings: Trlm

    def pools(self, questions: Sequence[str], longest: int) -> list[list[str]]:
        """`samples` answers to each question, of at most `longest` tokens, in the order drawn."""
        asked = json.dumps([list(questions), longest])

        def drawn() -> list[list[str]]:
            found = []
            for number, question in enumerate(questions, 1):
                found.append(self._drawn(question, longest))
                self.bench.told(number, len(questions))
            return found

        return self.bench.answered("candidates", asked, self.model, drawn)

    def _drawn(self, question: str, longest: int) -> list[str]:
        settings = self.settings
        prompts = [self.prompt(question)] * settings.samples
        said = self.model.complete(prompts, longest, settings.temperature)
        return [self._ended(text) for text in said]

    def prompt(self, question: str) -> str:
        """How it is asked."""
        return self.settings.template.replace("{question}", question)

    def likeliest(self, questions: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
        """Its own log-probability of each answer for each token, in nats: [n]."""
        prompts = tuple(self.prompt(each) for each in questions)
        blank = "" if self.settings.template[-1].isspace() else " "
        return per_token(self.model, Texts(tuple(blank + each for each in answers), prompts))

    def _ended(self, text: str) -> str:
        text = text.lstrip()
        until = self.settings.until
        return (text.partition(until)[0] if until else text).strip()


@dataclass(eq=False)
class Choosing:
    """The generator, answering with the sample that `judge` scores highest; the first for None."""

    generator: Generator
    judge: Judge | None
    scorer: Any = None
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"complete"})

    @property
    def inner(self) -> Any:
        """Whose tokens count, beside the generator's."""
        return self.scorer or self.generator.model

    @property
    def module(self) -> torch.nn.Module:
        """All that takes part; what generator and scorer share counts once."""
        parts = [self.generator.model, *([self.scorer] if self.scorer else [])]
        return torch.nn.ModuleList([part.module for part in parts])

    def complete(
        self, prompts: Sequence[str], longest: int = 64, temperature: float = 0.0
    ) -> list[str]:
        """The chosen answer to each question; drawn at the method's own temperature."""
        del temperature
        pools = self.generator.pools(prompts, longest)
        if self.judge is None:
            return [pool[0] for pool in pools]
        judged = self._scores(self.judge, prompts, pools)
        return [pool[int(np.argmax(found))] for pool, found in zip(pools, judged, strict=True)]

    def _scores(
        self, judge: Judge, questions: Sequence[str], pools: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float64]]:
        """The scores of each question's answers; equal answers are scored once."""
        pairs = [(question, each) for question, pool in zip(questions, pools, strict=True)
                 for each in dict.fromkeys(pool)]  # fmt: skip
        asked, answers = zip(*pairs, strict=True)
        values = judge(asked, answers)
        known = dict(zip(pairs, values.tolist(), strict=True))
        return [
            np.array([self._worth(question, each, known[question, each]) for each in pool])
            for question, pool in zip(questions, pools, strict=True)
        ]

    def _worth(self, question: str, answer: str, score: float) -> float:
        said = words(answer)
        without = self.generator.settings.without_copies
        if not answer or (without and set(said) <= set(words(question))):
            return -np.inf
        return score


@dataclass(eq=False)
class Pool:
    """The generator, answering with everything it drew: the best that any choice could do."""

    generator: Generator
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"complete", "propose"})

    @property
    def module(self) -> torch.nn.Module:
        """The generator's."""
        module: torch.nn.Module = self.generator.model.module
        return module

    def propose(self, prompts: Sequence[str], longest: int = 64) -> list[list[str]]:
        """All answers to each question."""
        return self.generator.pools(prompts, longest)

    def complete(
        self, prompts: Sequence[str], longest: int = 64, temperature: float = 0.0
    ) -> list[str]:
        """The first of them."""
        del temperature
        return [pool[0] for pool in self.generator.pools(prompts, longest)]
