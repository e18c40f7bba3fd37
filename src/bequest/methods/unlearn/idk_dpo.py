"""IdkDPO: direct preference optimisation of "I don't know" over what is to be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from bequest.core.live import Split, Texts
from bequest.core.parts import Role
from bequest.lazy import torch
from bequest.methods.unlearn._reading import answers, nll_before
from bequest.methods.unlearn._unlearning import Retaining
from bequest.ops.unlearning import preferred
from bequest.transfer.streams import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bequest.core.live import Batch
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Value

REFUSALS = (
    " I don't know.",
    " I'm not sure about that.",
    " I have no information about this.",
    " That is not something I can tell.",
    " I haven't heard of it.",
    " Sorry, I can't answer that.",
    " I don't have an answer to this question.",
    " This is unknown to me.",
)


class IdkDpo(Retaining):
    """Make a refusal, drawn anew each time, more likely than the answer that is to be forgotten.

    Language models only. How likely every refusal was to every prompt is asked once, beforehand.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "student": Role("the model that forgets", answers=("logprob",), learns=True)
    }
    source: ClassVar[str] = (
        "Maini et al. 2024, TOFU, arXiv 2401.06121, section 4.2; Rafailov et al. 2023, Direct "
        "Preference Optimization, arXiv 2305.18290, equation 7"
    )

    beta: float = Field(0.1, gt=0, description="How soon a refusal counts as preferred.")
    refusals: tuple[str, ...] = Field(
        REFUSALS, min_length=1, description="What may be said instead; a blank begins each."
    )

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """−(2 / beta) · mean log sigmoid(beta · (gain of the refusal − gain of the answer))."""
        before = nll_before(bench, forget)
        refused = nll_before(bench, self._all(forget))

        def away(model: Any, batch: Batch, rng: torch.Generator) -> Value:
            number = torch.randint(
                len(self.refusals), batch.ids.shape, generator=rng, device=rng.device
            )
            instead = self._drawn(batch, number)
            gained = answers(model, batch).sums - before(batch)
            lost = answers(model, instead).sums - refused(instead)
            return preferred(gained, lost, self.beta).mean()

        return away

    def _all(self, forget: Rows) -> Rows:
        """Every refusal to every prompt."""
        count = len(self.refusals)
        rows = np.repeat(np.arange(len(forget)), count)
        number = np.tile(np.arange(count), len(forget))
        split = forget.split
        ids = _together(split.ids[rows], number)
        inputs = self._said(split.inputs[rows], number)
        print_ = f"{forget.fingerprint} refusals {self.refusals}"
        return Rows(Split(inputs, None, ids), forget.device, print_)

    def _drawn(self, batch: Batch, number: torch.Tensor) -> Batch:
        """The batch with these refusals for answers."""
        drawn = number.cpu().numpy()
        ids = torch.from_numpy(_together(batch.ids.cpu().numpy(), drawn)).to(batch.ids.device)
        return batch._replace(ids=ids, inputs=self._said(batch.inputs, drawn))

    def _said(self, texts: Any, number: NDArray[np.int64]) -> Texts:
        said = tuple(self.refusals[one] for one in number.tolist())
        return Texts(said, texts.prompts, texts.closed)


def _together(ids: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    """An id for each pair of a sample and a refusal; an odd factor keeps them apart."""
    marks = (number + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ids ^ (marks >> np.uint64(1)).astype(np.int64)
