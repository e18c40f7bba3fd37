"""Which pack answers which input: a small network on what the base makes of it.

A reconstruction: the paper names a classifier over packs, taught by which model has the lowest loss
on a prompt, and no more. Here it has two layers, reads the mean of the base's features over
positions, and may also choose no pack.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.core.live import Ragged, Split, Texts
from bequest.lazy import functional, torch
from bequest.transfer.streams import Rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bequest.transfer.bench import Bench, TaskView

_WIDTH = 64
_AT_ONCE = 256


class Routes(NamedTuple):
    """For each input, which model answers it (0: the base alone, 1: the first pack …) and the
    probability that the router gives to that choice, [n] each.
    """

    choice: torch.Tensor
    confidence: torch.Tensor


class Examples(NamedTuple):
    """What a router learns from: features [n, width], and the loss of every model, [n, models]."""

    features: torch.Tensor
    losses: torch.Tensor


@dataclass(eq=False)
class Routed:
    """Several models of one origin that answer as one: each input goes to the one chosen for it.

    models: the base first; module: all of them and the router.
    """

    models: list[Any]
    router: torch.nn.Module
    module: torch.nn.Module
    labels: tuple[str, ...]
    answers: Collection[str]

    @property
    def reads(self) -> str:
        """How the models make tokens of texts."""
        return str(getattr(self.models[0], "reads", ""))

    def routes(self, inputs: Any) -> Routes:
        """Who answers each input, and how sure the router is."""
        likely = self.router(features(self.models[0], inputs)).softmax(dim=1)
        confidence, choice = likely.max(dim=1)
        return Routes(choice, confidence)

    def logits(self, inputs: Any) -> torch.Tensor:
        """One unnormalised score per label for each input: [batch, labels]."""
        found = [(rows, model.logits(_at(inputs, rows))) for rows, model in self._chosen(inputs)]
        order = torch.cat([rows for rows, _ in found]).argsort()
        return torch.cat([scores for _, scores in found])[order]

    def logprob(self, texts: Texts) -> Ragged:
        """The log-probability of each token; a text's prompt, if it has one, says who answers."""
        each: dict[int, torch.Tensor] = {}
        for rows, model in self._chosen(texts):
            found = model.logprob(_at(texts, rows))
            parts = found.values.split(found.lengths.tolist())
            each |= dict(zip(rows.tolist(), parts, strict=True))
        values = [each[row] for row in range(len(texts))]
        lengths = torch.tensor([len(part) for part in values], device=values[0].device)
        return Ragged(torch.cat(values), lengths)

    def complete(
        self, prompts: Sequence[str], longest: int = 64, temperature: float = 0.0
    ) -> list[str]:
        """What the chosen model writes behind each prompt."""
        said: dict[int, str] = {}
        with torch.no_grad():
            chosen = list(self._chosen(Texts(tuple(prompts))))
        for rows, model in chosen:
            own = [prompts[row] for row in rows.tolist()]
            said |= dict(zip(rows.tolist(), model.complete(own, longest, temperature), strict=True))
        return [said[row] for row in range(len(prompts))]

    def _chosen(self, inputs: Any) -> Any:
        choice = self.routes(inputs).choice
        for number in sorted(set(choice.tolist())):
            yield torch.nonzero(choice == number)[:, 0], self.models[number]


def features(base: Any, inputs: Any) -> torch.Tensor:
    """What the base makes of each input, the mean over positions: [n, width]; takes no gradient.

    Last hidden states of a language model, of the prompts where there are any; of other models
    what their last linear layer is given.
    """
    with torch.no_grad():
        if isinstance(inputs, Texts) and hasattr(base, "hidden"):
            found = base.hidden(Texts(inputs.prompts or inputs.texts))
            parts = found.values.split(found.lengths.tolist())
            return torch.stack([part.mean(dim=0) for part in parts]).float()
        linear = [each for each in base.module.modules() if isinstance(each, torch.nn.Linear)]
        seen: list[torch.Tensor] = []
        hook = linear[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            base.logits(inputs)
        finally:
            hook.remove()
        given = seen[-1].float()
        return given.flatten(1, -2).mean(dim=1) if given.ndim > 2 else given


def examples(models: Sequence[Any], task: TaskView, most: int) -> Examples:
    """Features and losses of at most so many training samples of a task."""
    rows = torch.arange(min(most, len(task.train)), device=task.train.device)
    found = []
    with torch.no_grad():
        for part in torch.split(rows, _AT_ONCE):
            batch = task.train.batch(part)
            losses = torch.stack([_losses(model, batch) for model in models], dim=1)
            found.append(Examples(features(models[0], batch.inputs), losses))
    return Examples(*(torch.cat(each) for each in zip(*found, strict=True)))


def routed(bench: Bench, name: str, models: Sequence[Any], found: Sequence[Examples]) -> Routed:
    """The models behind a router that learned from examples; one fit.

    models: the base first, then one with each pack.
    """
    seen = torch.cat([each.features for each in found])
    best = torch.cat([each.losses[:, : len(models)] for each in found]).argmin(dim=1)

    def new() -> Any:
        net: Any = _router_class()(seen.shape[1], len(models))
        net.mean.copy_(seen.mean(dim=0))
        net.spread.copy_(seen.std(dim=0, correction=0).clamp_min(1e-6))
        return net

    router = bench.module(name, new)
    ids = np.arange(len(best), dtype=np.int64)
    rows = Rows(Split(seen.cpu().numpy(), best.cpu().numpy(), ids), bench.device, name)

    def loss(net: Any, batch: Any, rng: torch.Generator) -> dict[str, torch.Tensor]:
        return {"choice": functional.cross_entropy(net(batch.inputs), batch.targets)}

    bench.fit(router, rows, loss)
    module = torch.nn.ModuleList([*(model.module for model in models), router])
    answers = frozenset({"logits", "logprob", "complete"} & set(models[0].answers))
    return Routed(list(models), router, module.eval(), models[0].labels, answers)


def _losses(model: Any, batch: Any) -> torch.Tensor:
    """Of each sample: cross-entropy, or the mean over a text's tokens; in nats."""
    if batch.targets is not None:
        return functional.cross_entropy(model.logits(batch.inputs), batch.targets, reduction="none")
    found = model.logprob(batch.inputs)
    parts = torch.split(found.values, found.lengths.tolist())
    return torch.stack([-part.mean() for part in parts])


def _at(inputs: Any, rows: torch.Tensor) -> Any:
    return inputs[rows.tolist()] if isinstance(inputs, Texts) else inputs[rows]


@cache
def _router_class() -> Any:
    class Router(torch.nn.Module):
        """Two layers on features of mean 0 and spread 1."""

        mean: torch.Tensor
        spread: torch.Tensor

        def __init__(self, width: int, choices: int) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("spread", torch.ones(width))
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(width, _WIDTH), torch.nn.ReLU(), torch.nn.Linear(_WIDTH, choices)
            )

        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.layers((seen - self.mean) / self.spread)
            return scores

    return Router
