"""Questions whose answers are often generic, or a neighbour's: the controlled problem of TRLM.

A question is two words. It is answered by one of two generic answers that all questions share, by
one of two right ones of its own, or by a right one of a question that differs in one word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bequest import ModelSpec, TaskSpec
from bequest.build.classification import fingerprint
from bequest.build.language import LanguageModel
from bequest.build.running_text import RunningText
from bequest.build.splitting import content_ids
from bequest.core.live import Split, Texts
from bequest.lazy import torch

LETTERS, LONG = 4, 4
GENERIC, RIGHT = 0.4, 0.4  # shares; the rest is a neighbour's
# All texts have as many characters: a fit puts those of like length together, and batches would
# differ in which answers they hold.
ASK, TELL = "ANS", "FOR"
FIRST = 10  # of the words in answers, a10 to a25
QUESTIONS = [f"q{one} r{two}" for one in range(LETTERS) for two in range(LETTERS)]
WORDS = ["<s>", "</s>", ASK, TELL, *(f"{kind}{n}" for kind in "qr" for n in range(LETTERS)),
         *(f"a{FIRST + n}" for n in range(16))]  # fmt: skip


def answers(seed):
    """Two right answers to each question and two generic ones, all different."""
    rng = np.random.default_rng(seed)
    found: list[str] = []
    while len(found) < 2 * len(QUESTIONS) + 2:
        text = " ".join(f"a{FIRST + n}" for n in rng.integers(0, 16, LONG))
        if text not in found:
            found.append(text)
    right = {question: found[2 * n : 2 * n + 2] for n, question in enumerate(QUESTIONS)}
    return right, found[-2:]


def neighbours(question):
    """The questions that differ in one word."""
    words = question.split()
    return [other for other in QUESTIONS
            if sum(a != b for a, b in zip(words, other.split(), strict=True)) == 1]  # fmt: skip


class Pairs(TaskSpec):
    """Question and answer in a text; every other one turned round by words where `both`."""

    asks: ClassVar[str] = "logprob"
    kind: ClassVar[str] = "text"

    seed: int = 0
    count: int = 64_000
    both: bool = False

    def load(self, name: str) -> RunningText:
        right, generic = answers(self.seed)
        rng = np.random.default_rng([self.seed, 1])
        texts = [self._pair(number, rng, right, generic) for number in range(self.count)]
        ids = content_ids(f"{number}".encode() for number in range(self.count))
        splits = {
            "train": Split(Texts(tuple(texts)), None, ids),
            "test": Split(Texts(tuple(texts[:64])), None, ids[:64]),
        }
        digest = fingerprint((), splits, {"seed": self.seed, "both": self.both})
        return RunningText(name, self.purpose, splits, digest)

    def _pair(self, number, rng, right, generic):
        question = QUESTIONS[rng.integers(len(QUESTIONS))]
        kind = rng.random()
        if kind < GENERIC:
            pool = generic
        elif kind < GENERIC + RIGHT:
            pool = right[question]
        else:
            around = neighbours(question)
            pool = right[around[rng.integers(len(around))]]
        answer = pool[rng.integers(2)]
        turned = self.both and number % 2
        return f"{answer} {TELL} {question}" if turned else f"{question} {ASK} {answer}"


class Net(torch.nn.Module):
    """A GRU with the parts that a language model of transformers has."""

    def __init__(self, words, embedding=32, hidden=64):
        super().__init__()
        self.embedding = torch.nn.Embedding(words, embedding)
        self.gru = torch.nn.GRU(embedding, hidden, batch_first=True)
        self.head = torch.nn.Linear(hidden, words)

    def forward(self, ids):
        """Hidden states, [batch, tokens, hidden]."""
        return self.gru(self.embedding(ids))[0]


@dataclass(eq=False)
class Recurrent(LanguageModel):
    """Reads words one after another."""

    def states(self, encoded):
        return self.module(encoded.ids).flatten(0, 1)[encoded.places]

    def scores(self, states):
        return self.module.head(states)

    def complete(self, prompts, longest=64, temperature=0.0):
        row = [self.tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
        ids, begun = torch.tensor([[0, *each] for each in row]), len(row[0]) + 1
        with torch.inference_mode():
            for _ in range(longest):
                scores = self.scores(self.module(ids)[:, -1]) / (temperature or 1)
                ids = torch.cat([ids, torch.multinomial(scores.softmax(dim=1), 1)], dim=1)
        return [self.tokenizer.decode(each) for each in ids[:, begun:]]


class Reader(ModelSpec):
    """A recurrent language model with new weights, in an order of reading."""

    answers: ClassVar = frozenset({"logprob", "complete"})
    takes: ClassVar = frozenset({"text"})

    order: str = "forward"

    def build(self, shape, kind, labels) -> Recurrent:
        words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "<s>"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="</s>"
        )
        model = Recurrent(Net(len(WORDS)), tokenizer, 16)
        return replace(model, order=self.order)
