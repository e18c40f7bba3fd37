"""Three hard cases, on invented data, that the contracts must carry without bending.

Unlearning: forget batches paired with retain batches, a frozen reference, a gold model as another
line. Meta-DMoE: a list of experts, a second-order inner step on episodes, adaptation on unlabelled
test inputs. An embedder upgrade: old and new model, a gallery on disk, three retrieval pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from bequest import Method, ModelSpec, Requires, Role, Stage, TaskSpec
from bequest.build.classification import Classification, fingerprint
from bequest.build.embedding import Search
from bequest.build.running_text import RunningText
from bequest.build.splitting import content_ids
from bequest.build.tasks.trace import Trace
from bequest.core.live import Ragged, Split, Texts
from bequest.lazy import functional, torch
from bequest.transfer.bench import Rows
from bequest.transfer.streams import episodes, pair


def _split(rng, n, offset, scale=1.0, first=0):
    labels = rng.integers(0, 2, n)
    means = np.array([[1.5, 0, 0, 0], [0, 1.5, 0, 0]])
    inputs = (means[labels] + offset + 0.5 * scale * rng.standard_normal((n, 4))).astype(np.float32)
    ids = np.arange(first, first + n, dtype=np.int64) + int(1000 * abs(offset).sum())
    return Split(inputs, labels.astype(np.int64), ids)


class Cloud(TaskSpec):
    """Two Gaussian classes, moved by an offset that differs from task to task."""

    shift: float = 0.0

    def load(self, name: str) -> Classification:
        rng = np.random.default_rng(int(100 * self.shift))
        offset = self.shift * np.array([1.0, 1.0, -1.0, 0.5])
        splits = {
            "train": _split(rng, 96, offset),
            "validation": _split(rng, 16, offset, first=200),
            "test": _split(rng, 48, offset, first=300),
        }
        splits["unlabelled"] = replace(splits["test"], targets=None)
        labels = ("a", "b")
        digest = fingerprint(labels, splits, {"shift": self.shift})
        return Classification(name, self.purpose, "features", (4,), labels, splits, digest)


class Sayings(TaskSpec):
    """Random walks over six letters, beginning elsewhere from task to task."""

    asks: ClassVar[str] = "logprob"
    kind: ClassVar[str] = "text"

    shift: float = 0.0

    def load(self, name: str) -> RunningText:
        rng = np.random.default_rng(int(100 * self.shift))
        said = ["".join(rng.choice(list("abcdef"), 8)) + str(int(self.shift)) for _ in range(60)]
        cut = {"train": slice(0, 40), "validation": slice(40, 48), "test": slice(48, 60)}
        ids = content_ids(text.encode() for text in said)
        splits = {
            side: Split(Texts(tuple(said[rows])), None, ids[rows]) for side, rows in cut.items()
        }
        digest = fingerprint((), splits, {"shift": self.shift})
        return RunningText(name, self.purpose, splits, digest)


@dataclass
class Speaker:
    """Letters follow letters, whatever came before them."""

    module: Any
    labels: tuple[str, ...] = ()
    answers: frozenset[str] = frozenset({"logprob"})

    def logprob(self, texts):
        codes = [torch.tensor([0, *text.encode()]) for text in texts.texts]
        found = [self.module(each[:-1]).log_softmax(dim=1) for each in codes]
        picked = [
            scores.gather(1, each[1:, None])[:, 0]
            for scores, each in zip(found, codes, strict=True)
        ]
        return Ragged(torch.cat(picked), torch.tensor([len(each) for each in picked]))


class Bigrams(ModelSpec):
    """A language model that reads one letter at a time."""

    answers: ClassVar = frozenset({"logprob"})
    takes: ClassVar = frozenset({"text"})

    def build(self, shape, kind, labels) -> Speaker:
        return Speaker(torch.nn.Embedding(128, 128))


class Pupils(TaskSpec):
    """Invented students' answers, drawn anew for each shift."""

    asks: ClassVar = "trace"
    kind: ClassVar = "answers"
    shift: float = 0.0

    def load(self, name: str) -> Any:
        few = {"students": 90, "concepts": 4, "active": 2, "answers": 8, "seed": int(self.shift)}
        return Trace(generated=few, purpose=self.purpose).load(name)


class ToyUnlearn(Method):
    """Negative preference optimisation towards a frozen reference, with retain batches beside."""

    roles: ClassVar = {"base": Role("the model that forgets", learns=True)}
    requires: ClassVar = Requires(purposes=("forget", "retain"))

    beta: float = Field(0.5, gt=0, description="Inverse temperature of the preference.")

    def transfer(self, bench):
        base = bench.model("base")
        forget, retain = bench.task("forget"), bench.task("retain")
        reference = bench.recall(bench.copy(base, frozen=True), forget.train)

        def nll(logits, targets):
            return functional.cross_entropy(logits, targets, reduction="none")

        def loss(model, batch, rng):
            away, keep = batch["forget"], batch["retain"]
            before = nll(reference(away), away.targets)
            now = nll(model.logits(away.inputs), away.targets)
            npo = functional.softplus(self.beta * (before - now)).mean() * 2 / self.beta
            kept = nll(model.logits(keep.inputs), keep.targets).mean()
            return {"forget": npo, "retain": (1.0, kept)}

        bench.fit(base, pair(forget=forget.train, retain=retain.train), loss)
        yield Stage("forgotten", base, of="base")

        gold = bench.fresh("base")

        def plain(model, batch, rng):
            return {"hard": nll(model.logits(batch.inputs), batch.targets).mean()}

        bench.fit(gold, retain.train, plain)
        yield Stage("gold", gold, of="base", line="gold")


