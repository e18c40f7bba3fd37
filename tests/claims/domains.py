"""Eight invented languages in two families, and a small network that reads them one after another.

Sixteen symbols; a domain is a Markov chain whose logits are common ones, its family's, and a random
walk within the family.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

import bequest
from bequest import ModelSpec, TaskSpec
from bequest.build.classification import fingerprint
from bequest.build.running_text import RunningText
from bequest.build.splitting import content_ids
from bequest.core.live import Ragged, Split, Texts
from bequest.lazy import torch

SYMBOLS, FAMILIES, MEMBERS, LENGTH, WIDTH = 16, 2, 4, 20, 12
TRAINED, TESTED = 150, 200
DOMAINS = [f"domain{family}{member}" for member in range(MEMBERS) for family in range(FAMILIES)]
START = SYMBOLS


class Chain(TaskSpec):
    """Sequences of one chain; without a family, of the flattened mean of all."""

    asks: ClassVar[str] = "logprob"
    kind: ClassVar[str] = "text"

    draw: int = Field(0, ge=0, description="Which chains and which sequences.")
    family: int | None = None
    member: int = 0

    def load(self, name: str) -> RunningText:
        chains = _chains(self.draw)
        if self.family is None:
            steps = (chains.mean(axis=(0, 1)) + 1 / SYMBOLS) / 2
            rng = np.random.default_rng([self.draw, 1])
        else:
            steps = chains[self.family, self.member]
            rng = np.random.default_rng([self.draw, 2, self.family, self.member])
        texts = list(dict.fromkeys(_walked(steps, rng) for _ in range(2 * (TRAINED + TESTED))))
        splits = {
            "train": _split(texts[:TRAINED]),
            "test": _split(texts[TRAINED : TRAINED + TESTED]),
        }
        return RunningText(name, self.purpose, splits, fingerprint((), splits, {}))


def _chains(draw):
    rng = np.random.default_rng([draw, 0])
    shape = (SYMBOLS, SYMBOLS)
    logits = 1.5 * 0.7 * rng.standard_normal(shape) + 1.5 * rng.standard_normal(
        (FAMILIES, 1, *shape)
    )
    walk = 0.4 * rng.standard_normal((FAMILIES, MEMBERS, *shape)).cumsum(axis=1)
    odds = np.exp(logits + walk)
    return odds / odds.sum(axis=-1, keepdims=True)


def _walked(steps, rng):
    found = [int(rng.integers(SYMBOLS))]
    while len(found) < LENGTH:
        found.append(int(rng.choice(SYMBOLS, p=steps[found[-1]])))
    return "".join(chr(ord("a") + symbol) for symbol in found)


def _split(texts):
    return Split(Texts(tuple(texts)), None, content_ids(text.encode() for text in texts))


def _symbols(texts):
    return torch.tensor([[ord(letter) - ord("a") for letter in text] for text in texts.texts])


class _Net(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(SYMBOLS + 1, width)
        self.layer = torch.nn.GRU(width, width, batch_first=True)
        self.head = torch.nn.Linear(width, SYMBOLS)

    def forward(self, symbols):
        return self.head(self.layer(self.embedding(symbols))[0]).log_softmax(dim=-1)


@dataclass
class Reader:
    """A GRU that says how likely each symbol is after those before it."""

    module: torch.nn.Module
    labels: tuple[str, ...] = ()
    answers: frozenset[str] = frozenset({"logprob"})

    def logprob(self, texts):
        symbols = _symbols(texts)
        before = torch.cat([torch.full_like(symbols[:, :1], START), symbols[:, :-1]], dim=1)
        found = self.module(before).gather(2, symbols[..., None])
        return Ragged(found.flatten(), torch.full((len(symbols),), LENGTH))


class Gru(ModelSpec):
    """A small recurrent language model, untrained."""

    answers: ClassVar = frozenset({"logprob"})
    takes: ClassVar = frozenset({"text"})

    width: int = Field(WIDTH, ge=1, description="Of the embedding and the hidden state.")

    def build(self, shape, kind, labels) -> Reader:
        return Reader(_Net(self.width))


@dataclass
class Counter:
    """Tells texts apart by which symbol follows which."""

    module: torch.nn.Module
    labels: tuple[str, ...] = ()
    answers: frozenset[str] = frozenset({"embed"})

    def embed(self, texts):
        symbols = _symbols(texts)
        pairs = symbols[:, :-1] * SYMBOLS + symbols[:, 1:]
        return torch.nn.functional.one_hot(pairs, SYMBOLS**2).float().mean(dim=1)


class Pairs(ModelSpec):
    """An encoder that counts pairs of symbols."""

    answers: ClassVar = frozenset({"embed"})
    takes: ClassVar = frozenset({"text"})

    def build(self, shape, kind, labels) -> Counter:
        return Counter(torch.nn.Identity())


def walked(seed, width=WIDTH):
    """Log-perplexities in hundredths of a nat: [order][stage, domain] in the order of learning.

    Also of the pretrained model and of one model a domain, [domain] in the order of `DOMAINS`.
    """
    orders = ("similar", "random")
    steps = [
        {"name": "pretrain", "method": {"use": "finetune"}, "tasks": ["mean"],
         "fit": {"steps": 300}},
        *(
            {"name": order, "method": {"use": "continual_pretraining", "order": order},
             "models": {"student": "pretrain.student"}, "tasks": DOMAINS}
            for order in orders
        ),
        {"name": "single", "method": {"use": "single"}, "line": "single",
         "models": {"student": "pretrain.student"}, "tasks": DOMAINS},
    ]  # fmt: skip
    chain = {"use": "domains:Chain", "draw": seed}
    tasks = {name: {**chain, "family": int(name[-2]), "member": int(name[-1])} for name in DOMAINS}
    recipe = {
        "models": {
            "student": {"use": "domains:Gru", "width": width},
            "encoder": {"use": "domains:Pairs"},
        },
        "tasks": {"mean": chain, **tasks},
        "steps": steps,
        "fit": {"steps": 40, "batch_size": 32, "optimizer": {"use": "adam", "lr": 3e-3}},
        "seeds": [seed],
    }
    with tempfile.TemporaryDirectory() as folder:
        matrix = bequest.run(recipe, out=f"{folder}/run").matrix
    return {order: _grid(matrix, order) for order in orders} | {
        "given": _of(matrix, _rows(matrix, "pretrain")[-1], DOMAINS),
        "single": np.concatenate(
            [_of(matrix, row, [matrix.rows[row].learned]) for row in _rows(matrix, "single")]
        ),
    }


def _rows(matrix, step):
    return [number for number, row in enumerate(matrix.rows) if row.step == step]


def _grid(matrix, step):
    rows = _rows(matrix, step)
    learned = [matrix.rows[row].learned for row in rows]
    return learned, np.stack([_of(matrix, row, learned) for row in rows])


def _of(matrix, row, tasks):
    return np.array([100 * matrix.value("log_perplexity", row, task).value for task in tasks])
