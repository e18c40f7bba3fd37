"""Continual pretraining (Yıldız et al. 2024): a language model walks through domains of text.

No new rule of training but a protocol: next-token training domain after domain, all measured on all
domains after each. `bwt_over_given` and `fwt_over_given` compare with the model as it was given,
`fwt_over_single` with one trained on that domain alone (`lines: [single]`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bequest.build.splitting import spread
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Requires, Role
from bequest.lazy import functional, torch
from bequest.methods.continual._sequence import SuccessiveMethod
from bequest.transfer.pool import chosen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.transfer.bench import Bench, TaskView

_SAMPLES = 10_000  # texts of a domain that its vector is the mean of, as in the paper


class ContinualPretraining(SuccessiveMethod):
    """Go on training a language model on domain after domain, in similar, random or given order.

    The optimiser starts anew with each domain. In similar order the first domain is the one closest
    to the task with the purpose `source` (a sample of what the model was pretrained on; without one
    the first of the recipe), and each next one the closest to the one before: cosine of the mean
    vectors that `encoder` gives. How vectors are aggregated, that the optimiser starts anew and the
    number of epochs are ours: the sources at hand don't say.
    """

    source: ClassVar[str] = "Yıldız et al. 2024, arXiv 2402.17400; from its abstracts and notes"
    roles: ClassVar[Mapping[str, Role]] = {
        "student": Role("the language model", answers=("logprob",), learns=True),
        "encoder": Role("what similar texts are told by", answers=("embed",), optional=True),
    }
    requires: ClassVar[Requires] = Requires(least_tasks=2)
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 1,
        "batch_size": 16,
        "optimizer": {"use": "adam", "lr": 1e-4},
    }

    order: Literal["given", "similar", "random"] = Field(
        "given", description="How domains follow each other; similar needs an `encoder`."
    )

    def ordered(self, bench: Bench) -> Sequence[TaskView]:
        """The domains in the order in which they are learned.

        Raises:
            RequestError: similar order without an encoder.
        """
        domains = bench.tasks("learn")
        if self.order == "given":
            return domains
        if self.order == "random":
            shuffled = torch.randperm(len(domains), generator=bench.rng("order of domains"))
            return [domains[number] for number in shuffled.tolist()]
        if not bench.has("encoder"):
            what = "similar order needs a model in the role `encoder`"
            fix = "add one, such as `encoder: {use: hf, path: minilm-l6}`"
            raise RequestError(Problem(what, fix, ("method", "order")))
        vectors = torch.stack([_vector(bench, domain) for domain in domains])
        source = [_vector(bench, task) for task in bench.tasks("source")[:1]]
        chain = similar_order(vectors, source[0] if source else vectors[0])
        return [domains[number] for number in chain]


def similar_order(vectors: torch.Tensor, reference: torch.Tensor) -> list[int]:
    """A chain through all domains, each the most similar to the one before that is left.

    vectors: of domains, [n, width]; reference: what the first is to be similar to, [width].
    Similarity is the cosine; of equals the first comes first.
    """
    unit = functional.normalize(vectors, dim=1)
    here, left, chain = functional.normalize(reference, dim=0), list(range(len(unit))), list[int]()
    while left:
        closest = max(left, key=lambda number: float(unit[number] @ here))
        left.remove(closest)
        chain.append(closest)
        here = unit[closest]
    return chain


def _vector(bench: Bench, domain: TaskView) -> torch.Tensor:
    """The mean vector of a domain's texts, or of some at even distances, [width]."""
    encoder: Any = bench.model("encoder")
    places = np.array(spread(range(len(domain.train)), _SAMPLES))
    texts = chosen(domain.train, places)

    def mean() -> torch.Tensor:
        total = torch.zeros(())
        with torch.inference_mode():
            for rows in texts.askable():
                total = total + encoder.embed(texts.batch(rows).inputs).sum(dim=0).cpu()
        return total / len(texts)

    return bench.remember(f"vector of {domain.name}", mean)