class _Net(torch.nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Linear(inputs, 8), torch.nn.Tanh())
        self.head = torch.nn.Linear(8, outputs)

    def forward(self, inputs):
        return self.head(self.features(inputs))


def net(shape, labels):
    """A model of the user's own, with features and a head."""
    return _Net(shape[0], len(labels))


def flat(shape, labels):
    """A model of the user's own without a linear layer inside it."""
    return torch.nn.Linear(shape[0], len(labels))


class _Aggregator(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, tokens):  # [batch, experts, 8] -> [batch, 8]
        return (tokens + self.attend(tokens, tokens, tokens, need_weights=False)[0]).mean(dim=1)


@dataclass
class Adapting:
    """A student that takes one unlabelled step towards its experts before it answers."""

    student: Any
    donors: list[Any]
    aggregator: Any
    rate: float
    answers: frozenset[str] = frozenset({"logits"})

    @property
    def module(self):
        return self.student.module

    @property
    def labels(self):
        return self.student.labels

    def logits(self, inputs):
        return self.student.logits(inputs)

    def adapt(self, unlabelled):
        moved = _inner(self.module, self.donors, self.aggregator, unlabelled, self.rate)
        return _Moved(self.student, {name: value.detach() for name, value in moved.items()})


@dataclass
class _Moved:
    student: Any
    weights: dict[str, Any]
    answers: frozenset[str] = frozenset({"logits"})

    module = property(lambda self: self.student.module)
    labels = property(lambda self: self.student.labels)

    def logits(self, inputs):
        return torch.func.functional_call(self.module, self.weights, (inputs,))


def _inner(module, donors, aggregator, support, rate):
    with torch.no_grad():
        tokens = torch.stack([donor.module.features(support) for donor in donors], dim=1)
    weights = dict(module.named_parameters())
    moving = {name: value for name, value in weights.items() if name.startswith("features")}
    with torch.enable_grad():
        inner = (module.features(support) - aggregator(tokens)).square().mean()
        gradients = torch.autograd.grad(inner, list(moving.values()), create_graph=True)
    steps = zip(moving.items(), gradients, strict=True)
    return {**weights, **{name: value - rate * slope for (name, value), slope in steps}}


class ToyMetaDmoe(Method):
    """Experts, a meta-learned aggregator, and a student that adapts by one second-order step."""

    roles: ClassVar = {
        "donors": Role("frozen experts", many=True),
        "student": Role("the model that adapts", learns=True),
    }
    requires: ClassVar = Requires(purposes=("source",))

    rate: float = Field(0.05, ge=0, description="Inner learning rate.")

    def transfer(self, bench):
        student, donors = bench.model("student"), bench.models("donors")
        aggregator = bench.module("aggregator", _Aggregator)
        sources = [task.train for task in bench.tasks("source")]

        def loss(modules, episode, rng):
            seeing = [donor for number, donor in enumerate(donors) if number != episode.domain]
            moved = _inner(
                student.module, seeing, modules["aggregator"], episode.support.inputs, self.rate
            )
            logits = torch.func.functional_call(student.module, moved, (episode.query.inputs,))
            return {"query": functional.cross_entropy(logits, episode.query.targets)}

        both = {"student": student, "aggregator": aggregator}
        bench.fit(both, episodes(sources, support=12, query=12), loss)
        yield Stage("adapted", Adapting(student, donors, aggregator, self.rate))
        yield Stage("unadapted", student, line="alone")


class Embedder(ModelSpec):
    """A linear map to vectors."""

    answers: ClassVar = frozenset({"embed"})

    width: int = Field(4, ge=1)

    def build(self, shape, kind, labels):
        return Embeds(torch.nn.Linear(shape[0], self.width, bias=False))


@dataclass(eq=False)
class Embeds:
    module: Any
    answers: frozenset[str] = frozenset({"embed"})
    labels: tuple[str, ...] = ()

    def embed(self, inputs):
        return functional.normalize(self.module(inputs), dim=-1)


class ToyUpgrade(Method):
    """A new embedder learns to search the old one's vectors."""

    roles: ClassVar = {
        "old": Role("the embedder in use", answers=("embed",)),
        "new": Role("the better embedder", answers=("embed",), learns=True),
    }
    requires: ClassVar = Requires(purposes=("learn",))

    def transfer(self, bench):
        old, new, task = bench.model("old"), bench.model("new"), bench.task("learn")
        remembered = bench.recall(old, task.train, "embed")

        def loss(model, batch, rng):
            return {"align": (model.embed(batch.inputs) - remembered(batch)).square().mean()}

        bench.fit(new, task.train, loss)
        models = {"old": old, "new": new}
        for query, gallery in (("old", "old"), ("new", "old"), ("new", "new")):
            yield Stage(
                f"{query}-{gallery}",
                Search(models[query], models[gallery], stored=gallery == "old"),
                of="new",
                at={"query": query, "gallery": gallery},
            )


__all__ = [
    "Cloud",
    "Embedder",
    "Rows",
    "ToyMetaDmoe",
    "ToyUnlearn",
    "ToyUpgrade",
    "net",
]
